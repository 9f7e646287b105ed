"""Checks of the arguments of `check_invertible`."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import Coupling
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.base import is_invertible
from irevnet_tf.layers.base import stream_dtype


def check_names(argument, names, known):
    """Raise ValueError unless all names are known.

    Args:
        argument: str. The argument that has the names.
        names: iterable of strs. The names to check.
        known: tuple of strs. The names that there are.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"`{argument}` must be names of checks, some of {list(known)}. "
            f"Received: {argument} with {unknown}"
        )


def check_inputs(layer, inputs):
    """Return the inputs as tensors of the dtype that the layer takes.

    Args:
        layer: Keras layer. The layer that takes the inputs.
        inputs: array, or tuple or list of arrays. What the layer is to take.

    Returns:
        A tensor, or a tuple of tensors.

    Raises:
        ValueError: if `layer` is no Keras layer, or `inputs` do not fit it.
    """
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            f"`layer` must be a Keras layer. Received: layer={layer!r}"
        )
    if isinstance(layer, keras.Model) and not is_invertible(layer):
        parts = [x for x in layer.layers if is_invertible(x)]
        if parts:
            raise ValueError(
                "`layer` must be an invertible layer, a coupling or a "
                "residual. Of a model, check the layers. Received: "
                f"layer={layer.name} with {[part.name for part in parts]}"
            )
    dtype = stream_dtype()
    if is_invertible(layer) or layer.variable_dtype == "float64":
        dtype = layer.compute_dtype
    if isinstance(inputs, tuple | list):
        tensors = tuple(_tensor(x, dtype) for x in inputs)
    else:
        tensors = _tensor(inputs, dtype)
    _require_number(layer, tensors)
    _require_specs(layer, tensors)
    _require_grid(layer, tensors)
    return tensors


def _tensor(array, dtype):
    try:
        tensor = tf.convert_to_tensor(array)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`inputs` must be an array, or a tuple of arrays. "
            f"Received: inputs of {type(array)}: {error}"
        ) from error
    if not tensor.dtype.is_floating or tensor.shape.rank < 2:
        raise ValueError(
            "`inputs` must be floats (batch, ..., channels). Received: inputs "
            f"of {tensor.dtype.name} {tuple(tensor.shape)}"
        )
    return tf.cast(tensor, dtype)


def _require_number(layer, tensors):
    shapes = [tuple(x.shape) for x in keras.tree.flatten(tensors)]
    if not is_invertible(layer):
        expected = "one array, which the residual takes"
        fits = not isinstance(tensors, tuple)
    elif isinstance(layer, Coupling | ReversibleSequence):
        expected = "a pair of arrays, the two streams"
        fits = isinstance(tensors, tuple) and len(tensors) == 2
    else:
        expected, fits = "arrays", bool(shapes)
    fits = fits and len({shape[0] for shape in shapes}) == 1
    if not fits or not shapes[0][0]:
        raise ValueError(
            f"`inputs` must be {expected}, of one batch size. "
            f"Received: inputs of shapes {shapes}"
        )


def _require_grid(layer, tensors):
    bits = getattr(layer, "fraction_bits", None)
    if bits is None:
        return
    for x in keras.tree.flatten(tensors):
        if not np.array_equal(x, tf.round(x * 2.0**bits) * 2.0**-bits):
            raise ValueError(
                "`inputs` must be multiples of 2**-fraction_bits for a "
                "lossless layer, as layers.FixedPointRounding makes them. "
                f"Received: inputs that are not, fraction_bits={bits}"
            )


def _require_specs(layer, tensors):
    specs = keras.tree.flatten(layer.input_spec or [])
    tensors = keras.tree.flatten(tensors)
    if len(specs) != len(tensors):
        return
    for spec, tensor in zip(specs, tensors, strict=True):
        shape = tensor.shape
        fits = (
            spec.ndim in (None, shape.rank)
            and (spec.min_ndim or 0) <= shape.rank
            and (spec.max_ndim or shape.rank) >= shape.rank
            and all(
                size in (None, shape[int(axis)])
                for axis, size in (spec.axes or {}).items()
            )
            and (spec.shape is None or shape.is_compatible_with(spec.shape))
        )
        if not fits:
            raise ValueError(
                f"`inputs` must be what the layer takes, {spec}. "
                f"Received: inputs of shape {tuple(shape)}"
            )
