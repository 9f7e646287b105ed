"""Forward and backward passes through blocks of one kind.

Consecutive blocks that compute alike become one loop, which JAX calls a scan
over layers. The graph then holds one body for all of them, however many there
are, while their weights stay variables of each block.
"""

import tensorflow as tf

from irevnet_tf.layers.block_functions import BlockFunctions
from irevnet_tf.layers.block_kinds import refuse_impure
from irevnet_tf.layers.tensor_lists import TensorList


class SinglePass:
    """A pass through one block.

    Args:
        functions: `BlockFunctions`. Those of the block.
        weights: list of tensors. Values of its trainable variables.
        state: list of tensors. Values of its other variables.
        training: bool. The mode of the residual.
    """

    def __init__(self, functions, weights, state, training):
        self._functions = functions
        self._arguments = weights, state, training

    def forward(self, inputs, range_check):
        """Return the outputs and what was assigned, see `ScannedPass`."""
        refuse_impure(self._functions.block, inputs, *self._arguments)
        outputs, assigned = self._functions.forward(inputs, *self._arguments)
        range_check.see(outputs[1])
        return outputs, [assigned]

    def backward(self, outputs, output_gradients):
        """Return inputs and gradients, see `ScannedPass`."""
        inputs, gradients, of_weights = self._functions.backward(
            outputs, output_gradients, *self._arguments
        )
        return inputs, gradients, [of_weights]


class ScannedPass:
    """A pass through several blocks of one kind, in a graph.

    Args:
        block: built `Coupling`. One of the blocks, whose outputs have the
            shapes of its inputs.
        weights: list of lists of tensors. For each block the values of its
            trainable variables.
        states: list of lists of tensors. For each block the values of its other
            variables.
        training: bool. The mode of the residuals.
    """

    def __init__(self, block, weights, states, training):
        # Not the block itself: graphs hold on to a pass, and it to the block.
        self._functions = BlockFunctions(block, traced=False)
        self._training = training
        self._indices = list(map(tf.constant, range(len(weights))))
        self._weights = self._lists(weights)
        self._states = self._lists(states)

    def forward(self, inputs, range_check):
        """Return the last block's outputs and what was assigned.

        Args:
            inputs: pair (x1, x2) of tensors. The first block's inputs.
            range_check: `RangeCheck`. It sees the sums that the blocks compute.

        Returns:
            Outputs (y1, y2), and for each block the list of new values that
            `BlockFunctions.forward` returns.
        """
        assigned = _Columns(self._functions.block.variables, self._indices)

        def body(index, x, peaks, handles):
            y, values = self._functions.forward(x, *self._arguments(index))
            return (
                index + 1,
                _like(x, y),
                range_check.larger(peaks, y[1]),
                assigned.written(handles, index, values),
            )

        outputs, peaks, handles = self._loop(
            body,
            lambda index: index < len(self._indices),
            self._indices[0],
            (inputs, range_check.no_peaks(inputs[1]), assigned.handles()),
        )
        range_check.note(peaks)
        return outputs, assigned.rows(handles)

    def backward(self, outputs, output_gradients):
        """Rebuild the first block's inputs and pull the gradients back.

        Args:
            outputs: pair (y1, y2) of tensors. The last block's outputs.
            output_gradients: pair of tensors. Gradients of the outputs' shapes.

        Returns:
            Inputs (x1, x2), their gradients, and for each block the list of
            its weights' gradients, None for a weight that is not used.
        """
        found = _Columns(
            self._functions.block.trainable_variables, self._indices
        )

        def body(index, y, dy, handles):
            x, dx, gradients = self._functions.backward(
                y, dy, *self._arguments(index)
            )
            return (
                index - 1,
                _like(y, x),
                _like(dy, dx),
                found.written(handles, index, gradients),
            )

        inputs, gradients, handles = self._loop(
            body,
            lambda index: index >= 0,
            self._indices[-1],
            (outputs, output_gradients, found.handles()),
        )
        return inputs, gradients, found.rows(handles)

    def _lists(self, rows):
        columns = zip(*rows, strict=True)
        return [TensorList.of(column, self._indices) for column in columns]

    def _arguments(self, index):
        weights, state = (
            [column.read(index) for column in columns]
            for columns in (self._weights, self._states)
        )
        return weights, state, self._training

    def _loop(self, body, condition, first, variables):
        _, *variables = tf.while_loop(
            lambda index, *_: condition(index),
            body,
            (first, *variables),
            # Parallel rounds would not wait for the gradients of each
            # other's weights, and would keep the inputs of these.
            parallel_iterations=1,
        )
        return variables


def _like(tensors, others):
    """Return `others`, which are known to have the shapes of `tensors`."""
    for x, other in zip(tensors, others, strict=True):
        other.set_shape(x.shape)
    return tuple(others)


class _Columns:
    """One list per variable of what the blocks compute for it, if anything.

    Args:
        variables: list of Keras variables. Those of one of the blocks.
        indices: list of int tensors. The blocks' positions.
    """

    def __init__(self, variables, indices):
        self._indices = indices
        self._lists = [TensorList.empty(x, len(indices)) for x in variables]
        self._are_computed = [False] * len(variables)

    def handles(self):
        """Return the handles that a loop starts with."""
        return tuple(column.handle for column in self._lists)

    def written(self, handles, index, values):
        """Return the handles with a block's values, None for no value."""
        self._are_computed = [value is not None for value in values]
        return tuple(
            handle
            if value is None
            else column.with_handle(handle).written(index, value).handle
            for column, handle, value in zip(
                self._lists, handles, values, strict=True
            )
        )

    def rows(self, handles):
        """Return the list of each block's values."""
        nothing = [None] * len(self._indices)
        columns = [
            column.with_handle(handle).tensors(self._indices)
            if is_computed
            else nothing
            for column, handle, is_computed in zip(
                self._lists, handles, self._are_computed, strict=True
            )
        ]
        return [
            [column[i] for column in columns] for i in range(len(self._indices))
        ]
