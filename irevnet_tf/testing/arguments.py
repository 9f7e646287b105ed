"""Checks of the arguments of `check_invertible`."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import Coupling
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.base import is_invertible
from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.models.graph import has_graph
from irevnet_tf.testing.snapshot import layers_of


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


def is_checked_as_network(layer) -> bool:
    """Return whether this is a model to check by `NETWORK_CHECKS`.

    It holds invertible layers, and has no `inverse` itself.

    Raises:
        ValueError: if it is a model without an inverse that holds none.
    """
    if not isinstance(layer, keras.Model) or is_invertible(layer):
        return False
    if any(is_invertible(part) for part in layers_of(layer)):
        return True
    raise ValueError(
        "`layer` must have an inverse, or be a model of invertible layers; to "
        "check a model as the residual of a coupling, check "
        "`layers.AdditiveCoupling(model)` on a pair of arrays. Received: "
        f"layer={layer.name} with layers {[x.name for x in layer.layers][:8]}"
    )


def check_network_inputs(model, inputs):
    """Return the inputs of a network as tensors, in the model's dtypes.

    A model that is not built is built by a call.

    Args:
        model: Keras model. The network.
        inputs: array, or structure of arrays. What the model takes.

    Raises:
        ValueError: if `inputs` do not fit the model.
    """
    try:
        tensors = keras.tree.map_structure(tf.convert_to_tensor, inputs)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`inputs` must be what the model takes, an array or a structure "
            f"of arrays. Received: inputs of {type(inputs)}: {error}"
        ) from error
    shapes = [tuple(x.shape) for x in keras.tree.flatten(tensors)]
    if not model.built:
        model(tensors)
    taken = model.inputs if has_graph(model) else None
    fits = all(shape and shape[0] for shape in shapes) and shapes
    if fits and taken is not None:
        fits = len(shapes) == len(taken) and all(
            tf.TensorShape(shape).is_compatible_with(x.shape)
            for x, shape in zip(taken, shapes, strict=True)
        )
    if not fits:
        expected = taken and [tuple(x.shape) for x in taken]
        raise ValueError(
            "`inputs` must be what the model takes, "
            f"{expected or 'arrays with a batch'}. "
            f"Received: inputs of shapes {shapes}"
        )
    if taken is None:
        return tensors
    dtypes = iter([x.dtype for x in taken])
    return keras.tree.map_structure(lambda x: tf.cast(x, next(dtypes)), tensors)


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
