"""Checks of the arguments that networks are built with."""

import keras
import numpy as np

from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.zoo.files import check_weights_path

# Values below 1024, in steps fine enough for images of 8 bits at any usual
# scale.
DEFAULT_FRACTION_BITS = 14


def check_stages(blocks, strides, channels):
    stages = {"blocks": blocks, "strides": strides, "channels": channels}
    for key, value in stages.items():
        if not np.iterable(value):
            raise ValueError(
                f"`{key}` must be a sequence with an entry for each stage. "
                f"Received: {key}={value!r}"
            )
    stages = {key: tuple(value) for key, value in stages.items()}
    received = ", ".join(f"{key}={value}" for key, value in stages.items())
    if len(set(map(len, stages.values()))) != 1 or not stages["blocks"]:
        raise ValueError(
            "`blocks`, `strides` and `channels` must be non-empty and of the "
            f"same length. Received: {received}"
        )
    stages = {
        key: tuple(check_positive_int(key, value) for value in values)
        for key, values in stages.items()
    }
    if not set(stages["strides"]) <= {1, 2}:
        raise ValueError(f"`strides` must be 1 or 2. Received: {received}")
    return stages.values()


def check_options(
    initial_downsampling, dropout_rate, pooling, classes, weights
):
    if initial_downsampling not in (1, 2, 4):
        raise ValueError(
            "`initial_downsampling` must be 1, 2 or 4. "
            f"Received: initial_downsampling={initial_downsampling}"
        )
    if not 0 <= dropout_rate < 1:
        raise ValueError(
            "`dropout_rate` must be at least 0 and less than 1. "
            f"Received: dropout_rate={dropout_rate}"
        )
    if pooling not in (None, "avg", "max"):
        raise ValueError(
            "`pooling` must be None, 'avg' or 'max'. "
            f"Received: pooling={pooling!r}"
        )
    check_positive_int("classes", classes)
    if weights is not None:
        check_weights_path(
            weights,
            "None (random initialization) or the path of an existing file "
            "that ends in .weights.h5; names of weights belong to the named "
            "networks",
        )


def check_image_shape(input_shape):
    if (
        not isinstance(input_shape, tuple | list)
        or len(input_shape) != 3
        or input_shape[-1] is None
        or not all(side is None or side >= 1 for side in input_shape)
    ):
        raise ValueError(
            "`input_shape` must be (height, width, channels), positive, with "
            f"a known number of channels. Received: input_shape={input_shape}"
        )


def check_input_tensor(input_tensor):
    if not keras.utils.is_keras_tensor(input_tensor):
        raise ValueError(
            "`input_tensor` must be a Keras tensor, such as keras.Input "
            f"returns. Received: input_tensor of type {type(input_tensor)}"
        )
    if not keras.backend.is_float_dtype(input_tensor.dtype):
        raise ValueError(
            "`input_tensor` must be of floats; of whole numbers, give what "
            "keras.layers.Rescaling makes of them. "
            f"Received: input_tensor of {input_tensor.dtype}"
        )


def check_lossless(lossless: bool, fraction_bits: int) -> None:
    """Raise ValueError for `fraction_bits` that would have no effect."""
    if fraction_bits != DEFAULT_FRACTION_BITS and not lossless:
        raise ValueError(
            "`fraction_bits` counts only with `lossless` or `portable`. "
            f"Received: fraction_bits={fraction_bits}, lossless={lossless}"
        )


def check_portable(portable: bool, weights) -> None:
    """Raise ValueError for a portable network that nothing was made of.

    Or under a policy of float64.
    """
    if portable and stream_dtype() != "float32":
        raise ValueError(
            "Portable networks compute in float32, in which they are proven "
            "to be exact: build them under another dtype policy. Received: "
            f"portable={portable}, dtype policy={stream_dtype()}"
        )
    if portable and weights is None:
        raise ValueError(
            "`portable=True` needs `weights`, those of a portable network: "
            "`irevnet_tf.portable` makes one of a trained one. "
            f"Received: portable={portable}, weights=None"
        )


def check_activation(activation, weights, include_top):
    try:
        function = keras.activations.get(activation)
    except ValueError as error:
        raise ValueError(
            "`classifier_activation` must be None, a callable or the name of "
            "a Keras activation. Received: "
            f"classifier_activation={activation!r}"
        ) from error
    trained = (keras.activations.linear, keras.activations.softmax)
    if weights is not None and include_top and function not in trained:
        raise ValueError(
            "`classifier_activation` must be None or 'softmax' if `weights` "
            "are loaded into the classifier. Received: "
            f"classifier_activation={activation!r}"
        )
    return function
