"""What a network can invert, in words."""

import keras

from irevnet_tf.models.chain import find_chains


def inverted(model: keras.Model) -> str:
    """Return what a network's representations can be led back to.

    Args:
        model: Functional model. The network.
    """
    chains = find_chains(model)
    if not chains:
        return "nothing"
    if len(chains) > 1:
        return f"{len(chains)} stages, each to its entrance"
    (entering,) = chains[0].steps[0].inputs
    if any(entering is x for x in chains[0].model.inputs):
        return "the image"
    layer, _, _ = entering._keras_history
    return f"to what `{layer.name}` returns"
