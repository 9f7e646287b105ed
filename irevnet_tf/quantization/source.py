"""Models taken apart into layers, with checks, and put together."""

import hashlib

import keras
import numpy as np

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import ChannelSplit
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import InjectivePadding
from irevnet_tf.layers import IntegerResidual
from irevnet_tf.layers import InvertibleDownsampling
from irevnet_tf.layers import PixelRange
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers import Shared
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.model import Functional

MOVING = (
    ChannelMerge,
    ChannelSplit,
    FixedPointRounding,
    InjectivePadding,
    InvertibleDownsampling,
    PixelRange,
)


def check_source(
    model: keras.Model, portable: bool = False
) -> tuple[Chain, list[keras.Layer]]:
    """Return the invertible layers of a model, and those behind them.

    Args:
        model: any. What the user gave.
        portable: bool. Whether it may be portable already.

    Raises:
        ValueError: if it is no i-RevNet whose residuals can be of integers.
    """
    chain = find_chain(model)
    image = model.inputs[0]
    if chain.model is not model or chain.steps[0].inputs[0] is not image:
        raise ValueError(
            "`model` must be an i-RevNet itself, without layers in front of it "
            "or around it: make the network in it portable, and put other "
            "layers behind, as keras.Sequential([irevnet_tf.portable(base, "
            "images), head]) has them. Received: "
            f"model={model.name} with layers "
            f"{[layer.name for layer in model.layers][:8]}"
        )
    if len(model.outputs) > 1:
        raise ValueError(
            "`model` must have one output: its representation, pooled features "
            f"or classes. Received: model={model.name} with "
            f"{len(model.outputs)} outputs"
        )
    if not any(hasattr(x, "blocks") for x in own_layers(chain)):
        raise ValueError(
            "`model` must have residuals, those of a stage at least. "
            f"Received: model={model.name} with layers "
            f"{[layer.name for layer in model.layers][:8]}"
        )
    if image.dtype != "float32":
        raise ValueError(
            "`model` must take float32, in which portable networks compute. "
            f"Received: model={model.name}, which takes {image.dtype}"
        )
    for layer in own_layers(chain):
        for block in getattr(layer, "blocks", ()):
            _check_block(f"{layer.name}/{block.name}", block)
        if type(layer) not in (*MOVING, ReversibleSequence):
            raise ValueError(
                "The invertible layers of `model` must be those of i-RevNets, "
                "whose values can be bounded. "
                f"Received: {layer.name} of {type(layer)}"
            )
    is_integer = any(isinstance(x, PixelRange) for x in chain.layers)
    if is_integer and not portable and not is_fine_tuned(chain):
        raise ValueError(
            "`model` must not be portable already: `fine_tunable` makes it "
            f"trainable. Received: model={model.name}"
        )
    steps = own_layers(chain)
    head = [
        layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
        and not any(layer is x for x in [*steps, *chain.layers])
    ]
    return chain, head


def own_layers(chain: Chain) -> list[keras.Layer]:
    """Return the layers of a chain, without what they may be shared by."""
    return [x.layer if isinstance(x, Shared) else x for x in chain.layers]


def weights_hash(layers: list[keras.Layer]) -> str:
    """Return the SHA-256 of all variables of layers."""
    digest = hashlib.sha256()
    for layer in layers:
        for variable in layer.variables:
            # Integers in files have no signed zeros.
            digest.update(np.ascontiguousarray(variable.numpy() + 0.0))
    return digest.hexdigest()


def is_fine_tuned(chain: Chain) -> bool:
    """Return whether the residuals of a chain are being fine-tuned."""
    residuals = [
        block.residual
        for layer in own_layers(chain)
        for block in getattr(layer, "blocks", ())
    ]
    return all(getattr(x, "fine_tuning", False) for x in residuals)


def _check_block(place, block):
    kinds = (BottleneckResidual, IntegerResidual)
    if type(block) is not AdditiveCoupling or type(block.residual) not in kinds:
        raise ValueError(
            "The blocks of `model` must be AdditiveCouplings of a "
            "BottleneckResidual, as in i-RevNets. Received: "
            f"{place} of {type(block)} with {type(block.residual)}"
        )


def assembled(
    model: keras.Model, layers: list[keras.Layer], preprocessing: str | None
) -> keras.Model:
    """Return a model of layers, one behind the other.

    Args:
        model: Keras model. The result has its input's shape, and its name.
        layers: list of Keras layers. They belong to no model.
        preprocessing: None or str. How the result's images are scaled.
    """
    image = keras.Input(
        model.inputs[0].shape[1:], dtype="float32", name="image"
    )
    x = image
    for layer in layers:
        x = layer(x)
    made = Functional(image, x, name=model.name)
    if preprocessing is not None:
        made.preprocessing = preprocessing
    return made
