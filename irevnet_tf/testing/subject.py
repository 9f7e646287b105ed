"""The subject of the checks: a layer, and chains and models made of it."""

import contextlib
import functools
import math

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import Coupling
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.base import is_invertible
from irevnet_tf.layers.base import run_inverse
from irevnet_tf.testing.copies import copy_values
from irevnet_tf.testing.copies import fresh_copy
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.snapshot import Snapshot
from irevnet_tf.testing.steps import Steps
from irevnet_tf.testing.steps import sequences_in

# Blocks of the chain in which a coupling or a residual is tested.
DEPTH = 2

# Noise on the weights, relative to their size, or absolute if they are zero.
# Layers that begin as the identity would hide errors.
NOISE = 0.1

# The grid of the chain in which a residual is tested for exactness.
FRACTION_BITS = 14

# Least number of values in a batch there. If the kernels of two passes differ,
# one value in a thousand is rounded to another point of the grid.
MANY = 4096


class Subject:
    """The layer to check, built, with noise on its weights.

    Args:
        layer: Keras layer. An invertible layer, or a residual.
        inputs: tensor, or tuple of tensors. What the layer takes.
        seed: int. The seed of the noise.

    Attributes:
        layer: Keras layer. The layer as given.
        whole: Keras layer. The layer, or for a residual an `AdditiveCoupling`
            around it.
        inputs: tensor, or tuple of tensors. What `whole` takes.
        output: tensor, or tuple of tensors. What `whole` returns for them.
    """

    def __init__(self, layer, inputs, seed):
        self.layer = layer
        self._rng = np.random.default_rng(seed)
        self.is_residual = not is_invertible(layer)
        if self.is_residual:
            fx2 = layer(inputs)
            x1 = self._random_like(fx2, inputs.dtype)
            self.whole = AdditiveCoupling(layer, dtype=inputs.dtype.name)
            self.inputs = x1, inputs
        else:
            self.whole, self.inputs = layer, inputs
        # Statistics in their initial state hide errors, too.
        self.whole(self.inputs, training=True)
        self._stir(self.whole)
        self._start = Snapshot(self.whole)
        self.output = self.whole(self.inputs)
        self._chain_start = None
        self.reset()

    @property
    def residuals(self) -> list:
        """The residuals of the layer's blocks; empty for other layers."""
        if isinstance(self.whole, ReversibleSequence):
            return [block.residual for block in self.whole.blocks]
        return [self.whole.residual] if self.is_coupling else []

    @property
    def is_coupling(self) -> bool:
        return isinstance(self.whole, Coupling)

    @property
    def shapes(self):
        """The shape, or shapes, of the inputs, for a batch of any size."""
        return batch_shapes(self.inputs)

    @property
    def can_follow_itself(self) -> bool:
        """Whether the first block takes streams of the shapes it returns."""
        block = self.whole
        if isinstance(block, ReversibleSequence):
            block = block.blocks[0]
        zero_channels = getattr(block, "zero_channels", 0)
        returned = batch_shapes(block(self.inputs))
        return not zero_channels and returned == self.shapes

    def reset(self):
        """Restore the values and flags with which checks begin."""
        self._start.restore()
        if self._chain_start is not None:
            self._chain_start.restore()

    def inverse(self, outputs, training=None):
        return run_inverse(self.whole, outputs, training)

    def copy_of(self, layer, inputs):
        """Return a copy by the configuration, with noise on its weights."""
        copy = fresh_copy(layer)
        copy(inputs)
        copy_values(layer, copy)
        self._stir(copy)
        return copy

    @functools.cached_property
    def chain(self) -> ReversibleSequence | None:
        """A few blocks of the layer, the first being itself.

        A sequence is its own chain, and layers that are no blocks have none.
        """
        if isinstance(self.whole, ReversibleSequence):
            return self.whole
        if not self.is_coupling:
            return None
        self.reset()
        blocks = [self.whole]
        if self.can_follow_itself:
            # A layer that cannot be copied is tested alone; "files" fails.
            with contextlib.suppress(Exception):
                for _ in range(DEPTH - 1):
                    blocks.append(self.copy_of(self.whole, self.inputs))
        chain = ReversibleSequence(blocks, on_drift="ignore")
        self._chain_start = Snapshot(chain)
        return chain

    @functools.cached_property
    def steps(self) -> Steps | None:
        """Training steps of `body`, if some sequence in it can save memory."""
        if not sequences_in(self.body):
            return None
        self.reset()
        return Steps(self.body, self.inputs)

    @functools.cached_property
    def exact_steps(self) -> Steps:
        """Training steps of the chain in lossless mode."""
        if self.is_residual:
            blocks = [
                AdditiveCoupling(
                    block.residual,
                    fraction_bits=FRACTION_BITS,
                    dtype=block.dtype_policy,
                )
                for block in self.chain.blocks
            ]
            chain = ReversibleSequence(blocks)
            scale = 2.0**FRACTION_BITS
        elif getattr(self.chain, "fraction_bits", None) is not None:
            chain = self.chain
            scale = 2.0**chain.fraction_bits
        else:
            raise DoesNotApply("it has no `fraction_bits`")
        copies = 1 + MANY // math.prod(self.inputs[0].shape)
        factors = np.linspace(1.0, 0.5, copies).tolist()
        inputs = tuple(
            tf.round(scale * tf.concat([x * f for f in factors], 0)) / scale
            for x in self.inputs
        )
        self.reset()
        return Steps(chain, inputs)

    @functools.cached_property
    def model(self) -> keras.Model:
        """A model around `body`, which several checks compile."""
        return self.new_model()

    def new_model(self) -> keras.Model:
        """Return a Functional model around `body`."""
        inputs = symbolic(self.inputs)
        return keras.Model(inputs, self.body(inputs), name="checked")

    @property
    def body(self):
        """The chain, or the layer itself if there is no chain."""
        return self.whole if self.chain is None else self.chain

    @functools.cached_property
    def body_output(self):
        """The output of `body` for the inputs, in inference mode."""
        self.reset()
        output = self.body(self.inputs)
        self.reset()
        return output

    def _random_like(self, tensor, dtype=None):
        values = self._rng.normal(size=tensor.shape)
        return tf.cast(values, dtype or tensor.dtype)

    def _stir(self, layer):
        for variable in layer.trainable_variables:
            if not tf.as_dtype(variable.dtype).is_floating:
                continue
            value = variable.numpy().astype("float64")
            size = np.sqrt(np.mean(value**2)) if value.size else 0.0
            noise = self._rng.normal(size=value.shape)
            value += NOISE * (size or 1.0) * noise
            if variable.constraint is not None:
                value = variable.constraint(tf.cast(value, variable.dtype))
            variable.assign(value)


def batch_shapes(tensors):
    """Return the shapes of tensors, for a batch of any size."""
    return keras.tree.map_structure(lambda x: (None, *x.shape[1:]), tensors)


def symbolic(tensors):
    """Return Keras inputs that take batches like these tensors."""
    return keras.tree.map_structure(
        lambda x: keras.Input(tuple(x.shape[1:]), dtype=x.dtype.name), tensors
    )
