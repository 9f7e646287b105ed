"""Comparing a finished export with its model."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from irevnet_tf.export.inference import check_model
from irevnet_tf.export.sample import round_trip
from irevnet_tf.export.sample import sample_images
from irevnet_tf.layers.fixed_point import OUT_OF_RANGE
from irevnet_tf.models.chain import find_chain
from irevnet_tf.preprocessing import Normalization

# Relative. Rounding, in half precision too, is below; other weights are not.
SAME = 0.05
# Of a pixel: beyond it, rounding to 8 bits gives another one.
HALF_A_STEP = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """What came of trying an export.

    Attributes:
        images: raw images that it takes.
        features: theirs. None if they are out of a lossless network's range.
        error: the largest difference of a pixel of those that came back, from
            0 to 255. None without features, and if it is not finite.
    """

    images: np.ndarray
    features: np.ndarray | None
    error: float | None


def try_export(
    loaded, copy: keras.Model, model: keras.Model, normalization: Normalization
) -> Trial:
    """Run both directions of an export, and compare them with the model.

    What is no error, but strange, is logged as a warning: sample images out of
    range, and pixels that do not come back.

    Args:
        loaded: what `tf.saved_model.load` returned.
        copy: what `inference_copy` returned.
        model: what was exported.
        normalization: from raw images to what the model takes.

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
        return Trial(images, None, None)
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
    return Trial(
        images, found["features"], error if np.isfinite(error) else None
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
