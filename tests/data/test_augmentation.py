"""Tests of irevnet_tf.data.augmentation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf.data import Augmentation

SHAPE = (12, 12, 3)


def random_images(count, shape=SHAPE):
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, *shape)).astype("float32")


def changed(augmentation, images, maximum=255.0):
    """The images, each changed with a seed of its own, under tf.data."""
    change = augmentation.for_images(images.shape[1:], maximum)

    def example(i, image):
        return change(image, tf.stack([i, tf.constant(1, "int64")]))

    results = (
        tf.data.Dataset.from_tensor_slices(images)
        .enumerate()
        .map(example, num_parallel_calls=2)
    )
    assert results.element_spec == tf.TensorSpec(images.shape[1:], "float32")
    return np.stack(list(results.as_numpy_iterator()))


def mixed(augmentation, images, labels, seed):
    mix = augmentation.for_batches()
    return tf.data.Dataset.from_tensors((images, labels)).map(
        lambda x, y: mix(x, y, tf.constant([seed, 1], "int64"))
    )


def test_default_changes_nothing():
    images = random_images(4)
    labels = np.eye(4, dtype="float32")
    np.testing.assert_array_equal(changed(Augmentation(), images), images)
    (batch,) = mixed(Augmentation(), images, labels, 0)
    np.testing.assert_array_equal(batch[0], images)
    np.testing.assert_array_equal(batch[1], labels)


def test_shifts_are_whole_pixels_and_all_equally_frequent():
    images = np.zeros((2000, 9, 9, 1), "float32")
    images[:, 4, 4] = 200.0
    shifted = changed(Augmentation(max_shift=2), images)
    assert set(np.unique(shifted)) == {0.0, 200.0}
    places = np.argwhere(shifted[..., 0])
    assert len(places) == 2000
    counts = np.zeros((9, 9), int)
    np.add.at(counts, tuple(places[:, 1:].T), 1)
    assert counts[2:7, 2:7].sum() == 2000
    # Of 25 shifts each should be there 80 times, with a deviation of 9.
    assert counts[2:7, 2:7].min() > 80 - 5 * 9
    assert counts[2:7, 2:7].max() < 80 + 5 * 9


def test_black_is_shifted_in():
    images = np.full((64, 6, 6, 1), 99.0, "float32")
    shifted = changed(Augmentation(max_shift=1), images)
    assert set(np.unique(shifted)) == {0.0, 99.0}
    assert np.all(shifted[:, 1:5, 1:5] == 99.0)


def test_images_are_mirrored_only_if_asked():
    images = random_images(64)
    mirrored = images[:, :, ::-1]
    flipped = changed(Augmentation(flip=True), images)
    is_same = np.all(flipped == images, axis=(1, 2, 3))
    is_mirrored = np.all(flipped == mirrored, axis=(1, 2, 3))
    assert np.all(is_same ^ is_mirrored)
    assert 16 < is_mirrored.sum() < 48
    left = np.zeros((64, 8, 8, 1), "float32")
    left[:, :, :2] = 1.0
    assert np.all(changed(Augmentation(max_shift=1), left)[:, :, 4:] == 0.0)


@pytest.mark.parametrize("maximum", [1.0, 255.0])
def test_color_jitter_changes_colors_within_the_range(maximum):
    images = random_images(64) / 255.0 * maximum
    result = changed(Augmentation(color_jitter=0.5), images, maximum)
    assert result.min() >= -1e-4 * maximum
    assert result.max() <= maximum * (1 + 1e-4)
    difference = result.mean(axis=(1, 2, 3)) - images.mean(axis=(1, 2, 3))
    assert difference.min() < -0.1 * maximum
    assert difference.max() > 0.1 * maximum
    contrast = result.std(axis=(1, 2, 3)) / images.std(axis=(1, 2, 3))
    assert contrast.min() < 0.8


def test_color_jitter_changes_saturation_in_both_directions():
    images = np.tile(
        np.array([140.0, 120.0, 120.0], "float32"), (64, 12, 12, 1)
    )
    result = changed(Augmentation(color_jitter=0.2), images)
    saturation = 1 - result[:, 0, 0].min(axis=-1) / result[:, 0, 0].max(axis=-1)
    original = 1 - 120 / 140
    assert saturation.min() < original < saturation.max()


def test_rand_augment_changes_images_within_the_range():
    images = random_images(12)
    result = changed(Augmentation(rand_augment=0.5), images)
    assert np.any(result != images, axis=(1, 2, 3)).sum() >= 8
    assert result.min() >= -0.5 and result.max() <= 255.5


def test_random_erasing_replaces_a_rectangle_in_a_part_of_the_images():
    images = np.full((200, *SHAPE), 300.0, "float32")
    result = changed(Augmentation(random_erasing=0.5), images)
    erased = np.any(result != 300.0, axis=-1)
    assert 70 < np.any(erased, axis=(1, 2)).sum() < 130
    for image in erased[np.any(erased, axis=(1, 2))]:
        rows, columns = np.any(image, axis=1), np.any(image, axis=0)
        assert np.array_equal(image, np.outer(rows, columns))


ALL_IMAGE_CHANGES = Augmentation(
    max_shift=2,
    flip=True,
    color_jitter=0.3,
    rand_augment=0.5,
    random_erasing=0.5,
)


def test_seed_determines_the_changes():
    change = ALL_IMAGE_CHANGES.for_images(SHAPE, 255.0)
    again = ALL_IMAGE_CHANGES.for_images(SHAPE, 255.0)
    (image,) = random_images(1)
    seeds = tf.constant([[1, 2], [1, 3]], "int64")
    first = change(image, seeds[0])
    other = change(image, seeds[1])
    np.testing.assert_array_equal(change(image, seeds[0]), first)
    np.testing.assert_array_equal(again(image, seeds[0]), first)
    assert not np.array_equal(first, other)
    under_tf_data = changed(ALL_IMAGE_CHANGES, image[None])[0]
    np.testing.assert_allclose(
        under_tf_data,
        change(image, tf.constant([0, 1], "int64")),
        # Fusion of operations rounds differently.
        atol=1e-3,
    )


def test_images_keep_full_precision_under_a_mixed_policy():
    policy = keras.config.dtype_policy()
    images = random_images(8) + 0.123
    expected = changed(ALL_IMAGE_CHANGES, images)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed_policy = changed(ALL_IMAGE_CHANGES, images)
    finally:
        keras.config.set_dtype_policy(policy)
    np.testing.assert_array_equal(mixed_policy, expected)


def test_mixup_mixes_images_like_labels():
    images = np.zeros((8, 4, 4, 1), "float32")
    images += np.arange(8)[:, None, None, None]
    labels = np.eye(8, dtype="float32")
    ((x, y),) = mixed(Augmentation(mixup_alpha=1.0), images, labels, 0)
    assert x.dtype == y.dtype == "float32"
    np.testing.assert_allclose(tf.reduce_sum(y, axis=-1), 1.0, rtol=1e-6)
    assert np.any((y > 0.1) & (y < 0.9))
    values = tf.linalg.matvec(y, tf.range(8.0))
    np.testing.assert_allclose(x[:, 0, 0, 0], values, rtol=1e-5)
    assert np.all(x == x[:, :1, :1])


def test_cutmix_pastes_rectangles_and_mixes_labels_by_area():
    images = np.zeros((8, 32, 32, 1), "float32")
    images += np.arange(8)[:, None, None, None]
    labels = np.eye(8, dtype="float32")
    ((x, y),) = mixed(Augmentation(cutmix_alpha=1.0), images, labels, 0)
    assert x.dtype == y.dtype == "float32"
    np.testing.assert_allclose(tf.reduce_sum(y, axis=-1), 1.0, rtol=1e-6)
    assert np.all(x == np.round(x))
    areas = np.mean(x[..., 0, None] == np.arange(8), axis=(1, 2))
    assert np.any((areas > 0.1) & (areas < 0.9))
    # Keras' rectangles end within pixels, its areas do not.
    np.testing.assert_allclose(y, areas, atol=0.07)


def test_one_of_mixup_and_cutmix_is_chosen_for_each_batch():
    images = np.zeros((8, 4, 4, 1), "float32")
    images += np.arange(8)[:, None, None, None]
    labels = np.eye(8, dtype="float32")
    both = Augmentation(mixup_alpha=1.0, cutmix_alpha=1.0)
    mix = both.for_batches()
    is_whole = set()
    for seed in range(8):
        x, _ = mix(images, labels, tf.constant([seed, 0], "int64"))
        is_whole.add(bool(np.all(x == np.round(x))))
    assert is_whole == {True, False}


@pytest.mark.parametrize("name", ["max_shift", "mixup_alpha"])
def test_negative_values_are_refused(name):
    with pytest.raises(ValueError, match=f"least 0. Received: {name}=-1"):
        Augmentation(**{name: -1})


@pytest.mark.parametrize(
    "name", ["color_jitter", "rand_augment", "random_erasing", "cutmix_alpha"]
)
def test_values_out_of_range_are_refused(name):
    for value in (-0.1, 1.1):
        with pytest.raises(
            ValueError, match=f"0 and at most 1. Received: {name}={value}"
        ):
            Augmentation(**{name: value})


def test_changes_that_do_not_suit_the_images_are_refused():
    with pytest.raises(ValueError, match=r"\(=4x6\). Received: max_shift=4"):
        Augmentation(max_shift=4).for_images((4, 6, 1), 255.0)
    for name in ("color_jitter", "rand_augment"):
        with pytest.raises(
            ValueError, match=rf"1 channel\(s\). Received: {name}=0.5"
        ):
            Augmentation(**{name: 0.5}).for_images((8, 8, 1), 255.0)
