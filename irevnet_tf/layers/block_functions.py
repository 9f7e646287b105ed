"""One reversible block as pure functions of its weights, traced once.

A block's weights and state are arguments here, not attributes. So blocks of
the same shape share one traced function (a network of 100 blocks needs
eight), and the second run of F in the backward pass has no side effects: it
gets the state from before the forward pass, and the state it returns is
dropped.
"""

import functools
import weakref

import keras
import tensorflow as tf
from keras.src.backend import AutocastScope

from irevnet_tf.layers.gradients import add_up_gradient
from irevnet_tf.layers.gradients import barrier
from irevnet_tf.layers.gradients import replaced_value


class ValuesScope(keras.StatelessScope):
    """Lets a layer read given values, and records what it assigns.

    Reads and writes have the gradients that TensorFlow's own variables have:
    assigned values have none, and what is read from a trainable variable
    counts as that variable's, before and after an assignment.

    Args:
        layer: built Keras layer. The layer that reads the values.
        weights: list of tensors. They replace the values of its trainable
            variables.
        state: list of tensors. They replace the values of its other variables.
        **kwargs: keyword arguments. As for `keras.StatelessScope`.
    """

    def __init__(self, layer, weights, state, **kwargs):
        trainable = list(zip(layer.trainable_variables, weights, strict=True))
        others = zip(layer.non_trainable_variables, state, strict=True)
        self._weights = {id(variable): value for variable, value in trainable}
        self._assigned = {}
        super().__init__([*trainable, *others], **kwargs)

    def add_update(self, update):
        variable, value = update
        value = tf.stop_gradient(value)
        if id(variable) in self._weights:
            value = replaced_value(self._weights[id(variable)], value)
        self._assigned[id(variable)] = variable
        super().add_update((variable, value))

    def assigned_values(self, variables) -> list:
        """Return the new value of each variable that was assigned to.

        Args:
            variables: list of Keras variables. Those to look up.

        Returns:
            A list as long as `variables`, with None for the others.
        """
        return [
            self.get_current_value(variable)
            if id(variable) in self._assigned
            else None
            for variable in variables
        ]

    def assign(self):
        """Assign to the variables, outside of the scope."""
        variables = list(self._assigned.values())
        assign(variables, self.assigned_values(variables))


class ResidualScope(ValuesScope):
    """A `ValuesScope` for a block that is run twice in a step.

    Args:
        block: built `Coupling`. The block that is run.
        weights: list of tensors. As in `ValuesScope`.
        state: list of tensors. As in `ValuesScope`.

    Raises:
        ValueError: inside the scope, if the layer uses a variable that is not
            the block's: it would be read or written twice, and would get no
            gradient.
    """

    def __init__(self, block, weights, state):
        self._block = block
        self._known = {id(variable) for variable in block.variables}
        super().__init__(block, weights, state, collect_losses=True)

    def add_update(self, update):
        self._require_own(update[0])
        super().add_update(update)

    def get_current_value(self, variable):
        self._require_own(variable)
        return super().get_current_value(variable)

    def _require_own(self, variable):
        if id(variable) not in self._known:
            raise ValueError(
                "A residual must use no variables but its own, those of its "
                "layers, if `memory_saving` is True; random numbers need a "
                "`seed=`, a keras.random.SeedGenerator that is an attribute of "
                "its layer. "
                f"Received: residual={self._block.residual.name}, which uses "
                f"{variable.path}"
            )

    def refuse_losses(self):
        """Raise ValueError if a loss was added inside the scope."""
        if self.losses:
            raise ValueError(
                "A block must not add losses (by `add_loss` or an activity "
                "regularizer) if `memory_saving` is True, since it runs twice "
                f"in a step. Received: block={self._block.name} with "
                f"residual={self._block.residual.name}"
            )


def values_of(variables) -> list:
    """Return the values of Keras variables, as tensors of their own dtype."""
    with AutocastScope(None):
        return [tf.convert_to_tensor(variable.value) for variable in variables]


def assign(variables, values):
    """Assign what `ValuesScope.assigned_values` returned."""
    for variable, value in zip(variables, values, strict=True):
        if value is not None:
            variable.assign(value)


def run_with_separate_gradients(layer, run, inputs):
    """Return `run(inputs)`, with the gradients of weights computed apart.

    In a graph, Grappler multiplies an optimizer's learning rate into the last
    factors of a gradient, which changes the rounding. Gradients of a
    memory-saving pass are results of functions, which it does not change. To
    train to the same bits in both ways, plain gradients must end here, too.

    Args:
        layer: built Keras layer. Its variables are those that `run` uses.
        run: function of `inputs`. Such as the layer itself.
        inputs: tensor or tuple of tensors. The argument of `run`.
    """
    weights = list(map(add_up_gradient, values_of(layer.trainable_variables)))
    state = values_of(layer.non_trainable_variables)
    with ValuesScope(layer, weights, state) as scope:
        outputs = run(inputs)
    scope.assign()
    return outputs


class BlockFunctions:
    """`forward` and `backward` of all blocks of one kind.

    Args:
        block: built `Coupling`. It stands for its kind.
        traced: bool. Whether the methods are traced functions. Residuals that
            talk to other replicas (synchronized BatchNorm) cannot be traced;
            eager steps, and the bodies of loops, need not be.
    """

    def __init__(self, block, traced=True):
        # Graphs hold on to these functions and outlive their network, since
        # Keras' optimizers leave each training step in TensorFlow's registry.
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
            inputs: pair (x1, x2) of tensors. The block's inputs.
            weights: list of tensors. Values of the block's trainable variables.
            state: list of tensors. Values of its other variables: statistics,
                seeds.
            training: bool. The mode of the residual.

        Returns:
            Outputs (y1, y2), and a list as long as the block's `variables`
            with the new value of each that was assigned to, else None.
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
            outputs: pair (y1, y2) of tensors. What `forward` returned.
            output_gradients: pair of tensors. Gradients of the outputs' shapes.
            weights: list of tensors. As in `forward`.
            state: list of tensors. The values from before `forward`, so that F
                draws the same dropout mask.
            training: bool. As in `forward`.

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

    If it were inlined, the whole chain of inverses could run ahead of the
    gradients, on which it does not depend, and hold every block's input.
    """
    # TensorFlow counts traces per code object to warn of too many; behind a
    # partial, each kind of block is counted for itself.
    return tf.function(
        functools.partial(method),
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
