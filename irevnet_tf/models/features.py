"""features: a model that returns representations at several points."""

import keras

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chain import entrance
from irevnet_tf.models.chain import find_chain


def features(
    model: keras.Model, points: list[int | str] | None = None
) -> keras.Model:
    """Return a model that computes representations at several points.

    Each of them holds the whole image: `irevnet_tf.invert(model, name)`
    rebuilds it. One call of the result runs the network once.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="fashion_mnist")
    >>> found = irevnet_tf.features(model, ["stage1", "stage3_block2"])(x)
    >>> x_again = irevnet_tf.invert(model, "stage1")(found["stage1"])

    Args:
        model: Keras model. An i-RevNet, or any model that `irevnet_tf.encoder`
            takes.
        points: None or list of points. A point is the number of a stage, from
            1, or a name: of a stage, `"stage2"`, of a block, `"stage2_block1"`,
            or of another layer of the invertible part, such as `"stem"`.
            Defaults to all stages.

    Returns:
        A Functional model that shares the weights. For images
        `(batch, height, width, channels)` it returns a dict from the names,
        in the order of `points`, to representations
        `(batch, height / d, width / d, channels')`: what
        `irevnet_tf.encoder(model, name)` returns, the two streams behind the
        block or the stage, concatenated.

    Raises:
        ValueError: if `model` is no i-RevNet or has no such point, or if
            `points` is empty or names one twice.
    """
    chain = find_chain(model)
    names = _names(chain, points)
    blocks, layers = chain.block_points(), chain.points()
    found = {}
    inputs, x = entrance(chain.model, chain.steps)
    for index, layer in enumerate(chain.layers):
        cuts = {
            count: name
            for name, (place, count) in blocks.items()
            if place == index and name in names
        }
        if cuts:
            x = _run_in_parts(layer, x, cuts, found)
        else:
            x = share_layer(layer)(x)
        for name, place in layers.items():
            if place == index and name in names:
                found[name] = x
    return keras.Model(
        inputs,
        {name: found[name] for name in names},
        name=f"{chain.model.name}_features",
    )


def _names(chain, points):
    """Return the names of the points that the user asked for."""
    if points is None:
        layers = chain.points()
        stages = [
            x.name for x in chain.layers if isinstance(x, ReversibleSequence)
        ]
        last = chain.layers[-1].name
        return [name for name in stages if name in layers] or [last]
    return point_names(chain, points)


def point_names(chain: Chain, points: list[int | str]) -> list[str]:
    """Return the names of the points that a user lists.

    Args:
        chain: `Chain`. That of the model.
        points: list of ints and strs. Numbers of stages, and names.

    Raises:
        ValueError: if there is no such point, or one is named twice.
    """
    if not isinstance(points, list | tuple) or not points:
        raise ValueError(
            "`points` must be a non-empty list of points in the model, such "
            "as ['stage1']. "
            f"Received: points={points!r}"
        )
    names = [chain.point_name(point) for point in points]
    if len(set(names)) < len(names):
        raise ValueError(
            "`points` must be different points in the model. "
            f"Received: points={points!r}"
        )
    return names


def _run_in_parts(sequence, streams, cuts, found):
    """Run a sequence, and put the wanted representations into `found`.

    Args:
        sequence: `ReversibleSequence`. The blocks to run.
        streams: pair of Keras tensors. What the first block takes.
        cuts: dict {number of blocks: name}. The wanted representations.
        found: dict. Receives {name: representation}.
    """
    start = 0
    for stop, name in sorted(cuts.items()):
        streams = sequence.part(start, stop, name=name)(streams)
        found[name] = ChannelMerge(name=f"{name}_merge")(streams)
        start = stop
    if start < len(sequence.blocks):
        rest = sequence.part(start, None, name=f"{sequence.name}_rest")
        streams = rest(streams)
    return streams
