"""Reconstructions of images from their representations, and their errors."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.models.chains import find_chains
from irevnet_tf.models.chains import refuse_other_images
from irevnet_tf.models.graph import calls
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import inverse_of
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


@dataclasses.dataclass(frozen=True)
class RoundTrip:
    """There and back through a part of a network that has an inverse.

    Attributes:
        encode: Keras model. From images to a pair: what enters the part, as
            rounded to its grid if it has one, and the representation behind it.
        decode: Keras model. From the representation to what enters.
    """

    encode: keras.Model
    decode: keras.Model


def round_trips(model: keras.Model) -> list[RoundTrip]:
    """Return the ways there and back in a network.

    There is one in an i-RevNet, from the image; one for each stage of a RevNet,
    from the stage's entrance; one in a RevViT, from the tokens; and none in a
    network without invertible layers.

    Args:
        model: Keras model. Any network.

    Raises:
        ValueError: if its invertible layers are not in order, see
            `irevnet_tf.encoder`.
    """
    return [_round_trip(model, chain) for chain in find_chains(model)]


def _round_trip(model, chain):
    refuse_other_images(model, chain)
    first = chain.steps[0]
    is_rounding = isinstance(first.layer, FixedPointRounding)
    (entering,) = first.outputs if is_rounding else first.inputs
    encode = keras.Model(chain.model.input, [entering, chain.output])
    return RoundTrip(encode, inverse_of(chain))


def inverted(model: keras.Model) -> str:
    """Return what a network's representations can be led back to.

    Args:
        model: Keras model. The network. If it holds the one with the
            invertible layers, nothing changes an image in front of that.
    """
    chains = find_chains(model)
    if not chains:
        return "nothing"
    if len(chains) > 1:
        return f"{len(chains)} stages, each to its entrance"
    entering = chains[0].steps[0].inputs[0]
    if any(entering is x for x in chains[0].model.inputs):
        return "the image"
    names = [
        call.layer.name
        for call in calls(chains[0].model)
        if any(entering is x for x in call.outputs)
    ]
    return f"to what `{names[0]}` returns"


class InversionProbe:
    """Measures the inversion error on a few images, always the same.

    Args:
        model: Keras model. A network of this package. Its current weights
            count.
        images: float array (N, height, width, channels). Normalised images.
    """

    def __init__(self, model: keras.Model, images: np.ndarray):
        self._trips = round_trips(model)
        self._images = tf.constant(images)
        self._run = tf.function(self._values)

    def _values(self, images):
        pairs = []
        for trip in self._trips:
            entering, features = trip.encode(images, training=False)
            pairs.append((entering, trip.decode(features, training=False)))
        return pairs

    def measure(self) -> dict[str, float]:
        """Return the largest relative error `||x - x'|| / ||x||`, by its name.

        Of several parts of the network, that of the worst. Empty if it has
        nothing that can be inverted.
        """
        errors = [
            np.max(relative_errors(entering.numpy(), rebuilt.numpy()))
            for entering, rebuilt in self._run(self._images)
        ]
        return {"inversion_error": float(max(errors))} if errors else {}
