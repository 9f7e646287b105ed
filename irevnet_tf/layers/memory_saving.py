"""A training pass through reversible blocks that keeps only the last output."""

import weakref

import tensorflow as tf

from irevnet_tf.layers.block_functions import BlockFunctions
from irevnet_tf.layers.block_functions import assign
from irevnet_tf.layers.block_functions import values_of
from irevnet_tf.layers.block_kinds import is_foreign
from irevnet_tf.layers.block_kinds import is_synchronized
from irevnet_tf.layers.block_kinds import kind_of
from irevnet_tf.layers.block_passes import ScannedPass
from irevnet_tf.layers.block_passes import SinglePass
from irevnet_tf.layers.gradients import is_compiled
from irevnet_tf.layers.gradients import with_gradient
from irevnet_tf.layers.parts import refuse_shared_state
from irevnet_tf.layers.rebuilt_inputs import DriftCheck
from irevnet_tf.layers.repetitions import LONGEST
from irevnet_tf.layers.repetitions import repetition

# {sequence: {kind of block: its functions}} of the latest graph.
_traced = weakref.WeakKeyDictionary()


class MemorySavingPass:
    """One training pass through the blocks of a `ReversibleSequence`.

    The forward direction keeps only the outputs of the last block. The
    backward direction rebuilds the inputs of each block from its outputs, and
    runs F once more for its gradient.

    A pass belongs to one graph or one eager step; the next one reads the
    blocks anew. It does not hold on to them.

    Args:
        layer: `ReversibleSequence`. Its blocks are built.
        training: bool. The mode of the residuals.
    """

    def __init__(self, layer, training):
        blocks = layer.blocks
        self._training = training
        self._is_eager = tf.executing_eagerly()
        self._functions = _functions(layer, self._is_eager)
        self._weights = [values_of(x.trainable_variables) for x in blocks]
        self._states = [values_of(x.non_trainable_variables) for x in blocks]
        self._drift_check = None

    def run(self, inputs, layer):
        """Return the outputs of the last block, and update the blocks' state.

        Args:
            inputs: pair (x1, x2) of tensors. The first block's inputs.
            layer: `ReversibleSequence`. The layer that has the blocks.
        """
        sources = [*inputs, *tf.nest.flatten(self._weights)]
        outputs = self._forward(inputs, layer)

        def gradient(*output_gradients):
            if self._is_eager:
                return self._once_differentiable(output_gradients, sources)
            return self._backward(output_gradients)

        return tuple(with_gradient(list(outputs), sources, gradient))

    def _forward(self, inputs, layer):
        y, weights = inputs, self._weights
        if self._is_eager:
            # A tape around an eager step would keep what the blocks compute,
            # although their gradient is given. A graph keeps only what its
            # backward pass reads.
            y, weights = tf.nest.map_structure(tf.stop_gradient, (y, weights))
        if layer.fraction_bits is None and layer.on_drift != "ignore":
            self._drift_check = DriftCheck(y, layer)
        range_check, assigned = layer.range_check(), []
        is_exact = layer.fraction_bits is not None
        self._passes = self._start_passes(
            layer.blocks, inputs, weights, LONGEST if is_exact else 1
        )
        for one in self._passes:
            y, values = one.forward(y, range_check)
            assigned += values
        refuse_shared_state(layer.blocks, assigned)
        # Once, after the pass: the backward pass runs F again, on the old
        # values.
        for block, values in zip(layer.blocks, assigned, strict=True):
            assign(block.variables, values)
        self._outputs = range_check.guard(*y)
        return self._outputs

    def _start_passes(self, blocks, inputs, weights, longest):
        """Return passes through the blocks, one for those that repeat.

        XLA gets one for each block: in loops, its CPU compiler runs gradients
        of convolutions 30 times slower, and it fuses, and so rounds,
        differently from plain training.

        Blocks of several kinds that take turns (attention and MLP) are one
        loop only where gradients are exact: Grappler rounds those of attention
        differently in a function than in a plain graph, and not in a loop. But
        a loop holds the gradients of all its weights at once.

        Args:
            blocks: list of `Coupling`. Those of the sequence.
            inputs: pair (x1, x2) of tensors. The first block's inputs.
            weights: list of lists of tensors. For each block, the values of its
                trainable variables.
            longest: int. How many kinds may take turns in a loop.
        """
        functions, training = self._functions, self._training
        can_scan = not self._is_eager and not is_compiled()
        shapes = tuple(tuple(x.shape) for x in inputs)
        passes, start = [], 0
        while start < len(blocks):
            length = count = 1
            if can_scan:
                length, count = repetition(
                    functions[start:],
                    lambda length, blocks=blocks[start:], shapes=shapes: (
                        _shapes_behind(blocks[:length], shapes) == shapes
                    ),
                    longest,
                )
            rows = slice(start, start + length * count)
            arguments = weights[rows], self._states[rows]
            if count > 1:
                unit = blocks[start : start + length]
                passes.append(ScannedPass(unit, *arguments, training))
            else:
                (of_weights,), (state,) = arguments
                passes.append(
                    SinglePass(functions[start], of_weights, state, training)
                )
                if can_scan:
                    shapes = _shapes_behind(blocks[rows], shapes)
            start = rows.stop
        return passes

    def _backward(self, output_gradients):
        """Return the gradients of the inputs and, in order, of the weights."""
        x, gradients = self._outputs, []
        # Gradients of outputs that only `tf.gather` reads are IndexedSlices.
        dx = tuple(map(tf.convert_to_tensor, output_gradients))
        for one in reversed(self._passes):
            x, dx, of_blocks = one.backward(x, dx)
            gradients = [*of_blocks, *gradients]
        if self._drift_check is not None:
            # Nothing else makes the comparison run where a function's caller
            # takes the gradient.
            with tf.control_dependencies([self._drift_check.compare(x)]):
                dx = list(map(tf.identity, dx))
        return [*dx, *tf.nest.flatten(gradients)]

    def _once_differentiable(self, output_gradients, sources):
        """Make the gradient of a gradient an error, instead of a wrong value.

        It depends on more than the output gradients, which a tape cannot see,
        since the eager forward pass hides its steps.
        """
        gradients = self._backward(output_gradients)

        def refuse(*_):
            raise NotImplementedError(
                "Second derivatives of an eager step need "
                "`memory_saving=False`, or a tf.function around them."
            )

        found = [g for g in gradients if g is not None]
        found = with_gradient(found, [*output_gradients, *sources], refuse)
        found = iter(found)
        return [None if g is None else next(found) for g in gradients]


def _shapes_behind(blocks, shapes):
    for block in blocks:
        shapes = block.compute_output_shape(shapes)
    return tuple(map(tuple, shapes))


def _functions(layer, is_eager):
    """Return the `BlockFunctions` of each block, one for each kind.

    Functions of blocks with a complete configuration serve later graphs too:
    Keras' `fit` traces its first step twice.
    """
    blocks = layer.blocks
    if is_eager:
        return [BlockFunctions(block, traced=False) for block in blocks]
    kinds = {block: kind_of(block) for block in blocks}
    # The block that stood for a kind may have changed or been deleted.
    of_kind = {
        kind: functions
        for kind, functions in _traced.get(layer, {}).items()
        if kinds.get(functions.block) == kind
    }
    found = []
    for block, kind in kinds.items():
        if is_synchronized(block):
            found.append(BlockFunctions(block, traced=False))
            continue
        if kind not in of_kind:
            of_kind[kind] = BlockFunctions(block)
        found.append(of_kind[kind])
    _traced[layer] = {
        kind: functions
        for kind, functions in of_kind.items()
        if not is_foreign(kind)
    }
    return found
