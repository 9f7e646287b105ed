"""A chain of invertible layers in a model, and the points along it."""

import dataclasses
import math
import operator
from collections.abc import Sequence

import keras

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.base import is_integer
from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.graph import Call
from irevnet_tf.models.graph import calls
from irevnet_tf.models.graph import runs_of


@dataclasses.dataclass(frozen=True)
class Chain:
    """Invertible layers of a model; each takes what the previous one returns.

    Attributes:
        model: Functional model. The layers are in its graph.
        steps: tuple of `Call`. The layers' calls in it, in order.
        obstacle: None or Keras operation. What has no inverse and stands
            between the chain before and this one.
        is_from_image: bool. Whether `model` takes what the first chain is
            computed from, the images.
    """

    model: keras.Model
    steps: tuple[Call, ...]
    obstacle: keras.Operation | None = None
    is_from_image: bool = True

    @property
    def layers(self) -> list:
        return [step.layer for step in self.steps]

    @property
    def output(self):
        """The representation, a Keras tensor of the model's graph."""
        return self.steps[-1].outputs[0]

    @property
    def downsampling(self) -> int:
        """The factor by which the chain divides height and width."""
        return math.prod(getattr(x, "downsampling", 1) for x in self.layers)

    @property
    def stages(self) -> list[str]:
        """The names of the sequences of blocks that are points."""
        points = self.points()
        names = [
            x.name for x in self.layers if isinstance(x, ReversibleSequence)
        ]
        return [name for name in names if name in points]

    def points(self) -> dict[str, int]:
        """Return {name: index of the layer} of the layers with one output.

        The merge behind a sequence of blocks, `"stage1_merge"`, is also listed
        under the name of the sequence.
        """
        points = {}
        for index, step in enumerate(self.steps):
            if len(step.outputs) > 1:
                continue
            points[step.layer.name] = index
            previous = self.steps[index - 1].layer if index else None
            if isinstance(previous, ReversibleSequence):
                points[previous.name] = index
        return points

    def block_points(self) -> dict[str, tuple[int, int]]:
        """Return {name: (index of the sequence, number of blocks)}."""
        return {
            f"{layer.name}_block{count}": (index, count)
            for index, layer in enumerate(self.layers)
            if type(layer) is ReversibleSequence
            for count in range(1, len(layer.blocks) + 1)
        }

    def has_point(self, name) -> bool:
        """Return whether this is the name of a point."""
        if not isinstance(name, str):
            return False
        return name in self.points() or name in self.block_points()

    def point_name(self, point: int | str) -> str:
        """Return the name of a point, or raise ValueError, see `chain_with`."""
        return chain_with([self], point)[1]

    def up_to(self, point: int | str | None) -> "Chain":
        """Return the part of the chain that ends in a point.

        Args:
            point: None, int or str. The number of a stage, from 1, or a name;
                None for the whole chain.

        Raises:
            ValueError: if there is no such point.
        """
        if point is None:
            return self
        name = self.point_name(point)
        if name not in self.block_points():
            stop = self.points()[name] + 1
            return dataclasses.replace(self, steps=self.steps[:stop])
        index, count = self.block_points()[name]
        part = self.steps[index].layer.part(0, count, name=name)
        merge = ChannelMerge(name=f"{name}_merge")
        return rebuilt(
            self.model, self.steps, [*self.layers[:index], part, merge]
        )


def chain_with(chains: list[Chain], point: int | str) -> tuple[Chain, str]:
    """Return the chain that a point is in, and the point's name.

    Args:
        chains: list of `Chain`. Those of a model.
        point: int or str. The number of a stage, from 1, or a name.

    Raises:
        ValueError: if there is no such point, or one in each of several.
    """
    name = f"stage{point}" if is_integer(point) else point
    found = [chain for chain in chains if chain.has_point(name)]
    if not found:
        points = [point for chain in chains for point in chain.points()]
        blocks = [block for chain in chains for block in chain.block_points()]
        expected = f"the number of a stage, from 1, or one of {points}"
        if blocks:
            expected += f", or a block from {blocks[0]!r} to {blocks[-1]!r}"
        raise ValueError(
            f"The point in the model must be {expected}. Received: {name!r}"
        )
    if len(found) > 1:
        raise ValueError(
            "The point must be in one part of the model, of those between "
            f"layers without inverse. Received: {name!r}, which is in "
            f"{len(found)} parts"
        )
    return found[0], name


def entrance(model: keras.Model, steps: Sequence[Call]) -> tuple:
    """Return new inputs of a model, and what they become for its first step.

    Args:
        model: Functional model. It has the first step.
        steps: sequence of `Call`. The chain's calls.

    Returns:
        Inputs in the structure of `model.input`, and the Keras tensor, or
        tuple of them, that the first invertible layer takes.
    """
    inputs = keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name),
        model.input,
    )
    first = steps[0].inputs
    flat = keras.tree.flatten(model.input)
    if len(first) == len(flat) and all(map(operator.is_, first, flat)):
        taken = keras.tree.flatten(inputs)
        return inputs, taken[0] if len(taken) == 1 else tuple(taken)
    before = keras.Model(
        model.input,
        first[0] if len(first) == 1 else first,
        name=f"{model.name}_entrance",
    )
    return inputs, before(inputs)


def rebuilt(model: keras.Model, steps: Sequence[Call], layers: list) -> Chain:
    """Return a chain of layers in a new model.

    It shares the layers of the old model instead of calling them, which would
    add nodes to them.

    Args:
        model: Functional model. It has the first step.
        steps: sequence of `Call`. The calls of the old chain.
        layers: list of layers. Those of the new chain.
    """
    inputs, x = entrance(model, steps)
    for layer in layers:
        own = any(layer is step.layer for step in steps)
        x = (share_layer(layer) if own else layer)(x)
    found = keras.Model(inputs, x, name=model.name)
    # Other runs are in front of it, in the model that computes its entrance.
    return Chain(found, runs_of(calls(found))[-1].steps)
