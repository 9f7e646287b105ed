"""From a model to its encoder, and from that to its inverse."""

import keras

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import Inverse
from irevnet_tf.layers.stream import StreamLayer


def encoder(model, end=None) -> keras.Model:
    """Return the invertible part of an i-RevNet: images to representation.

    Args:
        model: i-RevNet, with or without its classifier, or a model that
            extends one (`keras.Model(base.input, head(base.output))`, or
            `keras.Sequential([base, head])`).
        end: optional point to stop at: the number of a stage, from 1, or the
            name of a layer of the invertible part that returns one tensor,
            such as `"stage2_merge"`. Defaults to the last stage.

    Returns:
        A Functional model that shares the weights. For images
        `(batch, height, width, channels)` it returns the representation
        `(batch, height / d, width / d, channels')`, float32.

    Raises:
        ValueError: if `model` is no i-RevNet, or has no such `end`.
    """
    model, body = _body(model, end)
    return keras.Model(
        model.input, body[-1].output, name=f"{model.name}_encoder"
    )


def invert(model, start=None) -> keras.Model:
    """Return the inverse of an i-RevNet: representation to images.

    `invert(encoder(model))(encoder(model)(x))` is x, to rounding. Each layer
    of the result is the `layers.Inverse` of one of the model's and shares its
    weights, so it follows the model's training.

    A representation that no image has, of an injective network, is mapped to
    the image of the nearest one that it can have where zeros were padded.

    Args:
        model: i-RevNet, its `encoder`, or any model that `encoder` takes.
        start: optional point to start from, as `end` in `encoder`.

    Returns:
        A Functional model from representations
        `(batch, height / d, width / d, channels')` to float32 images
        `(batch, height, width, channels)`.

    Raises:
        ValueError: if `model` is no i-RevNet, or has no such `start`.
    """
    model, body = _body(model, start)
    representation = keras.Input(
        body[-1].output.shape[1:],
        dtype=body[-1].output.dtype,
        name="representation",
    )
    x = representation
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
    nested = _nested_base(model)
    if nested is not None:
        return _body(nested, point)
    body = _invertible_chain(model)
    if not body:
        raise ValueError(
            "`model` must be an i-RevNet or start with one. "
            f"Received: model={model.name} with layers "
            f"{[layer.name for layer in model.layers][:8]}"
        )
    if point is None:
        return model, body
    names = [layer.name for layer in body]
    wanted = f"stage{point}_merge" if isinstance(point, int) else point
    layers = [
        layer
        for layer in body
        if layer.name == wanted and keras.utils.is_keras_tensor(layer.output)
    ]
    if not layers:
        raise ValueError(
            "The point in the model must be the number of a stage or one of "
            f"{[n for n in names if n.endswith('_merge')]}. "
            f"Received: {point!r}"
        )
    return model, body[: names.index(wanted) + 1]


def _nested_base(model):
    """Return the model that is the first layer of `model`, if it is one."""
    layers = [
        layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    if layers and isinstance(layers[0], keras.Model):
        return layers[0]
    return None


def _invertible_chain(model):
    """Return the longest chain of stream layers that ends in one tensor."""
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
