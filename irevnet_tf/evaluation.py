"""How well a model classifies, and how exactly it is inverted."""

import dataclasses

import keras
import numpy as np

from irevnet_tf.layers import FixedPoint
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What was measured on a set of images.

    Attributes:
        images: Number of images.
        correct: Number of images whose class has the highest output.
        inversion_error_mean: Mean over the images of the relative error
            `||x - x'||_2 / ||x||_2` of the reconstruction x'. In a lossless
            network x is the image as rounded to its grid.
        inversion_error_max: The largest relative error of an image.
        absolute_error_max: The largest `|x - x'|` of any pixel, in the units
            of the normalised images.
    """

    images: int
    correct: int
    inversion_error_mean: float
    inversion_error_max: float
    absolute_error_max: float

    @property
    def accuracy(self) -> float:
        """Fraction of images that are classified correctly."""
        return self.correct / self.images


def evaluate(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 64,
) -> Evaluation:
    """Measure accuracy and inversion error.

    Args:
        model: A Functional classifier of this package.
        images: float array (N, height, width, channels), normalised.
        labels: integer array (N,).
        batch_size: int. Images per step; does not change the meaning of the
            result.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: if there are no images, or not one label for each.
    """
    if len(images) == 0:
        raise ValueError(
            f"`images` must not be empty. Received: len(images)={len(images)}"
        )
    if labels.shape != (len(images),):
        raise ValueError(
            "`labels` must hold one class for each image, in the shape "
            f"{(len(images),)}. Received: labels.shape={labels.shape}"
        )
    encode = encoder(model)
    decode = invert(encode)
    both = keras.Model(encode.input, [model.output, decode(encode.output)])
    outputs, reconstructions = both.predict(
        images, batch_size=batch_size, verbose=0
    )
    for layer in encode.layers:
        if isinstance(layer, FixedPoint):
            images = layer(images).numpy()
    errors = relative_errors(images, reconstructions)
    return Evaluation(
        images=len(images),
        correct=int(np.sum(np.argmax(outputs, axis=-1) == labels)),
        inversion_error_mean=float(np.mean(errors)),
        inversion_error_max=float(np.max(errors)),
        absolute_error_max=float(np.max(np.abs(images - reconstructions))),
    )


def reconstruct(
    model: keras.Model, images: np.ndarray, batch_size: int = 64
) -> np.ndarray:
    """Encode images and rebuild them from their representations alone.

    Args:
        model: A network of this package, with or without its top.
        images: float array (N, height, width, channels), normalised.
        batch_size: int. Images per step.

    Returns:
        float array of the shape of `images`.
    """
    encode = encoder(model)
    autoencoder = keras.Model(encode.input, invert(encode)(encode.output))
    return autoencoder.predict(images, batch_size=batch_size, verbose=0)


def relative_errors(
    images: np.ndarray, reconstructions: np.ndarray
) -> np.ndarray:
    """Return the relative error of each image's reconstruction.

    Args:
        images: float array (N, ...), the originals.
        reconstructions: float array of the same shape.

    Returns:
        float64 array (N,) of `||x - x'||_2 / ||x||_2`. An image of zeros has
        no relative error; its absolute error stands in.
    """
    images = images.reshape(len(images), -1).astype("float64")
    differences = images - reconstructions.reshape(len(images), -1)
    norms = np.linalg.norm(images, axis=1)
    norms[norms == 0.0] = 1.0
    return np.linalg.norm(differences, axis=1) / norms
