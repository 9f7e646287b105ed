"""The graph of a training step, and what is alive between its two halves."""

import contextlib
import dataclasses
import functools
import math
from unittest import mock

import keras
import tensorflow as tf

from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.testing.steps import sequences_in

# Operations whose output is their input's memory.
_SAME_MEMORY = (
    "EnsureShape",
    "ExpandDims",
    "Identity",
    "PreventGradient",
    "ReadVariableOp",
    "Reshape",
    "Squeeze",
    "StopGradient",
)

# What is there in any case: inputs, variables and constants.
_GIVEN = ("Const", "Placeholder")

# What belongs to no layer: the loss, and operations of the model itself.
OTHER = "(other)"


@dataclasses.dataclass(frozen=True)
class TrainingGraph:
    """A traced step: forward pass, backward pass, update of the weights.

    Attributes:
        function: concrete function. Takes the inputs, returns the loss.
        kept: dict {name of a layer: int}. Bytes of the tensors that the layer
            computes in the forward pass and that are read behind it: by the
            gradient or the update. Each memory counts once, under the layer
            that made it.
        unknown: int. The number of such tensors whose size the graph does not
            tell, such as the lists of recurrent layers.
        dropped: int. How many blocks were left out, see `trace_training`.
    """

    function: object
    kept: dict[str, int]
    unknown: int
    dropped: int

    @property
    def total(self) -> int:
        """Bytes of all layers."""
        return sum(self.kept.values())


def trace_training(model, specs, optimizer, short=None) -> TrainingGraph:
    """Trace a training step, with the mean of squared outputs as the loss.

    Sequences do not compare the inputs that they rebuild. The model, its
    weights and its nodes stay as they are.

    Args:
        model: built Keras model. The model to train.
        specs: `tf.TensorSpec`, or a structure of them. The inputs, of a known
            batch size. The function takes them one by one.
        optimizer: Keras optimizer. Built for the model's weights.
        short: None or `ReversibleSequence`. A sequence in the model, of which
            only the first blocks are to be in this graph: the fewest, but a
            quarter at least, whose outputs have the shapes of all of them.
    """
    ranges, marks, parts = {}, [], []

    def step(*flat):
        graph = tf.compat.v1.get_default_graph()
        inputs = keras.tree.pack_sequence_as(specs, flat)
        with tf.GradientTape() as tape:
            loss = _loss(model, model(inputs, training=True))
        marks.append(_size(graph))
        weights = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in weights])
        pairs = zip(gradients, weights, strict=True)
        # Blocks that are left out have none.
        pairs = [x for x in pairs if x[0] is not None]
        if pairs:
            optimizer.apply_gradients(pairs)
        return loss

    with contextlib.ExitStack() as stack:
        for sequence in sequences_in(model):
            # Its warning is Python, which the graph cannot take along.
            ignored = mock.patch.object(sequence, "on_drift", "ignore")
            stack.enter_context(ignored)
        if short is not None:
            call = _shortened(short, parts)
            stack.enter_context(mock.patch.object(short, "call", call))
        for name, layer in parts_of(model).items():
            call = _noting(layer, ranges.setdefault(name, []))
            stack.enter_context(mock.patch.object(layer, "call", call))
        traced = tf.function(step, autograph=False)
        function = traced.get_concrete_function(*keras.tree.flatten(specs))
    kept, unknown = _kept(function.graph, marks[0], ranges)
    dropped = len(short.blocks) - len(parts[0].blocks) if parts else 0
    return TrainingGraph(function, kept, unknown, dropped)


def parts_of(model) -> dict:
    """Return {name: layer} of a model, with blocks instead of sequences."""
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= parts_of(layer)
        elif isinstance(layer, ReversibleSequence):
            for number, block in enumerate(layer.blocks, 1):
                found[f"{layer.name}_block{number}"] = block
        else:
            found[layer.name] = layer
    return found


def _loss(model, outputs):
    outputs = keras.tree.flatten(outputs)
    squares = [
        tf.reduce_mean(tf.square(tf.cast(y, "float32")))
        for y in outputs
        if y.dtype.is_floating
    ]
    return tf.add_n([*squares, *(tf.cast(x, "float32") for x in model.losses)])


def _shortened(sequence, parts):
    """Return a `call` of the first blocks, and put what it calls in `parts`."""

    def call(inputs, training=None):
        shapes = [tuple(x.shape for x in inputs)]
        for block in sequence.blocks:
            shapes.append(tuple(block.compute_output_shape(shapes[-1])))
        count = max(1, len(sequence.blocks) // 4)
        while shapes[count] != shapes[-1]:
            count += 1
        # Kept until the gradient has been taken.
        parts.append(sequence.part(0, count, name=sequence.name))
        return parts[-1].call(inputs, training)

    return call


def _noting(layer, ranges):
    """Return the layer's `call`, which notes the operations that it adds."""
    call = layer.call

    @functools.wraps(call)
    def noting(*args, **kwargs):
        graph = tf.compat.v1.get_default_graph()
        start = _size(graph)
        outputs = call(*args, **kwargs)
        ranges.append(range(start, _size(graph)))
        return outputs

    return noting


def _size(graph):
    return len(graph.get_operations())


def _kept(graph, forward, ranges):
    """Return bytes by layer, and the number of tensors of unknown size.

    Args:
        graph: `tf.Graph`. That of the step.
        forward: int. How many of its operations are the forward pass'.
        ranges: dict {name: list of ranges}. The operations of each layer.
    """
    operations = graph.get_operations()
    position = {x.name: index for index, x in enumerate(operations)}
    found = {}
    for operation in operations[forward:]:
        for tensor in operation.inputs:
            if position[tensor.op.name] < forward:
                source = _source(tensor)
                found[source.name] = source
    kept, unknown = dict.fromkeys([*ranges, OTHER], 0), 0
    for tensor in found.values():
        if tensor.dtype == tf.resource or tensor.op.type in _GIVEN:
            continue
        if tensor.dtype == tf.variant or not tensor.shape.is_fully_defined():
            unknown += 1
            continue
        size = math.prod(tensor.shape) * tensor.dtype.size
        kept[_owner(position[tensor.op.name], ranges)] += size
    return kept, unknown


def _source(tensor):
    """Return the tensor whose memory this one has."""
    while tensor.op.type in _SAME_MEMORY and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor


def _owner(index, ranges):
    """Return the innermost layer that has an operation."""
    owners = [
        (len(one), name)
        for name, found in ranges.items()
        for one in found
        if index in one
    ]
    return min(owners)[1] if owners else OTHER
