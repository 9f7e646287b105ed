"""Comparing a finished export with its model."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from irevnet_tf.export.inference import check_model
from irevnet_tf.layers.fixed_point import OUT_OF_RANGE
from irevnet_tf.models.chains import find_chain
from irevnet_tf.preprocessing import Normalization

# Relative. Rounding, in half precision too, is below; other weights are not.
SAME = 0.05
# Of a pixel: beyond it, rounding to 8 bits gives another one.
HALF_A_STEP = 0.5
# Of the sample images for models that take any size, at least.
MINIMUM_SIZE = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """The result of running an export on sample images.

    Attributes:
        images: float32 array (2, height, width, channels). Raw images that
            the export takes.
        features: None or float array (2, h, w, c). Their representation. None
            if it is out of a lossless network's range.
        error: None or float. The largest difference of a pixel of the images
            that came back, from 0 to 255. None without features, and if it is
            not finite.
    """

    images: np.ndarray
    features: np.ndarray | None
    error: float | None


def compare_with_model(
    loaded, copy: keras.Model, model: keras.Model, normalization: Normalization
) -> Comparison:
    """Run both directions of an export, and compare them with the model.

    Sample images out of range and pixels that do not come back are logged as
    warnings, since they are no errors.

    Args:
        loaded: SavedModel. What `tf.saved_model.load` returned.
        copy: Keras model. What `inference_copy` returned.
        model: Keras model. The model that was exported.
        normalization: `Normalization`. From raw images to what the model takes.

    Raises:
        ValueError: if the export cannot take images of some size.
        RuntimeError: if its features are not the model's.
    """
    images = sample_images(copy, model.inputs[0].shape[1:3])
    try:
        found, error = round_trip(loaded, images)
        if None in copy.inputs[0].shape[1:]:
            _try_another_size(loaded, copy, images)
    except tf.errors.InvalidArgumentError as error:
        if OUT_OF_RANGE not in error.message:
            raise ValueError(
                "`model` must take images of every exported size. Received: "
                f"model={model.name}, exported for images "
                f"{copy.inputs[0].shape}: {error.message}"
            ) from error
        logging.warning(
            "The exported network cannot take a plain sample image, so that "
            "its inverse was not tried and no warm-up requests are written: "
            "%s",
            error.message,
        )
        return Comparison(images, None, None)
    if _takes(model, images):
        chain = check_model(model)
        encode = keras.Model(chain.model.inputs[0], chain.output)
        expected = encode(normalization.apply(images), training=False)
        _require_same(found["features"], expected.numpy())
    if not error < HALF_A_STEP:
        logging.warning(
            "Pixels of a sample image came back from the exported inverse off "
            "by up to %g, on the scale from 0 to 255.",
            error,
        )
    return Comparison(
        images, found["features"], error if np.isfinite(error) else None
    )


def sample_images(
    model: keras.Model, usual_size: tuple[int | None, int | None]
) -> np.ndarray:
    """Return two raw images that a model takes: ramps, from black to white.

    Args:
        model: Keras model. What `inference_copy` returned.
        usual_size: None or pair of ints. Height and width to take where the
            model's are open. Where these are open, too, it is the first size
            from 32 on that fits.

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
        loaded: SavedModel. What `tf.saved_model.load` returned.
        images: float32 array (N, height, width, channels). Raw images.

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


def _try_another_size(loaded, copy, images):
    step = find_chain(copy).downsampling
    larger = [side + step for side in images.shape[1:3]]
    round_trip(loaded, sample_images(copy, larger))


def _takes(model, images):
    return all(
        side in (None, actual)
        for side, actual in zip(
            model.inputs[0].shape[1:], images.shape[1:], strict=True
        )
    )


def _require_same(found, expected):
    difference = np.linalg.norm(found - expected)
    if not difference <= SAME * np.linalg.norm(expected):
        raise RuntimeError(
            "The export's features must be the model's, but are not; nothing "
            f"was written. Received: a difference of {difference:g} where "
            f"features have the norm {np.linalg.norm(expected):g}"
        )
