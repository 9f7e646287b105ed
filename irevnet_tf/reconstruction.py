"""Reconstructions of images from their representations, and their errors."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert


def on_grid(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Round images as a lossless network does before anything else.

    Args:
        model: Keras model. A network of this package, or its encoder.
        images: float array. The images, normalised.

    Returns:
        What the network can give back; `images` if it is not lossless.
    """
    for layer in model.layers:
        if isinstance(layer, FixedPointRounding):
            images = layer(images).numpy()
    return images


def reconstruct(
    model: keras.Model,
    images: np.ndarray,
    batch_size: int = 64,
    point: str | int | None = None,
) -> np.ndarray:
    """Encode images and rebuild them from their representations.

    Args:
        model: Keras model. A network of this package, with or without its top.
        images: float array (N, height, width, channels). Normalised images.
        batch_size: int. Images per step.
        point: None, str or int. Where the representations are taken, as `end`
            of `irevnet_tf.encoder`; the end if None.

    Returns:
        float array of the shape of `images`.
    """
    encode, decode = encoder(model, point), invert(model, point)
    return np.concatenate(
        [
            decode.predict_on_batch(
                encode.predict_on_batch(images[start : start + batch_size])
            )
            for start in range(0, len(images), batch_size)
        ]
    )


def relative_errors(
    images: np.ndarray, reconstructions: np.ndarray
) -> np.ndarray:
    """Return the relative error of each image's reconstruction.

    Args:
        images: float array, images first. The originals.
        reconstructions: float array of the same shape. What came back.

    Returns:
        float64 array (N,) of `||x - x'||_2 / ||x||_2`. An image of zeros has
        no relative error; its absolute error stands in.

    Raises:
        ValueError: if the shapes differ, as for a network whose inverse ends
            in tokens.
    """
    if images.shape != reconstructions.shape:
        raise ValueError(
            "Reconstructions must have the shape of the images, which they do "
            "not if other layers stand in front of a network's invertible "
            f"ones. Received: images with shape {images.shape}, "
            f"reconstructions with shape {reconstructions.shape}"
        )
    images = images.reshape(len(images), -1).astype("float64")
    differences = images - reconstructions.reshape(len(images), -1)
    norms = np.linalg.norm(images, axis=1)
    norms[norms == 0.0] = 1.0
    return np.linalg.norm(differences, axis=1) / norms


class InversionProbe:
    """Measures the inversion error on a few images, always the same.

    Args:
        model: Keras model. A network of this package. Its current weights
            count.
        images: float array (N, height, width, channels). Normalised images.
    """

    def __init__(self, model: keras.Model, images: np.ndarray):
        encode = encoder(model)
        decode = invert(encode)
        self._images = on_grid(encode, images)
        self._rebuild = tf.function(
            lambda x: decode(encode(x, training=False), training=False)
        )

    def measure(self) -> float:
        """Return the largest relative error `||x - x'|| / ||x||`."""
        rebuilt = self._rebuild(tf.constant(self._images)).numpy()
        return float(np.max(relative_errors(self._images, rebuilt)))
