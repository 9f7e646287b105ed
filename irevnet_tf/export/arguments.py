"""Checks of what is to be exported, before any work."""

import numbers
from collections.abc import Sequence

import keras
import numpy as np

from irevnet_tf.layers.base import InvertibleLayer
from irevnet_tf.models.predictions import class_names as names_of_mode
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.preprocessing import Normalization

DYNAMIC = "dynamic"
# An exported model takes what image files hold.
WHITE = 255.0


def check_normalization(preprocessing, channels: int) -> Normalization:
    """Return the normalization of raw images from 0 to 255.

    Args:
        preprocessing: a mode of `irevnet_tf.preprocess_input`, or a
            `Normalization`, whose `maximum` does not count.
        channels: of the images.

    Raises:
        ValueError: if it is neither, or does not fit the channels.
    """
    normalization = preprocessing
    if isinstance(preprocessing, str):
        normalization = PREPROCESSING.get(preprocessing)
    if not isinstance(normalization, Normalization):
        raise ValueError(
            "`preprocessing` must be one of "
            f"{', '.join(map(repr, PREPROCESSING))}, or an "
            "irevnet_tf.preprocessing.Normalization. "
            f"Received: preprocessing={preprocessing!r}"
        )
    mean, std = (
        tuple(map(float, values))
        for values in (normalization.mean, normalization.std)
    )
    if len(mean) not in (1, channels) or len(std) != len(mean):
        raise ValueError(
            "`preprocessing` must suit the model's images, of "
            f"{channels} channel(s). Received: preprocessing={preprocessing!r}"
        )
    if not (np.all(np.isfinite(mean + std)) and min(std) > 0):
        raise ValueError(
            "`preprocessing` must have finite numbers, and standard "
            "deviations above 0. "
            f"Received: preprocessing={preprocessing!r}"
        )
    return Normalization(WHITE, mean, std)


def check_image_shape(model: keras.Model, image_size) -> tuple:
    """Return (height, width, channels) of the images to export for.

    Args:
        model: with an i-RevNet in it.
        image_size: None for the model's own size, "dynamic" for any, an
            integer, or (height, width).

    Raises:
        ValueError: if it is none of these.
    """
    *own_size, channels = model.inputs[0].shape[1:]
    if image_size is None:
        return (*own_size, channels)
    if isinstance(image_size, str) and image_size == DYNAMIC:
        return (None, None, channels)
    if isinstance(image_size, np.ndarray):
        image_size = image_size.tolist()
    size = (image_size,) * 2 if _is_size(image_size) else image_size
    if (
        not isinstance(size, tuple | list)
        or len(size) != 2
        or not all(map(_is_size, size))
    ):
        raise ValueError(
            "`image_size` must be None (the model's), 'dynamic', a positive "
            "integer, or a pair of them, the height and the width. "
            f"Received: image_size={image_size!r}"
        )
    return (*map(int, size), channels)


def check_image_bytes(image_bytes: bool, image_shape: tuple) -> None:
    """Raise ValueError if files cannot be decoded to these images."""
    height, width, channels = image_shape
    if image_bytes and (None in (height, width) or channels not in (1, 3)):
        raise ValueError(
            "`image_bytes` needs images of a fixed size with 1 or 3 channels; "
            "`image_size` fixes it. "
            f"Received: image_bytes=True, image shape={image_shape}"
        )


def check_output(
    model: keras.Model,
    base: keras.Model,
    from_logits: bool | None,
    has_class_names: bool,
) -> tuple[str | None, bool]:
    """Return what to call the model's output, and whether it is logits.

    Args:
        model: with an i-RevNet in it.
        base: the i-RevNet in `model`.
        from_logits: whether it returns logits; None to find out.
        has_class_names: whether the user has names for classes.

    Returns:
        "probabilities" for a classifier, "outputs" for another head, None for
        a model that ends in its representation; and whether the probabilities
        are the softmax of what it returns.

    Raises:
        ValueError: if `from_logits` is no bool, or is given for what is no
            classifier.
    """
    output = model.outputs[0]
    if from_logits is not None:
        if not isinstance(from_logits, bool) or len(output.shape) != 2:
            raise ValueError(
                "`from_logits` must be None, or True or False for a model "
                "that returns a number for each class. "
                f"Received: from_logits={from_logits!r}, output shape="
                f"{output.shape}"
            )
        return "probabilities", from_logits
    layer = _last_layer(output)
    if isinstance(layer, InvertibleLayer):
        return None, False
    activation = getattr(layer, "activation", None)
    normalized = (keras.activations.softmax, keras.activations.sigmoid)
    if len(output.shape) != 2:
        return "outputs", False
    if isinstance(layer, keras.layers.Softmax) or activation in normalized:
        return "probabilities", False
    # A linear head may be for regression: it takes names, or to be that of
    # an i-RevNet, to be one for classes.
    is_classifier = has_class_names or any(layer is own for own in base.layers)
    if (
        isinstance(layer, keras.layers.Dense)
        and activation is keras.activations.linear
        and is_classifier
    ):
        return "probabilities", True
    return "outputs", False


def check_class_names(
    names: str | Sequence[str] | None, model: keras.Model, output: str | None
) -> tuple[str, ...] | None:
    """Return the name of every class that a model tells apart.

    Args:
        names: the names, or a mode of `irevnet_tf.decode_predictions`.
        model: the model.
        output: what `check_output` returned first.

    Raises:
        ValueError: if they are not as many names as the model has classes.
    """
    if names is None:
        return None
    found = names
    if isinstance(names, str):
        found = names_of_mode(names)
    if isinstance(found, np.ndarray):
        found = found.tolist()
    if not isinstance(found, list | tuple) or not all(
        isinstance(name, str) for name in found
    ):
        raise ValueError(
            "`class_names` must be a list of strings, or a mode of "
            f"`decode_predictions`. Received: class_names={names!r}"
        )
    if output != "probabilities":
        raise ValueError(
            "`class_names` must be None where the model's last layer is not "
            "recognised as a classifier's; `from_logits` tells that it is. "
            f"Received: {len(found)} class_names, model={model.name}"
        )
    classes = model.outputs[0].shape[-1]
    if len(found) != classes or classes < 2:
        raise ValueError(
            "`class_names` must be as many as the model's outputs, of which "
            f"there must be two or more. Received: {len(found)} class_names "
            f"for {classes} outputs"
        )
    return tuple(found)


def _is_size(value):
    is_integer = isinstance(value, numbers.Integral)
    return is_integer and not isinstance(value, bool) and value >= 1


def _last_layer(output):
    """Return the layer or operation that computes a Keras tensor."""
    operation = output._keras_history.operation
    while isinstance(operation, keras.Model):
        operation = operation.outputs[0]._keras_history.operation
    return operation
