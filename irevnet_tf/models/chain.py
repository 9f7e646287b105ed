"""The chain of invertible layers in a model, and the points along it.

A model is a plain Functional one that survives files and nesting, so the order
of its layers has to be found again in its graph.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers import Shared
from irevnet_tf.layers.base import is_integer
from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.graph import Call
from irevnet_tf.models.graph import calls
from irevnet_tf.models.graph import chain_of
from irevnet_tf.models.graph import find_steps


@dataclasses.dataclass(frozen=True)
class Chain:
    """Invertible layers of a model; each takes what the previous one returns.

    Attributes:
        model: Functional model. The layers are in its graph.
        steps: tuple of `Call`. The layers' calls in it, in order.
    """

    model: keras.Model
    steps: tuple[Call, ...]

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

    def point_name(self, point: int | str) -> str:
        """Return the name of a point that the user gave as number or name.

        Raises:
            ValueError: if there is no such point.
        """
        if is_integer(point):
            point = f"stage{point}"
        points, blocks = self.points(), self.block_points()
        if isinstance(point, str) and (point in points or point in blocks):
            return point
        expected = f"the number of a stage, from 1, or one of {list(points)}"
        if blocks:
            expected += (
                f", or a block from {next(iter(blocks))!r} to "
                f"{next(reversed(blocks))!r}"
            )
        raise ValueError(
            f"The point in the model must be {expected}. Received: {point!r}"
        )

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
            return Chain(self.model, self.steps[:stop])
        index, count = self.block_points()[name]
        part = self.steps[index].layer.part(0, count, name=name)
        merge = ChannelMerge(name=f"{name}_merge")
        return rebuilt(
            self.model, self.steps, [*self.layers[:index], part, merge]
        )


def find_chain(model: keras.Model) -> Chain:
    """Return the chain of invertible layers in a model.

    Args:
        model: Keras model. Any model; an i-RevNet, or one that holds or extends
            one.

    Raises:
        ValueError: if `model` holds no i-RevNet; if another layer stands
            between its invertible ones; or if only some are lossless.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: model={model!r}"
        )
    steps = find_steps(model)
    if not steps:
        raise ValueError(
            "`model` must be an i-RevNet, or hold or extend one. "
            f"Received: model={model.name} with layers "
            f"{[layer.name for layer in model.layers][:8]}"
        )
    _check_grid([step.layer for step in steps])
    if any(step.model is not steps[0].model for step in steps):
        layers = [share_layer(step.layer) for step in steps]
        return rebuilt(steps[0].model, steps, layers)
    return Chain(steps[0].model, tuple(steps))


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
    if len(first) == len(flat) and all(map(_is, first, flat)):
        taken = keras.tree.flatten(inputs)
        return inputs, taken[0] if len(taken) == 1 else tuple(taken)
    before = keras.Model(
        model.input,
        first[0] if len(first) == 1 else first,
        name=f"{model.name}_entrance",
    )
    return inputs, before(inputs)


def _is(a, b):
    return a is b


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
    return Chain(found, tuple(chain_of(calls(found))))


def _check_grid(layers):
    """Raise ValueError if layers on a grid are not all on the same one.

    Otherwise sums of the streams would be rounded, without a message.
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
    entrance = [
        isinstance(layer, FixedPointRounding) for layer in layers
    ].index(True)
    for layer in layers[entrance:]:
        if not hasattr(layer, "fraction_bits") and not getattr(
            layer, "keeps_grid", False
        ):
            raise ValueError(
                "The layers of a lossless network must keep its grid: "
                "couplings with `fraction_bits`, and layers that only move "
                "values, which say so by `keeps_grid`. "
                f"Received: {layer.name} of {type(layer)}"
            )
