"""Tests of irevnet_tf.data: the digits, and the batches of arrays."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from irevnet_tf.data import NORMALIZATIONS
from irevnet_tf.data import Augmentation
from irevnet_tf.data import Dataset
from irevnet_tf.data import Normalization
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data import load_dataset
from irevnet_tf.data import steps_per_epoch
from irevnet_tf.data import training_batches
from irevnet_tf.data.examples import ArrayExamples

EVERYTHING = Augmentation(
    max_shift=2,
    flip=True,
    random_resized_crop=True,
    color_jitter=0.3,
    rand_augment=0.5,
    random_erasing=0.5,
    mixup_alpha=1.0,
    cutmix_alpha=1.0,
)
# Without those whose result depends on the number of replicas.
EVERY_IMAGE_CHANGE = Augmentation(
    max_shift=2, flip=True, random_resized_crop=True, random_erasing=0.5
)


def numbered(count, shape=(8, 8, 3), classes=4):
    """A data set whose images can be told from each other."""
    images = np.zeros((count, *shape), "uint8")
    images += np.arange(count, dtype="uint8")[:, None, None, None]
    examples = ArrayExamples(images, np.arange(count) % classes)
    return Dataset(
        name="numbered",
        class_names=tuple("abcdefgh"[:classes]),
        image_shape=shape,
        normalization=Normalization(1.0, (0.0,), (1.0,)),
        train=examples,
        test=examples,
    )


def batches_of(dataset, augmentation=EVERYTHING, batch_size=4, **kwargs):
    kwargs = {"epoch": 0, "seed": 0, **kwargs}
    if "steps" not in kwargs:
        kwargs["steps"] = steps_per_epoch(dataset, batch_size)
    return list(
        training_batches(
            dataset, augmentation, batch_size, **kwargs
        ).as_numpy_iterator()
    )


def order_of(batches):
    return [int(n) for images, *_ in batches for n in images[:, 0, 0, 0]]


def pipelines(count, replicas):
    return [
        tf.distribute.InputContext(
            num_input_pipelines=count,
            input_pipeline_id=i,
            num_replicas_in_sync=replicas,
        )
        for i in range(count)
    ]


def global_batches(per_pipeline, replicas):
    """Put together what the replicas of all pipelines get in each step."""
    local = replicas // len(per_pipeline)
    steps = len(per_pipeline[0]) // local
    return [
        [
            np.concatenate(parts)
            for parts in zip(
                *(
                    batch
                    for batches in per_pipeline
                    for batch in batches[step * local : (step + 1) * local]
                ),
                strict=True,
            )
        ]
        for step in range(steps)
    ]


def assert_equal_batches(actual, expected):
    assert len(actual) == len(expected)
    for first, second in zip(actual, expected, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)


def test_digits_are_normalised_and_stratified():
    digits = load_dataset("digits")
    images, labels = digits.arrays("train")
    test_images, test_labels = digits.arrays("test")
    assert images.shape == (1437, 8, 8, 1)
    assert test_images.shape == (360, 8, 8, 1)
    assert digits.image_shape == (8, 8, 1)
    assert images.dtype == test_images.dtype == "float32"
    assert labels.dtype == test_labels.dtype == "int64"
    assert digits.class_names == tuple("0123456789")
    assert digits.normalization.value_range == (0.0, 1.0)
    assert images.min() == 0.0
    assert images.max() == 1.0
    counts = np.bincount(test_labels)
    assert counts.min() >= 35 and counts.max() <= 37


def test_digits_split_loses_and_repeats_nothing():
    digits = load_dataset("digits")
    parts = [digits.arrays(part) for part in ("train", "test")]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    rows = np.column_stack([images.reshape(-1, 64) * 16, labels])
    source = load_digits()
    expected = np.column_stack([source.data, source.target])
    np.testing.assert_array_equal(
        rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)]
    )


def test_digits_split_is_fixed():
    """Accuracies are comparable only while nobody's split differs."""
    images, labels = load_dataset("digits").arrays("test")
    assert labels[:8].tolist() == [7, 6, 3, 7, 7, 3, 2, 8]
    assert images.sum() * 16 == 112350


def test_held_out_examples_are_a_fixed_part_of_those_for_training():
    digits = load_dataset("digits", validation_fraction=0.1)
    assert (digits.train.count, digits.validation.count) == (1293, 144)
    parts = [digits.arrays(part)[0] for part in ("train", "validation")]
    rows = np.concatenate(parts).reshape(-1, 64)
    expected = load_dataset("digits").arrays("train")[0].reshape(-1, 64)
    np.testing.assert_array_equal(
        rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)]
    )
    again = load_dataset("digits", validation_fraction=0.1)
    np.testing.assert_array_equal(again.arrays("validation")[0], parts[1])


def test_arrays_can_be_the_first_examples_only():
    digits = load_dataset("digits")
    images, labels = digits.arrays("test", 300)
    assert len(images) == len(labels) == 300
    np.testing.assert_array_equal(images, digits.arrays("test")[0][:300])


def test_arrays_that_are_not_there_are_refused():
    digits = load_dataset("digits")
    for part in ("validation", "name"):
        with pytest.raises(ValueError, match=f"Received: part='{part}'"):
            digits.arrays(part)
    for count in (0, 361):
        with pytest.raises(ValueError, match=rf"\(=360\).*count={count}"):
            digits.arrays("test", count)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_normalization_is_undone_and_stays_within_its_range(name):
    normalization = NORMALIZATIONS[name]
    raw = np.stack([np.arange(256, dtype="uint8")] * 3, axis=-1)
    normalised = normalization.apply(raw)
    assert normalised.dtype == "float32"
    expected = (raw / 255 - normalization.mean) / normalization.std
    np.testing.assert_allclose(normalised, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(normalization.undo(normalised), raw, atol=1e-4)
    assert normalization.value_range == pytest.approx(
        (expected.min(), expected.max())
    )


def test_training_batches_are_full_and_hold_each_example_once():
    dataset = numbered(30)
    batches = batches_of(dataset, Augmentation(), batch_size=7)
    assert len(batches) == steps_per_epoch(dataset, 7) == 4
    for images, labels in batches:
        assert images.shape == (7, 8, 8, 3) and images.dtype == "float32"
        assert labels.shape == (7, 4) and labels.dtype == "float32"
        np.testing.assert_array_equal(
            labels, np.eye(4)[images[:, 0, 0, 0].astype(int) % 4]
        )
    assert len(set(order_of(batches))) == 28
    assert sorted(order_of(batches_of(dataset, Augmentation(), 30))) == list(
        range(30)
    )


def test_batches_have_a_static_shape_and_an_unknown_number():
    batches = training_batches(
        numbered(9), EVERYTHING, 4, epoch=0, steps=2, seed=0
    )
    assert batches.element_spec == (
        tf.TensorSpec((4, 8, 8, 3), "float32"),
        tf.TensorSpec((4, 4), "float32"),
    )
    assert batches.cardinality() == tf.data.UNKNOWN_CARDINALITY


def test_epochs_and_seeds_have_orders_of_their_own():
    dataset = numbered(50)
    orders = [
        order_of(batches_of(dataset, Augmentation(), 50, epoch=e, seed=s))
        for e, s in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    assert len(set(map(tuple, orders))) == 4
    assert all(set(order) == set(range(50)) for order in orders)


def test_images_are_changed_anew_in_every_epoch():
    dataset = numbered(1)
    images = [
        batches_of(dataset, EVERY_IMAGE_CHANGE, 1, epoch=epoch)[0][0]
        for epoch in range(4)
    ]
    assert len({image.tobytes() for image in images}) > 1


def test_an_epoch_can_be_continued_at_any_step():
    dataset = numbered(22)
    whole = batches_of(dataset, epoch=3, seed=5)
    assert len(whole) == 5
    for first_step in (1, 4):
        rest = batches_of(dataset, epoch=3, seed=5, first_step=first_step)
        assert_equal_batches(rest, whole[first_step:])
    some = batches_of(dataset, epoch=3, seed=5, first_step=1, steps=3)
    assert_equal_batches(some, whole[1:3])


def test_other_random_seeds_do_not_matter():
    first = batches_of(numbered(8))
    tf.random.set_seed(123)
    assert_equal_batches(batches_of(numbered(8)), first)


def test_batches_in_any_order_hold_the_same_examples():
    dataset = numbered(32)
    batches = batches_of(dataset, Augmentation(), 8, deterministic=False)
    assert sorted(order_of(batches)) == list(range(32))


@pytest.mark.parametrize("count, replicas", [(1, 2), (2, 2), (2, 4)])
def test_workers_and_replicas_do_not_change_the_batches(count, replicas):
    dataset = numbered(26)
    expected = batches_of(
        dataset, EVERY_IMAGE_CHANGE, batch_size=8, first_step=1
    )
    parts = [
        batches_of(
            dataset,
            EVERY_IMAGE_CHANGE,
            batch_size=8,
            first_step=1,
            context=context,
        )
        for context in pipelines(count, replicas)
    ]
    assert {len(batches) for batches in parts} == {2 * replicas // count}
    assert parts[0][0][0].shape == (8 // replicas, 8, 8, 3)
    assert_equal_batches(global_batches(parts, replicas), expected)


@pytest.mark.parametrize("count, replicas", [(1, 1), (1, 2), (2, 2), (2, 4)])
@pytest.mark.parametrize("examples", [1, 16, 21])
def test_evaluation_covers_every_example_once(examples, count, replicas):
    dataset = numbered(examples)
    parts = [
        list(
            evaluation_batches(
                dataset, dataset.test, 8, context=context
            ).as_numpy_iterator()
        )
        for context in pipelines(count, replicas)
    ]
    assert len({len(batches) for batches in parts}) == 1
    steps = global_batches(parts, replicas)
    assert len(steps) == -(-examples // 8)
    for images, labels, weights in steps:
        assert images.shape == (8, 8, 8, 3) and images.dtype == "float32"
        assert labels.shape == (8, 4) and labels.dtype == "float32"
        assert weights.shape == (8,) and weights.dtype == "float32"
    weights = np.concatenate([step[2] for step in steps])
    assert weights.tolist() == [1.0] * examples + [0.0] * (
        len(weights) - examples
    )
    assert order_of(steps)[:examples] == list(range(examples))


def test_arguments_that_do_not_fit_are_refused():
    dataset = numbered(10)
    for batch_size in (0, 11):
        with pytest.raises(
            ValueError, match=rf"\(=10\). Received: batch_size={batch_size}"
        ):
            steps_per_epoch(dataset, batch_size)
    (context,) = pipelines(1, 2)
    for batch_size in (0, 3):
        expected = rf"replicas \(=2\). Received: batch_size={batch_size}"
        with pytest.raises(ValueError, match=expected):
            batches_of(dataset, batch_size=batch_size, steps=1, context=context)
        with pytest.raises(ValueError, match=expected):
            evaluation_batches(
                dataset, dataset.test, batch_size, context=context
            )
    for first_step, steps in ((-1, 2), (2, 2), (0, 3)):
        with pytest.raises(
            ValueError,
            match=rf"\(=2\). Received: first_step={first_step}, steps={steps}",
        ):
            batches_of(dataset, first_step=first_step, steps=steps)
    for name in ("seed", "epoch"):
        with pytest.raises(ValueError, match=f"Received: .*{name}=-1"):
            batches_of(dataset, **{name: -1})
    with pytest.raises(ValueError, match=r"\(=8x8\). Received: max_shift=8"):
        batches_of(dataset, Augmentation(max_shift=8))
