"""How well a model classifies, and how exactly it is inverted."""

import dataclasses
from collections.abc import Iterable

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
    batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    classes: np.ndarray | None = None,
) -> Evaluation:
    """Measure accuracy and inversion error.

    Args:
        model: A classifier that `irevnet_tf.encoder` takes, and that changes
            no image before its invertible layers.
        batches: Images (batch, height, width, channels), normalised, one-hot
            labels (batch, classes), and weights (batch,): an example with
            the weight 0 only fills its batch up. As
            `irevnet_tf.data.evaluation_batches` makes them.
        classes: int array, the model's class for each class of the labels, if
            they do not count alike.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: if there are no images.
    """
    encode = encoder(model)
    decode = invert(encode)
    classify_and_encode = _both(model, encode)
    correct, errors, largest = 0, [], 0.0
    for batch in batches:
        images, labels, weights = map(np.asarray, batch)
        counts = weights > 0
        if not np.any(counts):
            continue
        outputs, features = classify_and_encode(images)
        reconstructions = decode.predict_on_batch(features)
        expected = np.argmax(labels, axis=-1)
        if classes is not None:
            expected = classes[expected]
        hits = np.argmax(outputs, axis=-1) == expected
        correct += int(np.sum(hits[counts]))
        images = on_grid(encode, images)[counts]
        reconstructions = reconstructions[counts]
        errors.extend(relative_errors(images, reconstructions))
        difference = np.max(np.abs(images - reconstructions))
        largest = max(largest, float(difference))
    if not errors:
        raise ValueError(
            "`batches` must hold images. Received: none with a weight above 0"
        )
    return Evaluation(
        images=len(errors),
        correct=correct,
        inversion_error_mean=float(np.mean(errors)),
        inversion_error_max=float(np.max(errors)),
        absolute_error_max=largest,
    )


def _both(model, encode):
    """Return a function from images to a model's outputs and its features."""
    (output,) = model.outputs
    if encode.inputs[0] is model.inputs[0]:
        # Not called: that would leave a trace in the model's layers.
        return keras.Model(
            model.inputs[0], [output, encode.output]
        ).predict_on_batch
    return lambda images: (
        keras.tree.flatten(model.predict_on_batch(images))[0],
        encode.predict_on_batch(images),
    )


def on_grid(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Round images as a lossless network does before anything else.

    Args:
        model: A network of this package, or its encoder.
        images: float array.

    Returns:
        What the network can give back; `images` if it is not lossless.
    """
    for layer in model.layers:
        if isinstance(layer, FixedPoint):
            images = layer(images).numpy()
    return images


def reconstruct(
    model: keras.Model,
    images: np.ndarray,
    batch_size: int = 64,
    point: str | int | None = None,
) -> np.ndarray:
    """Encode images and rebuild them from their representations alone.

    Args:
        model: A network of this package, with or without its top.
        images: float array (N, height, width, channels), normalised.
        batch_size: int. Images per step.
        point: Where the representations are taken, as `end` of
            `irevnet_tf.encoder`; the end if None.

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
