"""Custom gradients that are freed with their graph.

`tf.custom_gradient` registers a function for each use in a graph, for ever.
The function holds on to the graph, and the graph to the weights, so that every
network that was trained stays in memory. Functions that are registered here
hold on to nothing; the graph itself keeps what belongs to one use.
"""

import contextlib
import zlib
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.ops import control_flow_util

_CUSTOM = "IrevnetCustomGradient"
_STRAIGHT_THROUGH = "IrevnetStraightThrough"
_BARRIER = "IrevnetBarrier"
_REPLACED = "IrevnetReplacedValue"
_registered = set()
# The attribute of a graph that maps its operations to their gradients.
_GRADIENTS = "_irevnet_gradients"


def with_gradient(outputs: list, sources: list, gradient: Callable) -> list:
    """Return `outputs` with the gradient that a function computes.

    Args:
        outputs: list of tensors. Those to give a gradient to.
        sources: list of tensors. Those that the outputs depend on.
        gradient: function. Takes the gradient of each output, and returns a
            list of those of the sources, None where there is none.
    """
    count = len(outputs)
    if tf.executing_eagerly():
        outputs = [tf.identity(y) for y in outputs]
        record.record_operation(_CUSTOM, outputs, sources, gradient)
        return outputs

    def of_all(*gradients):
        return [None] * count + list(gradient(*gradients[:count]))

    # For gradients of operations, as a function's caller takes them ...
    graph = tf.compat.v1.get_default_graph()
    with _overriding("IdentityN", _CUSTOM, [*outputs, *sources]):
        through = tf.identity_n([*outputs, *sources])
    if not hasattr(graph, _GRADIENTS):
        setattr(graph, _GRADIENTS, {})
    getattr(graph, _GRADIENTS)[through[0].op.name] = of_all
    # ... and for a tape inside the function, which would make zeros for the
    # gradients of outputs that nobody reads.
    outputs, read = [*outputs, *sources], through[:count]
    record.record_operation(_CUSTOM, read, outputs, of_all)
    return read


def round_straight_through(x, scale: float):
    """Round to multiples of 1 / `scale`, with the gradient of the identity.

    Args:
        x: float tensor. The values to round.
        scale: float. A power of two.
    """
    with record.stop_recording(), _overriding("Round", _STRAIGHT_THROUGH, [x]):
        y = tf.round(x * scale) * (1.0 / scale)
    record.record_operation(_STRAIGHT_THROUGH, [y], [x], lambda dy: [dy])
    return y


def floor_straight_through(x):
    """Round to integers, downwards, with the gradient of the identity."""
    with record.stop_recording(), _overriding("Floor", _STRAIGHT_THROUGH, [x]):
        y = tf.floor(x)
    record.record_operation(_STRAIGHT_THROUGH, [y], [x], lambda dy: [dy])
    return y


def add_up_gradient(x):
    """Return x, whose gradient is summed before others are added to it.

    Float sums depend on the order: if F's share of the gradient of x2 is
    summed separately, as in `BlockFunctions.backward`, plain and
    memory-saving gradients can be equal to the last bit.
    """
    with record.stop_recording(), _overriding("Identity", _BARRIER, [x]):
        y = tf.identity(x)
    record.record_operation(_BARRIER, [y], [x], lambda dy: [barrier(dy)])
    return y


def barrier(gradient):
    """Return a sum that Grappler does not merge with the next one.

    Grappler merges sums of sums, which changes their order, unless there is
    an operation in between.
    """
    return tf.ensure_shape(gradient, gradient.shape)


def replaced_value(weight, value):
    """Return `value`, whose gradient goes to `weight` instead.

    TensorFlow does so with a variable that is read after an assignment: the
    assigned value has no gradient, the variable has one.
    """
    with (
        record.stop_recording(),
        _overriding("IdentityN", _REPLACED, [value, weight]),
    ):
        value, _ = tf.identity_n([value, weight])
    record.record_operation(_REPLACED, [value], [weight], lambda dy: [dy])
    return value


def is_recording() -> bool:
    """Return whether there is a gradient tape."""
    return record.could_possibly_record()


def is_watched(tensors: list, variables: list) -> bool:
    """Return whether a gradient tape records the use of these.

    Args:
        tensors: list of tensors. Those that a tape may watch.
        variables: list of Keras variables. Those that a tape may watch.
    """
    if not is_recording():
        return False
    values = [tf.convert_to_tensor(variable.value) for variable in variables]
    return record.should_record_backprop([*tensors, *values])


def is_compiled() -> bool:
    """Return whether the current graph, or one around it, is for XLA.

    XLA cannot call Python, drops assertions, and has its own passes.
    """
    return control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


def _overriding(op_type, kind, tensors):
    """Give operations of a type another gradient, in the graph of a block.

    A SavedModel holds one gradient for each name, for tensors of one shape.
    So every kind of gradient and of tensors has a separate name.
    """
    if tf.executing_eagerly():
        return contextlib.nullcontext()
    signature = repr([(x.dtype, x.shape) for x in tensors])
    name = f"{kind}{zlib.crc32(signature.encode())}"
    if name not in _registered:
        _registered.add(name)
        tf.RegisterGradient(name)(_GRADIENTS_OF_KIND[kind])
    graph = tf.compat.v1.get_default_graph()
    return graph.gradient_override_map({op_type: name})


def _custom_gradient(op, *gradients):
    found = getattr(getattr(op, "graph", None), _GRADIENTS, {})
    if op is not None and op.name in found:
        return found[op.name](*gradients)
    # SavedModel writes the gradient down without its graph.
    return _refused(gradients)


def _refused(gradients):
    """Return gradients that raise an error as soon as one of them runs."""
    message = (
        "A SavedModel holds no gradient of a memory-saving network in training "
        "mode. Save one with `memory_saving=False`, or take the gradient "
        "before saving."
    )
    with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
        return [None if dy is None else tf.identity(dy) for dy in gradients]


_GRADIENTS_OF_KIND = {
    _CUSTOM: _custom_gradient,
    _STRAIGHT_THROUGH: lambda op, gradient: gradient,
    _BARRIER: lambda op, gradient: barrier(gradient),
    _REPLACED: lambda op, of_value, of_weight: (None, of_value),
}
