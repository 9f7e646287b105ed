"""Tests of irevnet_tf.data."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from irevnet_tf.data import dataset_names
from irevnet_tf.data import load_dataset
from irevnet_tf.data import training_batches


def all_batches(*args, **kwargs):
    """One epoch as two arrays."""
    pairs = list(training_batches(*args, **kwargs).as_numpy_iterator())
    images, labels = zip(*pairs, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def numbered_images(count):
    """Images of which each can be told from the others, and their labels."""
    labels = np.arange(count)
    images = np.ones((count, 4, 4, 1), "float32") * labels[:, None, None, None]
    return images, labels


def test_digits_are_normalised_and_stratified():
    digits = load_dataset("digits")
    assert digits.train_images.shape == (1437, 8, 8, 1)
    assert digits.test_images.shape == (360, 8, 8, 1)
    assert digits.image_shape == (8, 8, 1)
    assert digits.train_images.dtype == digits.test_images.dtype == "float32"
    assert digits.train_labels.dtype == digits.test_labels.dtype == "int64"
    assert digits.class_names == tuple("0123456789")
    assert digits.value_range == (0.0, 1.0)
    assert digits.train_images.min() == 0.0
    assert digits.train_images.max() == 1.0
    counts = np.bincount(digits.test_labels)
    assert counts.min() >= 35 and counts.max() <= 37


def test_digits_split_loses_and_repeats_nothing():
    digits = load_dataset("digits")
    images = np.concatenate([digits.train_images, digits.test_images])
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    rows = np.column_stack([images.reshape(-1, 64) * 16, labels])
    source = load_digits()
    expected = np.column_stack([source.data, source.target])
    np.testing.assert_array_equal(
        rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)]
    )


def test_digits_split_is_fixed():
    """Accuracies are comparable only while nobody's split differs."""
    digits = load_dataset("digits")
    assert digits.test_labels[:8].tolist() == [7, 6, 3, 7, 7, 3, 2, 8]
    assert digits.test_images.sum() * 16 == 112350


def test_unknown_dataset_is_refused():
    assert dataset_names() == ["digits"]
    with pytest.raises(ValueError, match="digits. Received: name='mnist'"):
        load_dataset("mnist")


def test_batches_are_full_and_hold_each_example_once():
    images, labels = numbered_images(10)
    batches = training_batches(images, labels, 4)
    assert len(batches) == 2
    for batch_images, batch_labels in batches:
        assert batch_images.shape == (4, 4, 4, 1)
        assert batch_labels.shape == (4,)
    seen_images, seen_labels = all_batches(images, labels, 4)
    assert len(set(seen_labels)) == 8
    np.testing.assert_array_equal(seen_images[:, 0, 0, 0], seen_labels)


def test_every_epoch_has_its_own_order():
    batches = training_batches(*numbered_images(50), 50)
    first, second = (next(iter(batches))[1].numpy() for _ in range(2))
    assert set(first) == set(second)
    assert first.tolist() != second.tolist()


def test_seed_determines_order_and_shifts():
    images = load_dataset("digits").train_images[:32]
    labels = np.arange(32)
    first, again, other = (
        all_batches(images, labels, 8, max_shift=1, seed=seed)
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[1].tolist() != other[1].tolist()


def test_shift_moves_each_image_by_its_own_distance_up_to_the_limit():
    images = np.zeros((64, 9, 9, 1), "float32")
    images[:, 4, 4] = 1.0
    shifted, _ = all_batches(images, np.zeros(64), 64, max_shift=2)
    assert np.all(shifted[:, :2] == 0) and np.all(shifted[:, 7:] == 0)
    assert np.all(shifted[:, :, :2] == 0) and np.all(shifted[:, :, 7:] == 0)
    np.testing.assert_allclose(shifted.sum(axis=(1, 2, 3)), 1.0, rtol=1e-5)
    rows, columns = np.indices((9, 9))
    offsets = np.stack(
        [
            np.sum(shifted[..., 0] * axis, axis=(1, 2)) - 4
            for axis in (rows, columns)
        ]
    )
    assert np.all(np.abs(offsets) <= 2.0 + 1e-5)
    assert np.all(offsets.min(axis=1) < -1.0)
    assert np.all(offsets.max(axis=1) > 1.0)
    assert not np.allclose(offsets[0], offsets[1])


def test_shift_fills_with_the_background():
    images = np.ones((32, 4, 4, 1), "float32")
    shifted, _ = all_batches(
        images, np.zeros(32), 32, max_shift=1, fill_value=-1.0
    )
    assert shifted.min() < 0.0
    assert shifted.min() >= -1.0
    np.testing.assert_allclose(shifted[:, 1:3, 1:3], 1.0, rtol=1e-6)


def test_shift_never_mirrors():
    images = np.zeros((64, 8, 8, 1), "float32")
    images[:, :, :2] = 1.0
    shifted, _ = all_batches(images, np.zeros(64), 64, max_shift=1)
    assert np.all(shifted[:, :, 4:] == 0.0)


def test_shift_keeps_full_precision_under_a_mixed_policy():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        batches = training_batches(*numbered_images(4), 4, max_shift=1)
    finally:
        keras.config.set_dtype_policy(policy)
    assert batches.element_spec[0].dtype == "float32"


def test_arguments_that_do_not_fit_are_refused():
    images, labels = numbered_images(10)
    with pytest.raises(ValueError, match=r"len\(labels\)=9"):
        training_batches(images, labels[:9], 4)
    for batch_size in (0, 11):
        with pytest.raises(
            ValueError, match=rf"\(=10\). Received: batch_size={batch_size}"
        ):
            training_batches(images, labels, batch_size)
    for max_shift in (-1, 4):
        with pytest.raises(
            ValueError, match=rf"\(=4x4\). Received: max_shift={max_shift}"
        ):
            training_batches(images, labels, 4, max_shift=max_shift)
