"""Training steps of a sequence, memory-saving and plain, from one state."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.testing.snapshot import Snapshot
from irevnet_tf.testing.snapshot import layers_of
from irevnet_tf.testing.snapshot import values

# The learning rate of all training in checks.
LEARNING_RATE = 0.02


class Step(NamedTuple):
    """The results of one training step.

    Attributes:
        outputs: list of arrays. The layer's outputs.
        gradients: list of arrays. Those of the inputs and of the trainable
            variables; zeros where there is none.
        state: list of arrays. The values of all variables after the step.
    """

    outputs: list
    gradients: list
    state: list


class Steps:
    """Training steps of a layer; the result of each mode is kept.

    Args:
        layer: built Keras layer. A `ReversibleSequence`, or a layer that holds
            some.
        inputs: tensor, or structure of tensors. What the layer takes.
    """

    def __init__(self, layer, inputs):
        self.layer = layer
        self.inputs = inputs
        self._start = Snapshot(layer)
        self._functions, self._steps = {}, {}

    def reset(self):
        """Restore the values and flags with which steps begin."""
        self._start.restore()

    def step(self, memory_saving: bool, traced: bool) -> Step:
        """Return the results of a step in training mode."""
        key = memory_saving, traced
        if key not in self._steps:
            self.reset()
            self._steps[key] = self.run(memory_saving, traced)
            self.reset()
        return self._steps[key]

    def train(self, memory_saving: bool, count: int) -> list:
        """Return the variables' values after steps of SGD, and leave them."""
        self.reset()
        for _ in range(count):
            step = self.run(memory_saving, True)
            gradients = step.gradients[len(keras.tree.flatten(self.inputs)) :]
            for variable, gradient in zip(
                self.layer.trainable_variables, gradients, strict=True
            ):
                variable.assign(variable.value - LEARNING_RATE * gradient)
        return values(self.layer)

    def run(self, memory_saving: bool, traced: bool) -> Step:
        """Run a step from the layer's current state, and keep the new one."""
        set_memory_saving(self.layer, memory_saving)
        key = memory_saving, traced
        if key not in self._functions:
            self._functions[key] = _step_function(self.layer, traced)
        outputs, gradients = self._functions[key](self.inputs)
        return Step(
            list(map(np.array, outputs)),
            list(map(np.array, gradients)),
            values(self.layer),
        )


def sequences_in(layer) -> list:
    """Return the `ReversibleSequence`s in a layer, including itself."""
    return [x for x in layers_of(layer) if isinstance(x, ReversibleSequence)]


def set_memory_saving(layer, memory_saving: bool):
    """Set `memory_saving` of all sequences in a layer."""
    for sequence in sequences_in(layer):
        sequence.memory_saving = memory_saving


def _step_function(layer, traced):
    def step(inputs):
        outputs, gradients = gradients_of(layer, inputs)
        sources = [*keras.tree.flatten(inputs), *layer.trainable_variables]
        gradients = [
            tf.zeros(x.shape, x.dtype)
            if dx is None
            else tf.convert_to_tensor(dx)
            for x, dx in zip(sources, gradients, strict=True)
        ]
        return outputs, gradients

    return tf.function(step, autograph=False) if traced else step


def gradients_of(layer, inputs, training=True):
    """Return a layer's outputs, and the gradients of a loss on them.

    Outputs that are no floats, such as the number of a class, have no loss.

    Args:
        layer: built Keras layer. The layer to differentiate.
        inputs: tensor, or structure of tensors. What the layer takes.
        training: bool. The mode of the layer.

    Returns:
        The list of outputs, and that of the gradients of the inputs and of
        the trainable variables, None where there is none.
    """
    sources = [
        *keras.tree.flatten(inputs),
        *(variable.value for variable in layer.trainable_variables),
    ]
    with tf.GradientTape() as tape:
        tape.watch(keras.tree.flatten(inputs))
        outputs = keras.tree.flatten(layer(inputs, training=training))
        loss = tf.add_n(
            [
                _loss_of(y, index)
                for index, y in enumerate(outputs)
                if y.dtype.is_floating
            ]
        )
    return outputs, tape.gradient(loss, sources)


def _loss_of(y, index):
    # The gradient has another size for each output and for each value: with
    # the same one, those of probabilities, which sum to 1, would cancel.
    phases = index + tf.reshape(tf.range(tf.size(y)) % 7, tf.shape(y))
    return tf.reduce_mean(
        tf.cast(tf.sin(y + tf.cast(phases, y.dtype)), "float64")
    )
