"""Calling a layer as a function of the values of its variables."""

import keras
import tensorflow as tf
from keras.src.backend import AutocastScope

from irevnet_tf.layers.gradients import add_up_gradient
from irevnet_tf.layers.gradients import replaced_value


class ValuesScope(keras.StatelessScope):
    """Lets a layer read given values, and keeps what it assigns.

    Reads and writes have the gradients that TensorFlow's own variables have:
    what is assigned has none, and what is read of a trainable variable counts
    as that variable's, before and after something was assigned to it.

    Args:
        layer: built Keras layer.
        weights: tensors in place of the values of its trainable variables.
        state: tensors in place of the values of its other variables.
        **kwargs: of `keras.StatelessScope`.
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
            variables: Keras variables.

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
        block: `Coupling`.
        weights: as in `ValuesScope`.
        state: as in `ValuesScope`.

    Raises:
        ValueError: inside the scope, if a variable is used that is none of
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
    factors of a gradient, which rounds otherwise. Those of a memory-saving
    pass are the results of functions and stay as they are. What is to train to
    the same bits in both ways says where its gradients end.

    Args:
        layer: built layer whose variables `run` uses.
        run: function of `inputs`, such as the layer itself.
        inputs: its argument.
    """
    weights = list(map(add_up_gradient, values_of(layer.trainable_variables)))
    state = values_of(layer.non_trainable_variables)
    with ValuesScope(layer, weights, state) as scope:
        outputs = run(inputs)
    scope.assign()
    return outputs
