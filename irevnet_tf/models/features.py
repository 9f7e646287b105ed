"""features: a model that returns representations at several points."""

import keras

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chain import chain_with
from irevnet_tf.models.chain import entrance
from irevnet_tf.models.chains import find_chains
from irevnet_tf.models.chains import refuse_other_images


def features(
    model: keras.Model, points: list[int | str] | None = None
) -> keras.Model:
    """Return a model that computes representations at several points.

    Each representation holds the whole image: `irevnet_tf.invert(model, name)`
    rebuilds it. In a RevNet it holds what entered the point's stage. One call
    of the result runs the network once.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="fashion_mnist")
    >>> x = keras.random.uniform((1, 28, 28, 1))
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
        ValueError: if `model` is no i-RevNet or has no such point; if
            `points` is empty or names one twice; or if points are in several
            stages of a RevNet, and one is at a block.
    """
    chains = find_chains(model, needed=True)
    if points is None:
        stages = [name for chain in chains for name in chain.stages]
        points = stages or [chains[-1].layers[-1].name]
    places = _places(chains, points)
    used = [x for x in chains if any(x is chain for chain, _ in places)]
    refuse_other_images(model, *used)
    names = [name for _, name in places]
    if len(used) == 1:
        return _in_one_chain(used[0], names)
    return _in_several_chains(places)


def _in_several_chains(places):
    """Return the model of `features` whose points are in several chains.

    Args:
        places: list of pairs of a `Chain` and the name of a point in it.
    """
    model = places[0][0].model
    outputs = {}
    for chain, name in places:
        if chain.model is not model or name not in chain.points():
            raise ValueError(
                "`points` must be layers, such as stages, if they are on both "
                "sides of a layer without inverse; those at blocks are to be "
                "asked for separately. "
                f"Received: points={[name for _, name in places]}"
            )
        outputs[name] = chain.steps[chain.points()[name]].outputs[0]
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def _in_one_chain(chain, names):
    """Return the model of `features` whose points are in one chain.

    Args:
        chain: `Chain`. The chain.
        names: list of str. The names of the points.
    """
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


def point_names(chain: Chain, points: list[int | str]) -> list[str]:
    """Return the names of the points that a user lists.

    Args:
        chain: `Chain`. The points are in it.
        points: list of ints and strs. Numbers of stages, and names.

    Raises:
        ValueError: if there is no such point, or one is named twice.
    """
    return [name for _, name in _places([chain], points)]


def _places(chains, points):
    """Return the chain and the name of each point that a user lists.

    Args:
        chains: list of `Chain`. Those of the model.
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
    places = [chain_with(chains, point) for point in points]
    if len({name for _, name in places}) < len(places):
        raise ValueError(
            "`points` must be different points in the model. "
            f"Received: points={points!r}"
        )
    return places


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
