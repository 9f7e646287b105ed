"""Tests of irevnet_tf.data.decoding."""

import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf.data.decoding import central_crop
from irevnet_tf.data.decoding import random_resized_crop

ENCODERS = {
    "jpeg": lambda image: tf.io.encode_jpeg(image, quality=100),
    "png": tf.io.encode_png,
}


def gradient(height, width, channels=3):
    """An image that JPEG hardly changes, and whose values tell the place."""
    rows = np.linspace(0, 120, height)[:, None, None]
    columns = np.linspace(0, 120, width)[None, :, None]
    return (rows + columns + np.zeros(channels)).astype("uint8")


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("height, width", [(64, 64), (96, 64), (64, 130)])
def test_central_crop_is_the_middle_of_the_resized_image(encode, height, width):
    image = gradient(height, width)
    cropped = central_crop(encode(image), (28, 28, 3))
    assert cropped.shape == (28, 28, 3) and cropped.dtype == "float32"
    scale = 32 / min(height, width)
    size = (round(height * scale), round(width * scale))
    resized = tf.image.resize(image, size, antialias=True)
    top, left = (size[0] - 28) // 2, (size[1] - 28) // 2
    expected = resized[top : top + 28, left : left + 28]
    # Half a pixel of the gradient, and the noise of JPEG.
    np.testing.assert_allclose(cropped, expected, atol=5.0)


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
def test_random_crops_are_parts_of_the_image(encode):
    image = gradient(60, 80)
    encoded = encode(image)
    decoded = tf.io.decode_image(encoded)
    for seed in range(10):
        seed = tf.constant([seed, 7], "int64")
        cropped = random_resized_crop(encoded, (16, 16, 3), seed)
        assert cropped.shape == (16, 16, 3) and cropped.dtype == "float32"
        again = random_resized_crop(encoded, (16, 16, 3), seed)
        np.testing.assert_array_equal(again, cropped)
        from_array = random_resized_crop(decoded, (16, 16, 3), seed)
        # The decoder interpolates colors differently at the border of a crop.
        np.testing.assert_allclose(cropped, from_array, atol=2.0)


def test_random_crops_cover_the_documented_part_of_the_image():
    image = gradient(100, 100)
    corners = []
    for seed in range(60):
        crop = random_resized_crop(
            tf.constant(image), (8, 8, 3), tf.constant([seed, 0], "int64")
        ).numpy()
        height = np.ptp(crop[:, 0, 0]) * 8 / 7 / 120
        width = np.ptp(crop[0, :, 0]) * 8 / 7 / 120
        corners.append((height, width))
    heights, widths = np.array(corners).T
    areas, ratios = heights * widths, widths / heights
    assert areas.min() > 0.05 and areas.min() < 0.25
    assert areas.max() > 0.75
    assert ratios.min() > 0.65 and ratios.max() < 1.55


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("channels, wanted", [(1, 3), (3, 1), (1, 1)])
def test_channels_are_converted(encode, channels, wanted):
    encoded = encode(gradient(16, 16, channels))
    seed = tf.constant([0, 0], "int64")
    shape = (8, 8, wanted)
    assert central_crop(encoded, shape).shape == shape
    assert random_resized_crop(encoded, shape, seed).shape == shape


def test_tiny_images_are_enlarged():
    encoded = tf.io.encode_png(gradient(1, 3))
    assert central_crop(encoded, (8, 8, 3)).shape == (8, 8, 3)


def test_images_in_memory_are_not_cropped_for_testing():
    image = tf.constant(gradient(8, 8))
    np.testing.assert_array_equal(central_crop(image, (8, 8, 3)), image)


def test_central_crop_leaves_images_that_are_small_enough_whole():
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), "uint8")
    raw = tf.io.encode_png(image)
    np.testing.assert_array_equal(central_crop(raw, (16, 16, 3)), image)
