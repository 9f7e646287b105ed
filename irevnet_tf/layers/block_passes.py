"""Forward and backward passes through a block, and through alike blocks.

Blocks that compute alike become one loop, which JAX calls a scan over layers:
those of one kind in a row, or those of several kinds that take turns. The
graph then holds one body for all of them, however many there are, while their
weights stay variables of each block.
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
    """A pass through several blocks, in a graph, as one loop.

    Args:
        unit: list of built `Coupling` layers. The first blocks, up to where
            their kinds repeat. Outputs of its last one have the shapes of the
            inputs of its first one.
        weights: list of lists of tensors. For each block the values of its
            trainable variables.
        states: list of lists of tensors. For each block the values of its other
            variables.
        training: bool. The mode of the residuals.
    """

    def __init__(self, unit, weights, states, training):
        indices = list(map(tf.constant, range(len(weights) // len(unit))))
        self._indices = indices
        self._places = [
            _Place(
                block,
                weights[start :: len(unit)],
                states[start :: len(unit)],
                training,
                indices,
            )
            for start, block in enumerate(unit)
        ]

    def forward(self, inputs, range_check):
        """Return the last block's outputs and what was assigned.

        Args:
            inputs: pair (x1, x2) of tensors. The first block's inputs.
            range_check: `RangeCheck`. It sees the sums that the blocks compute.

        Returns:
            Outputs (y1, y2), and for each block the list of new values that
            `BlockFunctions.forward` returns.
        """
        assigned = [
            _Columns(place.block.variables, self._indices)
            for place in self._places
        ]

        def body(index, x, peaks, handles):
            y, written = x, []
            for place, columns, handle in zip(
                self._places, assigned, handles, strict=True
            ):
                y, values = place.functions.forward(y, *place.arguments(index))
                peaks = range_check.larger(peaks, y[1])
                written.append(columns.written(handle, index, values))
            return index + 1, _like(x, y), peaks, tuple(written)

        outputs, peaks, handles = self._loop(
            body,
            lambda index: index < len(self._indices),
            self._indices[0],
            (inputs, range_check.no_peaks(inputs[1]), _handles(assigned)),
        )
        range_check.note(peaks)
        return outputs, _in_turns(assigned, handles)

    def backward(self, outputs, output_gradients):
        """Rebuild the first block's inputs and pull the gradients back.

        Args:
            outputs: pair (y1, y2) of tensors. The last block's outputs.
            output_gradients: pair of tensors. Gradients of the outputs' shapes.

        Returns:
            Inputs (x1, x2), their gradients, and for each block the list of
            its weights' gradients, None for a weight that is not used.
        """
        found = [
            _Columns(place.block.trainable_variables, self._indices)
            for place in self._places
        ]

        def body(index, y, dy, handles):
            x, dx, written = y, dy, [()]
            for place, columns, handle in zip(
                reversed(self._places),
                reversed(found),
                reversed(handles),
                strict=True,
            ):
                # As between rounds, see `_loop`.
                with tf.control_dependencies(written[0]):
                    x = tuple(map(tf.identity, x))
                x, dx, gradients = place.functions.backward(
                    x, dx, *place.arguments(index)
                )
                written.insert(0, columns.written(handle, index, gradients))
            return index - 1, _like(y, x), _like(dy, dx), tuple(written[:-1])

        inputs, gradients, handles = self._loop(
            body,
            lambda index: index >= 0,
            self._indices[-1],
            (outputs, output_gradients, _handles(found)),
        )
        return inputs, gradients, _in_turns(found, handles)

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


class _Place:
    """What a loop reads for one of the blocks of a round.

    Args:
        block: built `Coupling`. The block of the first round.
        weights: list of lists of tensors. Values of the trainable variables in
            each round.
        states: list of lists of tensors. Values of the other variables.
        training: bool. The mode of the residual.
        indices: list of int tensors. The rounds.
    """

    def __init__(self, block, weights, states, training, indices):
        # Not the block itself: graphs hold on to a pass, and it to the block.
        self.functions = BlockFunctions(block, traced=False)
        self._training = training
        self._columns = [
            [
                TensorList.of(column, indices)
                for column in zip(*rows, strict=True)
            ]
            for rows in (weights, states)
        ]

    @property
    def block(self):
        return self.functions.block

    def arguments(self, index):
        """Return weights, state and mode in a round."""
        weights, state = (
            [column.read(index) for column in columns]
            for columns in self._columns
        )
        return weights, state, self._training


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


def _handles(places):
    return tuple(columns.handles() for columns in places)


def _in_turns(places, handles):
    """Return the list of each block's values, in the order of the blocks.

    Args:
        places: list of `_Columns`. One for each block of a round.
        handles: list of tuples of tensors. Their handles behind the loop.
    """
    rows = map(_Columns.rows, places, handles)
    return [row for turn in zip(*rows, strict=True) for row in turn]
