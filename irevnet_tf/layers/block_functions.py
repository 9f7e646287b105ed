"""One reversible block as pure functions of its weights, traced once.

A block's weights and state are arguments here, not attributes. That is what
lets blocks of the same shape share one traced function (a network of 100
blocks needs eight), and what keeps the second run of F in the backward pass
free of side effects: it gets the state from before the forward pass, and the
state it returns is dropped.
"""

import functools
import weakref

import tensorflow as tf

from irevnet_tf.layers.gradients import barrier
from irevnet_tf.layers.residual_scope import ResidualScope


class BlockFunctions:
    """`forward` and `backward` of all blocks of one kind.

    Args:
        block: built `Coupling` that stands for its kind.
        traced: whether the methods are traced functions. Residuals that talk
            to other replicas (synchronized BatchNorm) cannot be traced;
            eager steps, and the bodies of loops, need not be.
    """

    def __init__(self, block, traced=True):
        # Graphs hold on to these functions, and outlive their network: Keras'
        # optimizers leave each training step in TensorFlow's registry.
        self._weak_block = weakref.ref(block)
        if traced:
            self.forward = _traced(self.forward)
            self.backward = _traced(self.backward)

    @property
    def block(self):
        """The block that stands for its kind, None if it was deleted."""
        return self._weak_block()

    def _living_block(self):
        if self.block is None:
            raise ReferenceError(
                "A gradient needs the layers of the network, which have been "
                "deleted."
            )
        return self.block

    def forward(self, inputs, weights, state, training):
        """Return the block's outputs and what it assigned to its variables.

        Args:
            inputs: pair (x1, x2) of tensors.
            weights: values of the block's trainable variables.
            state: values of its other variables: statistics, seeds.
            training: bool.

        Returns:
            Outputs (y1, y2), and a list as long as the block's `variables`
            with the new value of what was assigned to, and None for the rest.
        """
        block = self._living_block()
        with ResidualScope(block, weights, state) as scope:
            fx2 = block.run_residual(inputs[1], training)
            outputs = block.couple(inputs, fx2)
            scope.refuse_losses()
        return outputs, scope.assigned_values(block.variables)

    def backward(self, outputs, output_gradients, weights, state, training):
        """Rebuild the inputs and pull the gradients back, running F once.

        Args:
            outputs: pair (y1, y2) that `forward` returned.
            output_gradients: pair of the same shapes.
            weights: as in `forward`.
            state: as in `forward`: from before it, so that F draws the same
                dropout mask.
            training: as in `forward`.

        Returns:
            Inputs (x1, x2), their gradients, and the list of the weights'
            gradients, None for a weight that is not used.
        """
        block, (y1, y2) = self._living_block(), outputs
        # Orders the blocks where these functions are not traced: nothing in
        # an inverse depends on a gradient. XLA orders by need of memory.
        with tf.control_dependencies(output_gradients):
            outputs = tf.identity(y1), y2
        with ResidualScope(block, weights, state):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                x2 = block.residual_input(outputs)
                tape.watch([x2, *weights])
                fx2 = block.run_residual(x2, training)
            inputs = block.uncouple(outputs, x2, fx2)
            (dx1, dx2), dfx2, own_gradients = block.pull_back(
                inputs, fx2, output_gradients, weights
            )
        share, *weight_gradients = tape.gradient(fx2, [x2, *weights], dfx2)
        if share is not None:
            dx2 += barrier(share)
        weight_gradients = list(map(_sum, weight_gradients, own_gradients))
        return inputs, (dx1, dx2), weight_gradients


def _sum(a, b):
    """Return the sum of two gradients, either of which may be None."""
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _traced(method):
    """Return `method` as a traced function that stays a call in the graph.

    Inlined, the whole chain of inverses could run ahead of the gradients, on
    which it does not depend, and would hold every block's input at once.
    """
    # TensorFlow counts traces per code object to warn of too many; behind a
    # partial, each kind of block is counted for itself.
    return tf.function(
        functools.partial(method),
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
