"""The sample images for trying and warming up an export."""

import math

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.models.chain import find_chain

# Of the sample for models that take any size, at least.
MINIMUM_SIZE = 32


def sample_images(
    model: keras.Model, usual_size: tuple[int | None, int | None]
) -> np.ndarray:
    """Return two raw images that a model takes: ramps, from black to white.

    Args:
        model: as `inference_copy` returns it.
        usual_size: height and width to take where the model's are open. Where
            they are open, too, it is the first one from 32 on that fits.

    Returns:
        float32 array (2, height, width, channels), whole numbers.
    """
    *size, channels = model.input_shape[1:]
    factor = find_chain(model).downsampling
    open_size = math.ceil(MINIMUM_SIZE / factor) * factor
    height, width = (
        side or usual or open_size
        for side, usual in zip(size, usual_size, strict=True)
    )
    y, x = np.mgrid[0:height, 0:width]
    place = (x + 2 * y)[..., None] + np.arange(channels) * (width // 3)
    ramp = place * 255 // max(1, height + width)
    # A triangle wave: no edges, which noise is all of.
    images = np.abs(np.stack([ramp, ramp + 40]) % 510 - 255)
    return images.astype("float32")


def round_trip(
    loaded, images: np.ndarray
) -> tuple[dict[str, np.ndarray], float]:
    """Run both directions of a SavedModel.

    Args:
        loaded: what `tf.saved_model.load` returned.
        images: raw images.

    Returns:
        What `forward` returns, and the largest difference of a pixel, on the
        scale from 0 to 255, between the images and those that came back.

    Raises:
        tf.errors.InvalidArgumentError: if it cannot take the images.
    """
    forward, inverse = (
        loaded.signatures[name] for name in ("forward", "inverse")
    )
    found = forward(images=tf.constant(images))
    back = inverse(features=found["features"])["images"].numpy()
    return (
        {name: tensor.numpy() for name, tensor in found.items()},
        float(np.max(np.abs(back - images))),
    )
