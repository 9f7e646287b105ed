"""What all layers of the invertible stream have in common."""

import numbers

import keras


def stream_dtype() -> str:
    """Return the dtype of the streams under the global dtype policy.

    Under a mixed or half-precision policy the residual functions compute in
    half precision, but the streams that are added up and subtracted again stay
    float32: at bfloat16's 8 bits the sum itself would lose what the inverse
    has to give back.
    """
    wide = keras.config.dtype_policy().variable_dtype == "float64"
    return "float64" if wide else "float32"


class InvertibleLayer(keras.layers.Layer):
    """A bijective (or injective) layer of the invertible stream.

    Subclasses put `call` and `inverse` side by side, and
    `compute_output_shape` and `compute_inverse_shape` with them. For every
    input `x`, `layer.inverse(layer(x))` is `x`, to rounding.

    Args:
        dtype: dtype policy. Defaults to float32 (float64 under a float64
            policy) whatever the global policy is, see `stream_dtype`.
        **kwargs: `name` and `trainable`, as for every Keras layer.
    """

    def __init__(self, *, dtype=None, **kwargs):
        super().__init__(dtype=dtype or stream_dtype(), **kwargs)


def check_positive_int(name: str, value) -> int:
    """Return `value` as an int if it is a positive integer, else raise."""
    is_integer = isinstance(value, numbers.Integral)
    if isinstance(value, bool) or not is_integer or value < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return int(value)


def check_pair(shapes, layer: keras.layers.Layer) -> None:
    """Raise ValueError unless `shapes` are those of two tensors."""
    if len(shapes) != 2 or not all(isinstance(s, tuple | list) for s in shapes):
        raise ValueError(
            f"{layer.name} takes a pair of tensors, the two streams. "
            f"Received: input_shape={shapes}"
        )
