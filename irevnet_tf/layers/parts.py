"""Sublayers of a layer: tracking by checkpoints, and frozen parts."""

import keras
import tensorflow as tf


class TrackedParts:
    """A Keras layer whose lists of layers are in TensorFlow's checkpoints.

    `tf.train.Checkpoint` follows attributes, but not the lists that Keras
    tracks: it would silently omit the layers in them, and part of a restored
    network would have fresh weights.
    """

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        for name, value in vars(self).items():
            if isinstance(value, list | tuple) and not name.startswith("_"):
                parts = filter(_is_trackable, keras.tree.flatten(value))
                parts = {f"{name}-{i}": part for i, part in enumerate(parts)}
                if parts:
                    # For a SavedModel, Keras puts the list itself there.
                    children.pop(name, None)
                children.update(parts)
        return children


def _is_trackable(value):
    return isinstance(value, tf.__internal__.tracking.Trackable)


def trainable_flags(layer) -> dict[str, list[bool]]:
    """Return which parts and variables of a built layer are trainable."""
    return {
        "layers": [part.trainable for part in layer._flatten_layers()],
        "variables": [variable.trainable for variable in layer.variables],
    }


def freeze_by_flags(layer, flags):
    """Freeze the parts of a layer that `trainable_flags` lists as frozen.

    Parts that are frozen already stay frozen. Does nothing if the layer has
    other parts by now.
    """
    parts, variables = list(layer._flatten_layers()), layer.variables
    if [len(parts), len(variables)] != [len(x) for x in flags.values()]:
        return
    flags = {
        kind: [
            then and now for then, now in zip(flags[kind], of_kind, strict=True)
        ]
        for kind, of_kind in trainable_flags(layer).items()
    }
    # A layer comes before its parts, which it passes its own flag on to.
    for part, flag in zip(parts, flags["layers"], strict=True):
        part.trainable = flag
    for variable, flag in zip(variables, flags["variables"], strict=True):
        variable.trainable = flag


def refuse_shared_layers(blocks: list) -> None:
    """Raise ValueError if two residuals have a layer in common.

    Its state would change between the blocks, which the backward pass could
    not tell apart.
    """
    seen = set()
    for block in blocks:
        for layer in block._flatten_layers():
            if id(layer) in seen:
                raise ValueError(
                    "`blocks` must not share layers between their residuals. "
                    f"Received: blocks with the shared layer {layer.name}"
                )
            seen.add(id(layer))
