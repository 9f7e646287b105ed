"""The chain of invertible layers in a model, and the points along it."""

import numbers
import operator

import keras

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import FixedPoint
from irevnet_tf.layers import Inverse
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.base import InvertibleLayer


def invertible_part(model, point=None):
    """Return the Functional i-RevNet in `model`, and its invertible layers.

    Args:
        model: any Keras model.
        point: where to stop: the number of a stage, from 1, or the name of a
            stage, a block or another layer. None: behind the last one.

    Returns:
        The model and the layers, in order. The `output` of the last one is
        the representation at `point`.

    Raises:
        ValueError: if `model` holds no i-RevNet, or has no such point, or if
            only some of its layers are lossless.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: model={model!r}"
        )
    model, body = _find_chain(model)
    if not body:
        raise ValueError(
            "`model` must be an i-RevNet, or hold or extend one. "
            f"Received: model={model.name} with layers "
            f"{[layer.name for layer in model.layers][:8]}"
        )
    _check_grid(body)
    if point is None:
        return model, body
    name = point_name(body, point)
    blocks = block_points(body)
    if name not in blocks:
        return model, body[: layer_points(body)[name] + 1]
    index, count = blocks[name]
    sequence = body[index]
    part = sequence.part(0, count, name=name)
    merge = ChannelMerge(name=f"{name}_merge")
    merge(part(sequence.input))
    return model, [*body[:index], part, merge]


def point_name(body, point) -> str:
    """Return the name of a point that the user gave as number or name.

    Raises:
        ValueError: if there is no such point.
    """
    is_number = isinstance(point, numbers.Integral)
    if is_number and not isinstance(point, bool):
        point = f"stage{point}"
    layers, blocks = layer_points(body), block_points(body)
    if isinstance(point, str) and (point in layers or point in blocks):
        return point
    expected = f"the number of a stage, from 1, or one of {list(layers)}"
    if blocks:
        expected += (
            f", or a block from {next(iter(blocks))!r} to "
            f"{next(reversed(blocks))!r}"
        )
    raise ValueError(
        f"The point in the model must be {expected}. Received: {point!r}"
    )


def layer_points(body) -> dict[str, int]:
    """Return {name: index in `body`} of the layers with one output.

    The merge behind a sequence of blocks, `"stage1_merge"`, is found under the
    sequence's own name too.
    """
    points = {}
    for index, layer in enumerate(body):
        if not keras.utils.is_keras_tensor(layer.output):
            continue
        points[layer.name] = index
        if index and isinstance(body[index - 1], ReversibleSequence):
            points[body[index - 1].name] = index
    return points


def block_points(body) -> dict[str, tuple[int, int]]:
    """Return {name: (index of the sequence in `body`, number of blocks)}."""
    return {
        f"{layer.name}_block{count}": (index, count)
        for index, layer in enumerate(body)
        if isinstance(layer, ReversibleSequence)
        for count in range(1, len(layer.blocks) + 1)
    }


def copy_layer(layer):
    """Return a layer that shares its weights and belongs to no graph.

    A layer that is used twice has two inputs and outputs, of which Keras tells
    the first: the chain of layers in the new model could not be followed.

    Args:
        layer: one of the invertible layers.

    Raises:
        ValueError: if the layer has weights and is none of this package.
    """
    if isinstance(layer, ReversibleSequence):
        return layer.part(None, None, name=layer.name)
    if isinstance(layer, AdditiveCoupling):
        return layer.with_residual(layer.residual)
    if layer.weights:
        raise ValueError(
            "Invertible layers with weights must be AdditiveCoupling or "
            "ReversibleSequence layers, whose weights can be shared. "
            f"Received: layer={layer.name} of {type(layer)}"
        )
    return type(layer).from_config(layer.get_config())


def _check_grid(body):
    """Raise ValueError if layers on a grid are not all on the same one.

    Their streams would be rounded as they are added up, without a word.
    """
    bits = {
        layer.name: layer.fraction_bits
        for layer in body
        if hasattr(layer, "fraction_bits")
    }
    is_lossless = set(bits.values()) != {None} and bool(bits)
    has_entrance = any(isinstance(layer, FixedPoint) for layer in body)
    if len(set(bits.values())) > 1 or is_lossless != has_entrance:
        raise ValueError(
            "A lossless network must begin with a FixedPoint layer, and all "
            "its blocks must have the same `fraction_bits`. "
            f"Received: fraction_bits={bits}"
        )


def _find_chain(model):
    """Return the Functional model with the stream layers, and these.

    Args:
        model: the model itself, or one that holds it as a layer.
    """
    chain = _invertible_chain(model)
    if not chain:
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                base, chain = _find_chain(layer)
                if chain:
                    return base, chain
    return model, chain


def _invertible_chain(model):
    """Return the model's first stream layers that end in one tensor."""
    rest = [
        layer
        for layer in model.layers
        if isinstance(layer, InvertibleLayer) and not isinstance(layer, Inverse)
    ]
    chain = rest[:1]
    while chain:
        following = [layer for layer in rest if _follows(layer, chain[-1])]
        # Where the streams go on, a merge is a look at them from aside.
        following.sort(key=lambda layer: isinstance(layer, ChannelMerge))
        if not following:
            break
        chain.append(following[0])
    if not chain:
        return chain
    outputs = keras.tree.flatten(model.output)
    if any(chain[-1].output is output for output in outputs):
        return chain  # Such as the encoder that ends behind psi.
    while chain and not isinstance(chain[-1], ChannelMerge):
        chain.pop()
    return chain


def _follows(layer, previous):
    inputs = keras.tree.flatten(layer.input)
    outputs = keras.tree.flatten(previous.output)
    return len(inputs) == len(outputs) and all(
        map(operator.is_, inputs, outputs)
    )
