"""Copies of a layer by its configuration, as a file would hold it."""

import contextlib
import inspect

import keras
from keras.src.saving.serialization_lib import SafeModeScope

from irevnet_tf.testing.snapshot import layers_of

# The variable that draws masks: copies keep theirs, like separate layers.
_SEED = "seed_generator_state"


def custom_objects(layer) -> dict:
    """Return {name: class or function} that a layer's configuration names.

    It includes those of all layers in it and of their attributes, except
    Keras' own.
    """
    objects = {}
    for part in layers_of(layer):
        _add(objects, type(part))
        for value in keras.tree.flatten(list(vars(part).values())):
            if inspect.isfunction(value) and value.__name__ != "<lambda>":
                _add(objects, value)
            elif not inspect.isclass(value) and hasattr(value, "get_config"):
                _add(objects, type(value))
    return objects


def _add(objects, found):
    if not (found.__module__ or "").startswith("keras."):
        objects[found.__name__] = found


@contextlib.contextmanager
def loading(layer):
    """Let Keras load the parts of `layer`, including Lambdas."""
    with keras.saving.CustomObjectScope(custom_objects(layer)):
        with SafeModeScope(False):
            yield


def fresh_copy(layer, change=lambda config: config):
    """Return an unbuilt layer with the same configuration.

    Args:
        layer: Keras layer. The layer to copy.
        change: function. Takes the configuration and returns that of the copy.
    """
    config = change(keras.saving.serialize_keras_object(layer))
    with loading(layer):
        return keras.saving.deserialize_keras_object(config)


def copy_values(source, target, seeds=False):
    """Copy the values and flags of a layer to another one like it.

    Args:
        source: built Keras layer. Gives the values and flags.
        target: built Keras layer. Receives them; of the same configuration.
        seeds: bool. Whether to draw the same random numbers, too.

    Raises:
        ValueError: if their variables differ.
    """
    pairs = [(list(x.variables), layers_of(x)) for x in (source, target)]
    (ours, our_layers), (theirs, their_layers) = pairs
    specs = [[(tuple(v.shape), v.dtype) for v in x] for x in (ours, theirs)]
    if specs[0] != specs[1]:
        raise ValueError(
            "A copy by the configuration must have the variables of "
            f"{source.name}, {specs[0]}. Received: {specs[1]}"
        )
    if list(map(type, our_layers)) == list(map(type, their_layers)):
        for a, b in zip(our_layers, their_layers, strict=True):
            if b.trainable != a.trainable:
                b.trainable = a.trainable
    for a, b in zip(ours, theirs, strict=True):
        b.trainable = a.trainable
        if seeds or a.name != _SEED:
            b.assign(a.value)
