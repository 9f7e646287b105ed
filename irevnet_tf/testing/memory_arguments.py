"""Checks of the arguments of `memory_report`."""

import keras
import tensorflow as tf

from irevnet_tf.layers.base import is_integer
from irevnet_tf.models.graph import has_graph


def check_model(model, optimizer):
    """Raise ValueError unless these are a Keras model and an optimizer."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: model={model!r}"
        )
    if optimizer is not None and not isinstance(
        optimizer, keras.optimizers.Optimizer
    ):
        raise ValueError(
            "`optimizer` must be None or a Keras optimizer. "
            f"Received: optimizer={optimizer!r}"
        )


def input_specs(model, input_shape, batch):
    """Return a `tf.TensorSpec` for each input, in the structure of the model's.

    Args:
        model: Keras model. Takes the inputs.
        input_shape: tuple of ints, or a structure of them. Without the batch.
        batch: int. The size of the batch.

    Raises:
        ValueError: if these are no shapes, or the model takes others.
    """
    shapes = _shapes(input_shape)
    flat = _flat(shapes)
    if not flat or not all(
        is_integer(size, 1) for shape in flat for size in shape
    ):
        raise ValueError(
            "`input_shape` must be a tuple of positive integers, the shape of "
            "an input without the batch, or a structure of them. Received: "
            f"input_shape={input_shape!r}"
        )
    if not has_graph(model):
        return _map(
            lambda x: tf.TensorSpec((batch, *x), model.input_dtype), shapes
        )
    structure = _input(model)
    taken = keras.tree.flatten(structure)
    received = [(batch, *shape) for shape in flat]
    fits = len(taken) == len(received) and all(
        tf.TensorShape(one).is_compatible_with(x.shape)
        for one, x in zip(received, taken, strict=True)
    )
    if not fits:
        raise ValueError(
            "`input_shape` and `batch` must be what the model takes, "
            f"{[tuple(x.shape) for x in taken]}. Received: "
            f"input_shape={input_shape}, batch={batch}"
        )
    specs = [
        tf.TensorSpec(shape, x.dtype)
        for shape, x in zip(received, taken, strict=True)
    ]
    return keras.tree.pack_sequence_as(structure, specs)


def _input(model):
    """Return a model's Keras inputs, also if it is in no other model."""
    is_sequential = isinstance(model, keras.Sequential)
    return model.inputs[0] if is_sequential else model.input


def _shapes(structure):
    """Return the structure with lists of sizes as tuples."""
    if isinstance(structure, dict):
        return {key: _shapes(value) for key, value in structure.items()}
    if not isinstance(structure, tuple | list):
        return structure
    if any(isinstance(x, dict | tuple | list) for x in structure):
        return [_shapes(x) for x in structure]
    return tuple(structure)


def _map(function, shapes):
    if isinstance(shapes, dict):
        return {key: _map(function, x) for key, x in shapes.items()}
    if isinstance(shapes, list):
        return [_map(function, x) for x in shapes]
    return function(shapes)


def _flat(shapes):
    """Return the list of shapes in a structure, in Keras' order."""
    if isinstance(shapes, dict):
        return [y for key in sorted(shapes) for y in _flat(shapes[key])]
    if isinstance(shapes, list):
        return [y for x in shapes for y in _flat(x)]
    return [shapes] if isinstance(shapes, tuple) else []


def check_trainable(model):
    """Raise ValueError if a built model has nothing to train."""
    if not model.trainable_variables:
        raise ValueError(
            "`model` must have trainable weights. Received: "
            f"model={model.name} with {len(model.variables)} variables"
        )


def build(model, specs):
    """Build a model that is not yet, and try a call on its inputs.

    Args:
        model: Keras model. The model to build.
        specs: structure of `tf.TensorSpec`. Its inputs.

    Raises:
        ValueError: if it does not take such inputs.
    """
    if has_graph(model):
        return
    zeros = keras.tree.map_structure(
        lambda x: tf.zeros((1, *x.shape[1:]), x.dtype), specs
    )
    try:
        model(zeros)
    except Exception as error:
        raise ValueError(
            "`input_shape` must be what the model takes. Received: "
            f"input_shape of {keras.tree.flatten(specs)}, on which it raises "
            f"{type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error
