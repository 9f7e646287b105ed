"""A sample image: what an export is tried and warmed up with."""

import math

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import InvertibleDownsampling
from irevnet_tf.layers import ReversibleSequence

# Of the sample for models that take any size, at least.
MINIMUM_SIZE = 32


def sample_images(model: keras.Model, count: int = 2) -> np.ndarray:
    """Return raw images that a model takes: ramps, from black to white.

    Args:
        model: as `inference_copy` returns it. Where its size is open, the
            images have the first one from 32 on that it takes.
        count: how many.

    Returns:
        float32 array (count, height, width, channels), whole numbers.
    """
    *size, channels = model.input_shape[1:]
    factor = _downsampling(model)
    open_size = math.ceil(MINIMUM_SIZE / factor) * factor
    height, width = (side or open_size for side in size)
    y, x = np.mgrid[0:height, 0:width]
    place = (x + 2 * y)[..., None] + np.arange(channels) * (width // 3)
    ramp = place * 255 // max(1, height + width)
    images = np.stack([ramp + 40 * index for index in range(count)])
    # A triangle wave: no edges, which noise is all of.
    return np.abs(images % 510 - 255).astype("float32")


def _downsampling(model):
    """Return the number that divides height and width of all images."""
    factor = 1
    for layer in model.layers:
        if isinstance(layer, InvertibleDownsampling):
            factor *= layer.block_size
        elif isinstance(layer, ReversibleSequence):
            factor *= math.prod(block.stride for block in layer.blocks)
    return factor


def round_trip(loaded, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Run both directions of a SavedModel.

    Args:
        loaded: what `tf.saved_model.load` returned.
        images: raw images.

    Returns:
        Their features, and the largest difference of a pixel, on the scale
        from 0 to 255, between the images and those that came back.

    Raises:
        tf.errors.InvalidArgumentError: if a lossless network leaves its
            range.
    """
    forward, inverse = (
        loaded.signatures[name] for name in ("forward", "inverse")
    )
    features = forward(images=tf.constant(images))["features"]
    back = inverse(features=features)["images"].numpy()
    return features.numpy(), float(np.max(np.abs(back - images)))
