"""What is frozen inside of a layer, to be recorded and restored."""


def trainable_flags(layer) -> dict[str, list[bool]]:
    """Return which parts and variables of a built layer are to be trained."""
    return {
        "layers": [part.trainable for part in layer._flatten_layers()],
        "variables": [variable.trainable for variable in layer.variables],
    }


def freeze_by_flags(layer, flags):
    """Freeze the parts of a layer that `trainable_flags` told are frozen.

    What is frozen already stays so. Does nothing if the layer has other parts
    by now.
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
