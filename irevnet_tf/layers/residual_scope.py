"""Calling a residual as a function of the values of its variables."""

import keras
import tensorflow as tf

from irevnet_tf.layers.gradients import add_up_gradient
from irevnet_tf.layers.gradients import replaced_value


class ResidualScope(keras.StatelessScope):
    """Lets a block read given values, and keeps what it assigns.

    Reads and writes have the gradients that TensorFlow's own variables have:
    what is assigned has none, and what is read of a trainable variable counts
    as that variable's, before and after something was assigned to it.

    Args:
        block: `Coupling`.
        weights: tensors in place of the values of its trainable variables.
        state: tensors in place of the values of its other variables.
        runs_again: whether the block is run twice in a step.

    Raises:
        ValueError: inside the scope, if the block `runs_again` and uses a
            variable that is none of its own: it would be read or written
            twice, and would get no gradient.
    """

    def __init__(self, block, weights, state, runs_again=True):
        self._block = block
        self._runs_again = runs_again
        self._weights = {
            id(variable): weight
            for variable, weight in zip(
                block.trainable_variables, weights, strict=True
            )
        }
        self._known = {id(variable) for variable in block.variables}
        self._assigned = set()
        super().__init__(
            [
                *zip(block.trainable_variables, weights, strict=True),
                *zip(block.non_trainable_variables, state, strict=True),
            ],
            collect_losses=runs_again,
        )

    def add_update(self, update):
        variable, value = update
        self._require_own(variable)
        value = tf.stop_gradient(value)
        if id(variable) in self._weights:
            value = replaced_value(self._weights[id(variable)], value)
        self._assigned.add(id(variable))
        super().add_update((variable, value))

    def get_current_value(self, variable):
        self._require_own(variable)
        return super().get_current_value(variable)

    def assigned_values(self) -> list:
        """Return the new value of each of the block's variables, or None.

        In the order of `block.variables`; None for those that were not
        assigned to.
        """
        return [
            self.get_current_value(variable)
            if id(variable) in self._assigned
            else None
            for variable in self._block.variables
        ]

    def _require_own(self, variable):
        if self._runs_again and id(variable) not in self._known:
            raise ValueError(
                "A residual must use no variables but its own, those of its "
                "layers and of seed generators that are attributes of theirs, "
                "if `memory_saving` is True. "
                f"Received: residual={self._block.residual.name}, which uses "
                f"{variable.path}"
            )

    def refuse_losses(self):
        """Raise ValueError if a loss was added inside the scope."""
        if self.losses:
            raise ValueError(
                "Residuals must not add losses (by `add_loss` or an activity "
                "regularizer) if `memory_saving` is True, since F runs twice "
                f"in a step. Received: residual={self._block.residual.name}"
            )


def values_of(variables) -> list:
    """Return the values of Keras variables, as tensors."""
    return [tf.convert_to_tensor(variable.value) for variable in variables]


def assign(block, values):
    """Assign what `ResidualScope.assigned_values` returned."""
    for variable, value in zip(block.variables, values, strict=True):
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
    with ResidualScope(layer, weights, state, runs_again=False) as scope:
        outputs = run(inputs)
    assign(layer, scope.assigned_values())
    return outputs
