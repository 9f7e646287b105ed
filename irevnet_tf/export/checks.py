"""Checks of the arguments of an export, before any work."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from irevnet_tf.export.inference import check_model
from irevnet_tf.export.version_directory import import_serving_api
from irevnet_tf.export.version_directory import serving_api_is_installed
from irevnet_tf.layers.base import InvertibleLayer
from irevnet_tf.layers.base import is_integer
from irevnet_tf.layers.downsampling import check_divisible
from irevnet_tf.models.graph import last_call
from irevnet_tf.models.model import find_preprocessing
from irevnet_tf.models.predictions import class_names as names_of_mode
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.preprocessing import Normalization
from irevnet_tf.quantization.certificate import Certificate
from irevnet_tf.quantization.certificate import certify
from irevnet_tf.quantization.certificate import is_portable
from irevnet_tf.quantization.pixels import check_export_range

DYNAMIC = "dynamic"
WHITE = 255.0  # An exported model takes what image files hold.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """The arguments of `export_saved_model`, checked and filled in.

    Attributes:
        preprocessing: str or `Normalization`. The user's, or the model's.
        normalization: `Normalization`. What `preprocessing` stands for.
        image_shape: tuple. Height, width and channels, where height and width
            may be None.
        output: None or str. As `recognise_head` returns it.
        from_logits: bool. As `recognise_head` returns it.
        class_names: None or tuple of str. The name of every class.
        image_bytes: bool. Whether to add `forward_bytes`.
        reconstruct_from: None, str or int. The point of `reconstruct`.
        warmup: bool. Whether to add warm-up requests.
        certificate: None or `Certificate`. That of a portable network.
    """

    preprocessing: str | Normalization
    normalization: Normalization
    image_shape: tuple[int | None, int | None, int]
    output: str | None
    from_logits: bool
    class_names: tuple[str, ...] | None
    image_bytes: bool
    reconstruct_from: str | int | None
    warmup: bool
    certificate: Certificate | None


def check_arguments(
    model: keras.Model,
    *,
    preprocessing,
    image_size,
    class_names,
    from_logits,
    image_bytes,
    reconstruct_from,
    warmup,
) -> ExportSettings:
    """Return the arguments of `export_saved_model`, checked and filled in.

    `reconstruct_from` is checked where the models up to it are made.

    Raises:
        ValueError: if the model cannot be exported, or an argument does not
            fit it.
        ImportError: if `warmup` is True and its package is not installed.
    """
    chain = check_model(model)
    if preprocessing is None:
        preprocessing = find_preprocessing(chain)
    is_given, preprocessing = bool(preprocessing), preprocessing or "unit"
    image_shape = check_image_shape(model, image_size)
    check_divisible(image_shape[:2], chain.downsampling)
    check_image_bytes(image_bytes, image_shape)
    normalization = check_normalization(preprocessing, image_shape[-1])
    output, from_logits = recognise_head(
        model, chain.model, from_logits, class_names is not None
    )
    class_names = check_class_names(class_names, model, output)
    certificate = certify(model) if is_portable(chain) else None
    if certificate is not None:
        check_export_range(chain.layers[0], normalization, is_given)
    if warmup is None:
        warmup = serving_api_is_installed()
    elif warmup:
        import_serving_api()
    return ExportSettings(
        preprocessing=preprocessing,
        normalization=normalization,
        image_shape=image_shape,
        output=output,
        from_logits=from_logits,
        class_names=class_names,
        image_bytes=image_bytes,
        reconstruct_from=reconstruct_from,
        warmup=warmup,
        certificate=certificate,
    )


def check_normalization(preprocessing, channels: int) -> Normalization:
    """Return the normalization of raw images from 0 to 255.

    Args:
        preprocessing: str or `Normalization`. A mode of
            `irevnet_tf.preprocess_input`, or a `Normalization`, whose
            `maximum` does not count.
        channels: int. Channels of the images.

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
        model: Keras model. A model with an i-RevNet in it.
        image_size: None, int, pair of ints or str. None for the model's own
            size, "dynamic" for any, an integer, or (height, width).

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
    size = (image_size,) * 2 if is_integer(image_size, 1) else image_size
    if (
        not isinstance(size, tuple | list)
        or len(size) != 2
        or not all(is_integer(side, 1) for side in size)
    ):
        raise ValueError(
            "`image_size` must be None (the model's), 'dynamic', a positive "
            "integer, or a pair of them, the height and the width. "
            f"Received: image_size={image_size!r}"
        )
    return (*map(int, size), channels)


def check_image_bytes(image_bytes: bool, image_shape: tuple) -> None:
    """Raise ValueError if files cannot be decoded to these images.

    Args:
        image_bytes: bool. Whether files are to be decoded.
        image_shape: tuple. Height, width and channels, where height and width
            may be None.
    """
    height, width, channels = image_shape
    if image_bytes and (None in (height, width) or channels not in (1, 3)):
        raise ValueError(
            "`image_bytes` needs images of a fixed size with 1 or 3 channels; "
            "`image_size` fixes it. "
            f"Received: image_bytes=True, image shape={image_shape}"
        )


def recognise_head(
    model: keras.Model,
    base: keras.Model,
    from_logits: bool | None,
    has_class_names: bool,
) -> tuple[str | None, bool]:
    """Return the name of the model's output, and whether it is logits.

    The model's last layer decides, unless `from_logits` is given: a layer
    with a softmax or sigmoid returns probabilities. A Dense layer without
    activation returns logits if it is the i-RevNet's own, or has names for its
    classes; otherwise it may be for regression.

    Args:
        model: Keras model. A model with an i-RevNet in it.
        base: Keras model. The i-RevNet in `model`.
        from_logits: None or bool. Whether the model returns logits; None to
            find out.
        has_class_names: bool. Whether the user has names for classes.

    Returns:
        "probabilities" for a classifier, "outputs" for another head, None for
        a model that ends in its representation; and whether the probabilities
        are the softmax of what it returns.

    Raises:
        ValueError: if `from_logits` is no bool, or is given for a model that is
            no classifier.
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
    layer = last_call(model).layer
    if isinstance(layer, InvertibleLayer):
        return None, False
    if len(output.shape) != 2:
        return "outputs", False
    activation = getattr(layer, "activation", None)
    normalized = (keras.activations.softmax, keras.activations.sigmoid)
    if isinstance(layer, keras.layers.Softmax) or activation in normalized:
        return "probabilities", False
    is_linear = (
        isinstance(layer, keras.layers.Dense)
        and activation is keras.activations.linear
    )
    is_own = any(layer is own for own in base.layers)
    if is_linear and (is_own or has_class_names):
        return "probabilities", True
    return "outputs", False


def check_class_names(
    names: str | Sequence[str] | None, model: keras.Model, output: str | None
) -> tuple[str, ...] | None:
    """Return the name of every class that a model tells apart.

    Args:
        names: None, str or sequence of str. The names, or a mode of
            `irevnet_tf.decode_predictions`.
        model: Keras model. A model with an i-RevNet in it.
        output: None or str. What `recognise_head` returned first.

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
