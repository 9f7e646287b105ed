"""The points of a network that the studies examine."""

import dataclasses

import numpy as np

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import ChannelSplit
from irevnet_tf.layers import Coupling
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import InjectivePadding
from irevnet_tf.layers import InvertibleDownsampling
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers import Shared
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.features import point_names

# Layers that learn nothing: the points around them are equivalent.
_WEIGHTLESS = (
    ChannelMerge,
    ChannelSplit,
    FixedPointRounding,
    InjectivePadding,
    InvertibleDownsampling,
)


@dataclasses.dataclass(frozen=True)
class Point:
    """A place in a network, as `irevnet_tf.encoder` takes it.

    Attributes:
        name: str. Such as `"stage1_block2"`, or `"stage1"` for its last block.
        depth: int. How many blocks, or other layers with weights, lead to it.
    """

    name: str
    depth: int


def all_points(chain: Chain) -> tuple[Point, ...]:
    """Return the points behind every block and every other learned layer.

    In a network without any, that is its end.
    """
    depths = _depths(chain)
    found = {}  # One name for each depth: a stage's rather than a block's.
    layers = list(_layer_points(chain))
    # After a layer that learns come others that do not, such as padding.
    for name in [*reversed(layers), *layers[-1:]]:
        found[depths[name]] = name
    for name in chain.block_points():
        found.setdefault(depths[name], name)
    found.pop(0, None)
    points = tuple(Point(found[depth], depth) for depth in sorted(found))
    return points or (Point(list(chain.points())[-1], 0),)


def stage_points(chain: Chain) -> tuple[Point, ...]:
    """Return the points behind every stage, or all if there are no stages."""
    sequences = {
        layer.name
        for layer in chain.layers
        if isinstance(layer, ReversibleSequence)
    }
    points = all_points(chain)
    return tuple(p for p in points if p.name in sequences) or points


def find_points(chain: Chain, points, default=all_points) -> tuple[Point, ...]:
    """Return the points that a user names.

    Args:
        chain: `Chain`. The network's invertible layers.
        points: None or list. Names, or numbers of stages.
        default: function. Returns the points of the chain if `points` is None.

    Raises:
        ValueError: if there is no such point, or one is named twice.
    """
    if points is None:
        return default(chain)
    names = point_names(chain, points)
    depths, layers = _depths(chain), chain.points()
    blocks = chain.block_points()

    def place(name):
        return blocks[name] if name in blocks else (layers[name], 0)

    return tuple(Point(name, depths[name]) for name in sorted(names, key=place))


def _layer_points(chain):
    """Return the names of points behind layers, stages by their own names."""
    names = {}
    for name, index in chain.points().items():
        names[index] = name  # A stage's name comes after its merge's.
    return names.values()


def _depths(chain):
    """Return {name: number of layers with weights up to it}."""
    steps = [_blocks_in(layer) for layer in chain.layers]
    until = np.cumsum([0, *steps])
    depths = {
        name: int(until[index + 1]) for name, index in chain.points().items()
    }
    for name, (index, count) in chain.block_points().items():
        depths[name] = int(until[index]) + count
    return depths


def _blocks_in(layer):
    layer = layer.layer if isinstance(layer, Shared) else layer
    if isinstance(layer, ReversibleSequence):
        return len(layer.blocks)
    if isinstance(layer, Coupling):
        return 1
    return int(not isinstance(layer, _WEIGHTLESS))
