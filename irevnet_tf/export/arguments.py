"""Checks of what is to be exported, before any work."""

import dataclasses
import numbers
from collections.abc import Sequence

import keras

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.models.predictions import class_names as names_of_mode
from irevnet_tf.pixel_normalization import PREPROCESSING
from irevnet_tf.pixel_normalization import Normalization

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
            f"{', '.join(map(repr, PREPROCESSING))}, or a `Normalization`. "
            f"Received: preprocessing={preprocessing!r}"
        )
    if len(normalization.mean) not in (1, channels):
        raise ValueError(
            "`preprocessing` must suit the model's images, of "
            f"{channels} channel(s). Received: preprocessing={preprocessing!r}"
        )
    return dataclasses.replace(normalization, maximum=WHITE)


def check_image_shape(model: keras.Model, image_size) -> tuple:
    """Return (height, width, channels) of the images to export for.

    Args:
        model: with an i-RevNet in it.
        image_size: None for the model's own size, "dynamic" for any, an
            integer, or (height, width).

    Raises:
        ValueError: if it is none of these.
    """
    *own_size, channels = model.input_shape[1:]
    if image_size is None:
        return (*own_size, channels)
    if image_size == DYNAMIC:
        return (None, None, channels)
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
    model: keras.Model, from_logits: bool | None
) -> tuple[str | None, bool]:
    """Return what to call the model's output, and whether it is logits.

    Args:
        model: with an i-RevNet in it.
        from_logits: whether it returns logits; None to find out.

    Returns:
        "probabilities" for a classifier, "outputs" for another head, None for
        a model that ends in its representation; and whether the probabilities
        are the softmax of what it returns.

    Raises:
        ValueError: if `from_logits` is given for what is no classifier.
    """
    is_flat = len(model.outputs[0].shape) == 2
    if from_logits is not None:
        if not is_flat:
            raise ValueError(
                "`from_logits` must be None for a model that is no classifier. "
                f"Received: from_logits={from_logits}, output shape="
                f"{model.output_shape}"
            )
        return "probabilities", from_logits
    activation = _last_activation(model)
    if is_flat and activation in (
        keras.activations.softmax,
        keras.activations.sigmoid,
    ):
        return "probabilities", False
    if is_flat and activation is keras.activations.linear:
        return "probabilities", True
    return None if _ends_in_representation(model) else "outputs", False


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
    found = names_of_mode(names) if isinstance(names, str) else names
    if not isinstance(found, list | tuple) or not all(
        isinstance(name, str) for name in found
    ):
        raise ValueError(
            "`class_names` must be a list of strings, or a mode of "
            f"`decode_predictions`. Received: class_names={names!r}"
        )
    classes = model.output_shape[-1] if output == "probabilities" else 0
    if len(found) != classes:
        raise ValueError(
            f"`class_names` must be as many as the model's classes "
            f"(={classes}). Received: {len(found)} class_names"
        )
    return tuple(found)


def _is_size(value):
    is_integer = isinstance(value, numbers.Integral)
    return is_integer and not isinstance(value, bool) and value >= 1


def _last_activation(model):
    layer = model.layers[-1]
    if isinstance(layer, keras.Model):
        return _last_activation(layer)
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax
    return getattr(layer, "activation", None)


def _ends_in_representation(model):
    last = model.layers[-1]
    if isinstance(last, keras.Model):
        return _ends_in_representation(last)
    return isinstance(last, ChannelMerge)
