"""Recording and restoring the state of a layer and of the process."""

import contextlib
import logging
import random
import warnings
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR


class Snapshot:
    """The current state of a layer and of all layers in it.

    That is the values of all variables, which variables and layers are
    trainable, and `memory_saving`.

    Args:
        layer: built Keras layer. The layer to record.
    """

    def __init__(self, layer):
        # The outer before the inner, whose flags they overwrite.
        self._layers = layers_of(layer)
        self._variables = list(layer.variables)
        self._flags = self._all_flags()
        self.values = values(layer)

    def restore(self):
        """Restore the state of the layer."""
        for layer, saving in zip(self._layers, self._flags[2], strict=True):
            if saving is not None:
                layer.memory_saving = saving
        if self._all_flags() != self._flags:
            for layer, flag in zip(self._layers, self._flags[0], strict=True):
                layer.trainable = flag
            for variable, flag in zip(
                self._variables, self._flags[1], strict=True
            ):
                variable.trainable = flag
        for variable, value in zip(self._variables, self.values, strict=True):
            variable.assign(value)

    def _all_flags(self):
        return (
            [layer.trainable for layer in self._layers],
            [variable.trainable for variable in self._variables],
            [getattr(x, "memory_saving", None) for x in self._layers],
        )


def values(layer) -> list:
    """Return the values of all variables of a layer, as arrays."""
    return [variable.numpy() for variable in layer.variables]


def layers_of(layer) -> list:
    """Return a layer and all layers in it, the outer before the inner."""
    return list(layer._flatten_layers())


@contextlib.contextmanager
def surroundings_kept(seed: int) -> Iterator[None]:
    """Seed all random generators, and restore the process' state at the end.

    That is the random numbers of Python, NumPy and Keras, the global dtype
    policy, and TensorFlow's log levels. Warnings are not shown inside.

    Args:
        seed: int. The seed of all generators.
    """
    states = random.getstate(), np.random.get_state()
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    generator_state = None if generator is None else generator.state.numpy()
    policy = keras.config.dtype_policy()
    loggers = {x: x.level for x in (tf.get_logger(), logging.getLogger("absl"))}
    try:
        random.seed(seed)
        np.random.seed(seed)
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)
        keras.config.set_dtype_policy(policy)
        random.setstate(states[0])
        np.random.set_state(states[1])
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
        if generator is not None:
            generator.state.assign(generator_state)
