"""Sublayers of a layer: tracking by checkpoints, and frozen parts."""

import collections

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


def refuse_shared_layers(parts: list, names: str = "blocks") -> None:
    """Raise ValueError if two residuals have a layer in common.

    Its state would change between the blocks, which the backward pass could
    not tell apart.

    Args:
        parts: list of Keras layers. Blocks, or residuals.
        names: str. What they are called.
    """
    seen = set()
    for part in parts:
        for layer in part._flatten_layers():
            if id(layer) in seen:
                raise ValueError(
                    f"`{names}` must not share layers between their residuals. "
                    f"Received: {names} with the shared layer {layer.name}"
                )
            seen.add(id(layer))


def refuse_shared_state(blocks: list, assigned: list) -> None:
    """Raise ValueError if a block assigns to a variable of another one.

    Blocks read their variables before the first of them runs, in a
    memory-saving pass: the second one would not see what the first has left.

    Args:
        blocks: list of `Coupling`. Those of a sequence.
        assigned: list of lists. For each block, the new value of each of its
            variables, None for those that it does not assign to.
    """
    owners = collections.Counter(
        id(variable) for block in blocks for variable in block.variables
    )
    for block, values in zip(blocks, assigned, strict=True):
        for variable, value in zip(block.variables, values, strict=True):
            if value is not None and owners[id(variable)] > 1:
                raise ValueError(
                    "Blocks must not share a variable that one of them assigns "
                    "to, such as the state of a SeedGenerator, if "
                    f"`memory_saving` is True. Received: block={block.name} "
                    f"with residual={block.residual.name}, which assigns to "
                    f"{variable.path}"
                )
