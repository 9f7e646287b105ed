"""The check that layers of a lossless network are all on one grid."""

import itertools

from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import Shared


def check_grid(layers: list) -> None:
    """Raise ValueError if layers on a grid are not all on the same one.

    Otherwise sums of the streams would be rounded, without a message.

    Args:
        layers: list of layers. Those of a chain, in order.
    """
    layers = [x.layer if isinstance(x, Shared) else x for x in layers]
    bits = {
        layer.name: layer.fraction_bits
        for layer in layers
        if hasattr(layer, "fraction_bits")
    }
    is_lossless = set(bits.values()) != {None} and bool(bits)
    has_entrance = any(
        isinstance(layer, FixedPointRounding) for layer in layers
    )
    if len(set(bits.values())) > 1 or is_lossless != has_entrance:
        raise ValueError(
            "A lossless network must begin with a FixedPointRounding layer, "
            "and all its blocks must have the same `fraction_bits`. "
            f"Received: fraction_bits={bits}"
        )
    if not is_lossless:
        return
    on_grid = itertools.dropwhile(
        lambda layer: not isinstance(layer, FixedPointRounding), layers
    )
    for layer in on_grid:
        if not hasattr(layer, "fraction_bits") and not getattr(
            layer, "keeps_grid", False
        ):
            raise ValueError(
                "The layers of a lossless network must keep its grid: "
                "couplings with `fraction_bits`, and layers that only move "
                "values, which say so by `keeps_grid`. "
                f"Received: {layer.name} of {type(layer)}"
            )
