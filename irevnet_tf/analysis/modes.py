"""The same network in lossless and in ordinary mode."""

import keras

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers import Shared
from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chain import rebuilt
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS


def in_mode(chain: Chain, fraction_bits: int | None) -> keras.Model | None:
    """Return the chain of a model with another grid and the same weights.

    Args:
        chain: `Chain`. A model's invertible layers.
        fraction_bits: None or int. The new grid, None for ordinary mode.

    Returns:
        A Functional model from images to the representation; None if the chain
        has a layer from elsewhere whose form in that mode is not known.
    """
    layers = [
        _converted(layer, fraction_bits)
        for layer in chain.layers
        if not isinstance(layer, FixedPointRounding)
    ]
    if fraction_bits is not None:
        layers.insert(0, FixedPointRounding(fraction_bits))
    if None in layers:
        return None
    model = rebuilt(chain.model, chain.steps, layers).model
    find_chain(model)
    return model


def both_modes(chain: Chain, fraction_bits: int | None) -> dict:
    """Return {"ordinary": model, "lossless": model}, as far as possible.

    Args:
        chain: `Chain`. A model's invertible layers.
        fraction_bits: None or int. The model's own grid, None if it is not
            lossless.
    """
    bits = fraction_bits
    if bits is None:
        bits = DEFAULT_FRACTION_BITS
    models = {
        "ordinary": in_mode(chain, None),
        "lossless": in_mode(chain, bits),
    }
    own = "ordinary" if fraction_bits is None else "lossless"
    models[own] = chain.model
    return {mode: model for mode, model in models.items() if model is not None}


def _converted(layer, fraction_bits):
    """Return a layer like this one on another grid, or None."""
    if isinstance(layer, Shared):
        layer = layer.layer
    if type(layer) is ReversibleSequence:
        blocks = [_on_grid(block, fraction_bits) for block in layer.blocks]
        if None in blocks:
            return None
        return ReversibleSequence(
            blocks,
            memory_saving=layer.memory_saving,
            name=layer.name,
            dtype=layer.dtype_policy,
        )
    if getattr(layer, "keeps_grid", False):
        return share_layer(layer)
    layer = _on_grid(layer, fraction_bits)
    return layer and share_layer(layer)


def _on_grid(layer, fraction_bits):
    """Return a layer on a grid, itself if it is there, None if unknown."""
    if type(layer) is AdditiveCoupling:
        return layer.with_fraction_bits(fraction_bits)
    own_bits = getattr(layer, "fraction_bits", None)
    return layer if own_bits == fraction_bits else None
