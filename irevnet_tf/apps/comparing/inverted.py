"""What a network can invert, in words."""

import keras

from irevnet_tf.models.chains import find_chains
from irevnet_tf.models.graph import calls


def inverted(model: keras.Model) -> str:
    """Return what a network's representations can be led back to.

    Args:
        model: Functional model. The network, without models in it.
    """
    chains = find_chains(model)
    if not chains:
        return "nothing"
    if len(chains) > 1:
        return f"{len(chains)} stages, each to its entrance"
    (entering,) = chains[0].steps[0].inputs
    if any(entering is x for x in chains[0].model.inputs):
        return "the image"
    names = [
        call.layer.name
        for call in calls(chains[0].model)
        if any(entering is x for x in call.outputs)
    ]
    return f"to what `{names[0]}` returns"
