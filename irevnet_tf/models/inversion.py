"""From a model to its encoder, and from that to its inverse."""

import keras

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import FixedPoint
from irevnet_tf.layers import Inverse
from irevnet_tf.layers.stream import StreamLayer


def encoder(model, end=None) -> keras.Model:
    """Return the invertible part of an i-RevNet: images to representation.

    Args:
        model: i-RevNet, with or without its classifier, any model of such
            layers from `irevnet_tf.layers`, or a model that
            extends one (`keras.Model(base.input, head(base.output))`) or
            holds one (`keras.Sequential([base, head])`).
        end: optional point to stop at: the number of a stage, from 1, or the
            name of a layer of the invertible part, such as `"stage2"` or
            `"stem"`. Defaults to the last stage.

    Returns:
        A Functional model that shares the weights. For images
        `(batch, height, width, channels)` it returns the representation
        `(batch, height / d, width / d, channels')`, float32 or wider. It takes
        what the i-RevNet takes as input: an `input_tensor` that other layers
        computed is computed here, too.

    Raises:
        ValueError: if `model` is no i-RevNet, or has no such `end`, or if
            only some of its layers are lossless.
    """
    model, body = _body(model, end)
    return keras.Model(
        model.input, body[-1].output, name=f"{model.name}_encoder"
    )


def invert(model, start=None) -> keras.Model:
    """Return the inverse of an i-RevNet: representation to images.

    `invert(encoder(model))(encoder(model)(x))` is x, to rounding; to the last
    bit if the network is lossless and x on its grid. Each layer of the result
    is the `layers.Inverse` of one of the model's and shares its weights, so it
    follows the model's training.

    In an injective network some representations belong to no image. What its
    padding knows to be zero is set to zero on the way.

    Args:
        model: i-RevNet, its `encoder`, or any model that `encoder` takes.
        start: optional point to start from, as `end` in `encoder`.

    Returns:
        A Functional model from representations
        `(batch, height / d, width / d, channels')` to images
        `(batch, height, width, channels)`: what its first layer received,
        which is not the model's input if it was built on an `input_tensor`
        that other layers computed.

    Raises:
        ValueError: if `model` is no i-RevNet, or has no such `start`, or if
            only some of its layers are lossless.
    """
    model, body = _body(model, start)
    representation = keras.Input(
        body[-1].output.shape[1:],
        dtype=body[-1].output.dtype,
        name="representation",
    )
    x = representation
    for layer in body:
        if isinstance(layer, FixedPoint):
            # A representation may come from anywhere. On the grid, it stays.
            x = Inverse(layer, name="representation_rounded")(x)
    for layer in reversed(body):
        x = Inverse(layer, name=f"{layer.name}_inverse")(x)
    return keras.Model(representation, x, name=f"{model.name}_inverse")


def _body(model, point):
    """Return the Functional i-RevNet in `model`, and its invertible layers.

    Args:
        model: any Keras model.
        point: number of a stage, name of a layer, or None: the last layer of
            those that are returned.
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
    points = [
        layer.name
        for layer in body
        if keras.utils.is_keras_tensor(layer.output)
    ]
    is_number = isinstance(point, int) and not isinstance(point, bool)
    stage = f"stage{point}" if is_number else point
    name = f"{stage}_merge" if f"{stage}_merge" in points else stage
    if name not in points:
        raise ValueError(
            "The point in the model must be the number of a stage, from 1, or "
            f"one of {points}. Received: {point!r}"
        )
    names = [layer.name for layer in body]
    return model, body[: names.index(name) + 1]


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
    chain = []
    for layer in model.layers:
        if not isinstance(layer, StreamLayer) or isinstance(layer, Inverse):
            continue
        if chain and not _follows(layer, chain[-1]):
            break
        chain.append(layer)
    while chain and not isinstance(chain[-1], ChannelMerge):
        chain.pop()
    return chain


def _follows(layer, previous):
    inputs = keras.tree.flatten(layer.input)
    outputs = keras.tree.flatten(previous.output)
    return all(x is y for x, y in zip(inputs, outputs, strict=False))
