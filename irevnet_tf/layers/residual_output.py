"""What a coupling demands of the tensor that its residual returns."""

import keras
import tensorflow as tf

from irevnet_tf.layers.base import Shape


def check_output(
    residual: keras.layers.Layer, output, expected: Shape | None, dtype: str
) -> None:
    """Raise ValueError unless F returns one tensor, of the right kind.

    Args:
        residual: Keras layer. F.
        output: Keras tensor or structure of them. What F returns.
        expected: None or shape. The shape that F(x2) must have, None for any.
        dtype: str. The dtype of the streams.
    """
    if not keras.utils.is_keras_tensor(output):
        raise ValueError(
            "`residual` must return one tensor. Received: "
            f"residual={residual.name}, which returns {output}"
        )
    if expected is not None and not _may_be_equal(output.shape, expected):
        raise ValueError(
            "`residual` must map x2 to the shape that the coupling needs, "
            f"its `residual_shape`, {tuple(expected)}. Received: "
            f"residual={residual.name}, whose output shape is "
            f"{tuple(output.shape)}"
        )
    check_output_dtype(residual, output.dtype, dtype)


def check_output_dtype(
    residual: keras.layers.Layer, found: str | tf.DType, dtype: str
) -> None:
    """Raise ValueError unless F returns floats that it computes in.

    Args:
        residual: Keras layer. F.
        found: dtype. What F returns.
        dtype: str. The dtype of the streams, which F must not exceed.
    """
    found = tf.as_dtype(found)
    if found == dtype:
        return
    # The dtype of a container may differ from that of its layers.
    computes = {layer.compute_dtype for layer in residual._flatten_layers()}
    width = tf.as_dtype(dtype).size
    if found.is_floating and found.name in computes and found.size <= width:
        return
    raise ValueError(
        "`residual` must return floats of a dtype that it computes in, "
        f"not wider than the streams' {dtype}. Received: "
        f"residual={residual.name}, whose output is {found.name}"
    )


def _may_be_equal(shape, other):
    """Return whether two shapes agree wherever both are known."""
    return len(shape) == len(other) and all(
        a == b or a is None or b is None
        for a, b in zip(shape, other, strict=True)
    )
