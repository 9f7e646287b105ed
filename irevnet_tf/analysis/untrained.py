"""untrained: a network of the same shape with random weights."""

import contextlib
import random

import keras

from irevnet_tf.models.inversion import encoder


def untrained(model, seed: int) -> keras.Model:
    """Return the encoder of a model with fresh random weights.

    Args:
        model: Keras model. Any model that `irevnet_tf.encoder` takes.
        seed: int. The seed of the weights. No other random numbers change.

    Raises:
        ValueError: if a layer cannot be made from its configuration.
    """
    with _python_seed(seed):
        try:
            return keras.models.clone_model(encoder(model))
        except (NotImplementedError, TypeError, ValueError) as error:
            raise ValueError(
                "`model` must be made of layers that Keras can make again from "
                "their configurations, or `untrained` be False. "
                f"Received: model={model.name}: {error}"
            ) from error


@contextlib.contextmanager
def _python_seed(seed):
    """Seed Python's generator, from which Keras' initializers draw seeds."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
