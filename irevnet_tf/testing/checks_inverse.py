"""Checks of one layer's two directions: errors, shapes, graphs, dtypes."""

import keras
import tensorflow as tf

from irevnet_tf.layers import Inverse
from irevnet_tf.layers import InvertibleLayer
from irevnet_tf.layers import Shared
from irevnet_tf.layers.base import inverse_shape
from irevnet_tf.layers.base import output_shape
from irevnet_tf.layers.base import run_inverse
from irevnet_tf.testing.copies import copy_values
from irevnet_tf.testing.copies import fresh_copy
from irevnet_tf.testing.finding import Broken
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.finding import Finding
from irevnet_tf.testing.finding import relative_error
from irevnet_tf.testing.finding import worst

# Two calls that differ by more draw random numbers or change their state.
_SAME = 1e-6


def inverse(subject):
    """The inverse returns the input, in inference mode."""
    return Finding(_round_trip(subject, False))


def inverse_in_training(subject):
    """The inverse returns the input, in training mode."""
    outputs = [subject.whole(subject.inputs, training=True) for _ in range(2)]
    if not relative_error(*outputs) < _SAME:
        raise DoesNotApply(
            "in training, its output is another one with each call"
        )
    subject.reset()
    return Finding(_round_trip(subject, True))


def _round_trip(subject, training):
    outputs = subject.whole(subject.inputs, training=training)
    return relative_error(subject.inverse(outputs, training), subject.inputs)


def shapes(subject):
    """Computed shapes and dtypes are those of the outputs."""
    found = {
        "compute_inverse_shape": (
            _plain(inverse_shape(subject.whole, _shapes(subject.output))),
            _plain(_shapes(subject.inputs)),
        ),
        "the inverse's shape": (
            _plain(_shapes(subject.inverse(subject.output))),
            _plain(_shapes(subject.inputs)),
        ),
    }
    for layer, inputs in {
        subject.whole: subject.inputs,
        subject.layer: _taken(subject),
    }.items():
        found[f"the output shape of {layer.name}"] = (
            _plain(output_shape(layer, _shapes(inputs))),
            _plain(_shapes(layer(inputs))),
        )
    for name, (computed, actual) in found.items():
        if not _agree(computed, actual):
            raise Broken(f"{name} is {computed}, and should be {actual}")
    dtypes = {x.dtype.name for x in keras.tree.flatten(subject.output)}
    expected = subject.whole.compute_dtype
    if isinstance(subject.whole, InvertibleLayer) and dtypes != {expected}:
        raise Broken(f"the outputs are {dtypes}, and should be {expected}")
    return Finding(None)


def _agree(computed, actual):
    """Return whether shapes are equal wherever they are known."""
    return [len(shape) for shape in computed] == [
        len(shape) for shape in actual
    ] and all(
        size in (None, other)
        for one, two in zip(computed, actual, strict=True)
        for size, other in zip(one, two, strict=True)
    )


def _taken(subject):
    """Return the inputs of the layer itself."""
    return subject.inputs[1] if subject.is_residual else subject.inputs


def _shapes(tensors):
    """Return shapes with the batch size unknown."""
    return keras.tree.map_structure(lambda x: (None, *x.shape[1:]), tensors)


def _plain(shapes):
    """Return shapes as a list of tuples, without the batch size."""
    if not any(isinstance(one, tuple | list) for one in shapes):
        shapes = [shapes]
    return [tuple(shape)[1:] for shape in shapes]


def unbuilt(subject):
    """The inverse builds the layer, if it is called first."""
    kind = type(subject.whole)
    if not isinstance(subject.whole, InvertibleLayer):
        raise DoesNotApply("it is no InvertibleLayer")
    if subject.whole.variables and (
        kind.compute_inverse_shape is InvertibleLayer.compute_inverse_shape
    ):
        raise DoesNotApply("it has no `compute_inverse_shape` of its own")
    copy = fresh_copy(subject.whole)
    run_inverse(copy, subject.output)
    copy_values(subject.whole, copy)
    return Finding(
        relative_error(run_inverse(copy, subject.output), subject.inputs)
    )


def graph(subject):
    """Graphs compute what eager calls do, for batches of any size."""
    shapes = keras.tree.map_structure(
        lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), subject.inputs
    )

    @tf.function(input_signature=[shapes], autograph=False)
    def both(inputs):
        outputs = subject.whole(inputs)
        return outputs, subject.inverse(outputs)

    plain = tf.function(lambda x: subject.whole(x), autograph=False)
    inputs = subject.inputs
    larger = keras.tree.map_structure(lambda x: tf.concat([x, x], 0), inputs)
    errors = {}
    for name, function, given in (
        ("a second call", subject.whole, inputs),
        ("a graph", plain, inputs),
        ("unknown batch", lambda x: both(x)[0], inputs),
        ("another batch size", lambda x: both(x)[0], larger),
        ("inverse of another batch size", lambda x: both(x)[1], larger),
    ):
        subject.reset()
        expected = subject.whole(given)
        if name != "a second call":
            subject.reset()
        if name.startswith("inverse"):
            expected = given
        errors[name] = relative_error(function(given), expected)
    return worst(errors)


def half_precision(subject):
    """Under mixed_bfloat16, a copy keeps float32 streams and its inverse."""
    inner = subject.whole
    while isinstance(inner, Inverse | Shared):
        inner = inner.layer
    if not isinstance(inner, InvertibleLayer):
        raise DoesNotApply("it is no InvertibleLayer")
    inputs = keras.tree.map_structure(
        lambda x: tf.cast(x, "float32"), subject.inputs
    )
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        copy = fresh_copy(subject.whole, _without_policies)
        outputs = copy(inputs)
    finally:
        keras.config.set_dtype_policy(policy)
    dtypes = {x.dtype.name for x in keras.tree.flatten(outputs)}
    if dtypes != {"float32"}:
        raise Broken(f"under mixed_bfloat16 its outputs are {dtypes}")
    return Finding(relative_error(run_inverse(copy, outputs), inputs))


def _without_policies(config):
    """Return a configuration with the global policy for all layers."""
    if isinstance(config, list | tuple):
        return [_without_policies(value) for value in config]
    if not isinstance(config, dict):
        return config
    return {
        key: _without_policies(value)
        for key, value in config.items()
        if not (key == "dtype" and _is_policy(value))
    }


def _is_policy(value):
    """Return whether this is a serialized policy without quantization."""
    return isinstance(value, dict) and value["class_name"] == "DTypePolicy"
