"""A network as chains of invertible layers, and passes through them."""

import contextlib
import dataclasses
import functools
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.base import run_inverse
from irevnet_tf.layers.fixed_point import exact_limit
from irevnet_tf.models.chains import find_chains
from irevnet_tf.models.graph import find_runs
from irevnet_tf.testing.finding import relative_error
from irevnet_tf.testing.snapshot import layers_of

# Two calls that differ by more draw random numbers or change their state.
_SAME = 1e-6


def chains_of(model) -> list:
    """Return the chains of a model, lists of the layers in its graph.

    Args:
        model: built Keras model. Any that `irevnet_tf.encoder` takes.

    Raises:
        ValueError: if there are none, or as `irevnet_tf.encoder`.
    """
    find_chains(model, needed=True)
    # In the graphs of nested models, and not as copied into one.
    return [[step.layer for step in run.steps] for run in find_runs(model)]


@dataclasses.dataclass
class Step:
    """A layer of a chain, or a block, and what one pass found there.

    Attributes:
        name: str. The layer's name; a block's is that of `Chain.block_points`.
        layer: Keras layer. It has an inverse.
        chain: int. The chain in which it stands.
        taken: None, tensor or tuple of tensors. What its inverse is to return.
        error: None or float. That of its inverse of its own output.
        accumulated: None or float. That of the inverse from the chain's end.
        largest: None or float. The largest magnitude of its outputs.
        failure: str. The exception that it raises.
    """

    name: str
    layer: object
    chain: int
    taken: object = None
    error: float | None = None
    accumulated: float | None = None
    largest: float | None = None
    failure: str = ""


class CheckedNetwork:
    """A model's chains of invertible layers, and what enters them.

    Args:
        model: built Keras model. The network.
        inputs: tensor, or structure of tensors. What the model takes.

    Attributes:
        chains: list of lists of layers. In the order of a pass.
        fraction_bits: None or int. Those of a lossless network.
    """

    def __init__(self, model, inputs):
        self.model, self.inputs = model, inputs
        self.chains = chains_of(model)
        bits = [
            layer.fraction_bits
            for layers in self.chains
            for layer in layers
            if getattr(layer, "fraction_bits", None) is not None
        ]
        self.fraction_bits = max(bits, default=None)

    @property
    def limit(self) -> float | None:
        """The magnitude below which values of a lossless network are exact."""
        if self.fraction_bits is None:
            return None
        return exact_limit(self.chains[0][0].compute_dtype, self.fraction_bits)

    @property
    def computes_in_half(self) -> bool:
        """Whether some part computes in half precision."""
        return any(
            tf.as_dtype(layer.compute_dtype).size < 4
            for layer in layers_of(self.model)
        )

    def entrances(self, training=False) -> list:
        """Return what the first layer of each chain takes in a call.

        None for a chain that a call does not reach, since a layer in front of
        it raises an exception.

        Args:
            training: bool. The mode of the call.
        """
        found = {}
        with contextlib.ExitStack() as stack:
            for index, (first, *_) in enumerate(self.chains):
                call = _recording(first.call, index, found)
                stack.enter_context(mock.patch.object(first, "call", call))
            try:
                self.model(self.inputs, training=training)
            except Exception:
                if not found:
                    raise
        return [found.get(index) for index in range(len(self.chains))]

    def steps(self) -> list:
        """Return a new `Step` for each layer, and each block of a sequence."""
        found = []
        for chain, layers in enumerate(self.chains):
            for layer in layers:
                if type(layer) is not ReversibleSequence:
                    found.append(Step(layer.name, layer, chain))
                    continue
                for number, block in enumerate(layer.blocks, 1):
                    name = f"{layer.name}_block{number}"
                    found.append(Step(name, block, chain))
        return found

    def walk(self, training) -> list:
        """Run all steps forward and back; return them with what was found.

        Args:
            training: bool. The mode. In training mode, a step whose output is
                another one with each call has no errors.
        """
        found = []
        for chain, x in enumerate(self.entrances(training)):
            steps = [step for step in self.steps() if step.chain == chain]
            found += steps
            if x is None:
                steps[0].failure = "nothing: a layer in front of it does"
                continue
            passes = [(steps, _forward), (steps[::-1], _backward)]
            for in_order, go in passes:
                for step in in_order:
                    try:
                        x = go(step, x, training)
                    except Exception as error:
                        step.failure = f"{type(error).__name__}: {error}"
                        x = None
                    if x is None:
                        break
                if x is None:
                    break
        return found


def run(layers, x, training=False):
    """Return what layers make of a tensor, or a tuple of tensors."""
    for layer in layers:
        x = layer(x, training=training)
    return x


def run_back(layers, y, training=False):
    """Return what the inverses of layers make of their output."""
    for layer in reversed(layers):
        y = run_inverse(layer, y, training)
    return y


def given_back(layers, x):
    """Return x as the inverse of layers can return it: on their grid."""
    first = layers[0]
    return first(x) if isinstance(first, FixedPointRounding) else x


def _recording(call, key, found):
    @functools.wraps(call)
    def recording(inputs, *args, **kwargs):
        found.setdefault(key, inputs)
        return call(inputs, *args, **kwargs)

    return recording


def _forward(step, x, training):
    """Run a step, and its inverse on what it returns."""
    y = step.layer(x, training=training)
    step.taken = y if isinstance(step.layer, FixedPointRounding) else x
    step.largest = _largest(y)
    if training and not _is_same(y, step.layer(x, training=True)):
        step.taken = None
    else:
        back = run_inverse(step.layer, y, training)
        step.error = _finite(relative_error(back, step.taken))
    return y


def _backward(step, y, training):
    """Run the inverse of a step; return None where calls cannot be repeated."""
    if step.taken is None:
        return None
    x = run_inverse(step.layer, y, training)
    step.accumulated = _finite(relative_error(x, step.taken))
    return x


def _is_same(one, other):
    if not np.isfinite(_largest(one)):
        return True
    return relative_error(one, other) < _SAME


def _largest(tensors):
    """Return the largest magnitude; infinity for NaN."""
    peaks = [
        np.max(np.abs(np.asarray(x, "float64")), initial=0.0)
        for x in keras.tree.flatten(tensors)
    ]
    return _finite(float(max(np.inf if np.isnan(x) else x for x in peaks)))


def _finite(value):
    return float("inf") if np.isnan(value) else value
