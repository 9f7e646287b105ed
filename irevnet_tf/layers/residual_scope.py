"""Calling a residual as a function of the values of its variables."""

import keras
import tensorflow as tf

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

    Raises:
        ValueError: inside the scope, if a variable is used that is none of
            the block's. It would be read or written twice in a step, and
            would get no gradient.
    """

    def __init__(self, block, weights, state):
        self._block = block
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
            collect_losses=True,
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
        if id(variable) not in self._known:
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
