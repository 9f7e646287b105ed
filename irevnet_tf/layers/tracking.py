"""Parts that TensorFlow's checkpoints find."""

import keras
import tensorflow as tf


class TrackedParts:
    """A Keras layer whose lists of layers are in TensorFlow's checkpoints.

    `tf.train.Checkpoint` follows attributes, but none of the lists that Keras
    tracks: the layers in them would be left out without a word, and a restored
    network would be in part a fresh one.
    """

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        for name, value in vars(self).items():
            if isinstance(value, list | tuple) and not name.startswith("_"):
                parts = filter(_is_trackable, keras.tree.flatten(value))
                parts = {f"{name}-{i}": part for i, part in enumerate(parts)}
                if parts:
                    # Of a SavedModel, Keras has put the list itself there.
                    children.pop(name, None)
                children.update(parts)
        return children


def _is_trackable(value):
    return isinstance(value, tf.__internal__.tracking.Trackable)
