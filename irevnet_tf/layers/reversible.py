"""ReversibleSequence, a chain of blocks that trains in constant memory."""

import functools
import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from irevnet_tf.layers.additive_coupling import AdditiveCoupling
from irevnet_tf.layers.base import InvertibleLayer
from irevnet_tf.layers.base import Streams
from irevnet_tf.layers.base import check_dtype
from irevnet_tf.layers.base import check_pair
from irevnet_tf.layers.block_functions import run_with_separate_gradients
from irevnet_tf.layers.coupling import Coupling
from irevnet_tf.layers.fixed_point import RangeCheck
from irevnet_tf.layers.fixed_point import common_fraction_bits
from irevnet_tf.layers.gradients import is_watched
from irevnet_tf.layers.integer_residual import IntegerResidual
from irevnet_tf.layers.masks import without_mask
from irevnet_tf.layers.memory_saving import MemorySavingPass
from irevnet_tf.layers.parts import refuse_shared_layers
from irevnet_tf.layers.rebuilt_inputs import check_action
from irevnet_tf.layers.single_images import in_any_batch


@keras.saving.register_keras_serializable(package="irevnet_tf")
class ReversibleSequence(InvertibleLayer):
    """Runs reversible blocks one after the other; the inverse runs them back.

    With `memory_saving` (reversible backpropagation, as in RevNet), training
    keeps only the last block's output: the backward pass rebuilds each block's
    input from its output, and runs F once more for the gradient. Memory then
    does not grow with the number of blocks; in theory a step costs one more
    forward pass, a third. Gradients are those of plain training, to the
    rounding of the rebuilt inputs; BatchNorm's statistics move once per step
    and dropout draws the same mask twice. Without a gradient, as in `predict`,
    the blocks run like any Keras layers. In the graph of a training step,
    consecutive blocks that compute alike are one loop, if all their layers are
    from Keras and this package; in lossless mode also several kinds in turns.

    If the blocks have `fraction_bits`, rebuilt inputs are equal to the last
    bit, and in graphs so are gradients with most residuals, see
    docs/own_layers.md. Keras then does not use XLA for the layer by itself.

    Example:

    >>> from irevnet_tf.layers import AdditiveCoupling, ReversibleSequence
    >>> blocks = [AdditiveCoupling(keras.layers.Dense(4)) for _ in range(8)]
    >>> sequence = ReversibleSequence(blocks)
    >>> y = sequence((tf.ones((2, 4)), tf.ones((2, 4))), training=True)
    >>> x1, x2 = sequence.inverse(y, training=True)

    Args:
        blocks: non-empty list of `Coupling` layers. Such as `AdditiveCoupling`,
            all with the same dtype and `fraction_bits`. A `ReversibleSequence`
            among them stands for its blocks, as `reversible_block` returns one.
        memory_saving: bool. Whether to rebuild the blocks' inputs (True) or to
            keep them (False). Can be changed on the layer between compilations.
        on_drift: str. What to do if streams explode, so that a sample of the
            rebuilt inputs is more than 1e-3 (relative) off, and gradients are
            wrong: "warn" (`RebuiltInputsWarning`, once for a compiled model),
            "raise" (`tf.errors.InvalidArgumentError`) or "ignore", as XLA does.
        dtype: dtype policy. Must be that of the blocks, the default.

    Call arguments:
        inputs: pair (x1, x2) of float tensors. The two streams.
        training: bool. The mode of the residuals.

    Input shape:
        The pair of shapes that the first block takes, cast to the blocks'
        dtype: float32 (float64 under a float64 policy).

    Output shape:
        The pair of shapes that the last block returns, in the blocks' dtype.

    Raises:
        ValueError: if `blocks` is empty, holds other layers, shares a layer
            between two residuals, or differs in `fraction_bits` or dtype; with
            `memory_saving`, when called, if a block adds a loss, uses foreign
            variables, or draws random numbers without a `SeedGenerator`.
        NotImplementedError: for second derivatives outside a `tf.function`,
            with `memory_saving`.
        tf.errors.InvalidArgumentError: when it runs, if the blocks have
            `fraction_bits` and add up to a value beyond the exact range.
            Under XLA it returns NaN for that image instead.

    Reference:
        Sections 1 and 3.1 of https://arxiv.org/abs/1802.07088 for the idea;
        algorithm 1 of https://arxiv.org/abs/1707.04585 (RevNet) for the rest.
    """

    def __init__(
        self,
        blocks: Sequence[Coupling],
        memory_saving: bool = True,
        on_drift: str = "warn",
        **kwargs,
    ) -> None:
        blocks = _without_nesting(blocks)
        if not blocks or not all(isinstance(x, Coupling) for x in blocks):
            raise ValueError(
                "`blocks` must be a non-empty list of Coupling layers, such "
                f"as AdditiveCoupling. Received: blocks={blocks}"
            )
        kwargs.setdefault("dtype", blocks[0].dtype_policy)
        super().__init__(**kwargs)
        check_dtype(self, blocks)
        refuse_shared_layers(blocks)
        self.blocks = blocks
        self.fraction_bits = common_fraction_bits(blocks)
        # Whether results have the same bits in every runtime and batch. Not
        # of subclasses, which may compute anything.
        self.is_portable = all(
            type(block) is AdditiveCoupling
            and type(block.residual) is IntegerResidual
            for block in blocks
        )
        # By default, Keras compiles `predict` with XLA on a GPU, but not a
        # call; exact inverses need the same kernels in both.
        self.supports_jit = self.fraction_bits is None or self.is_portable
        # Set in copies whose input is proven to be in the exact range.
        self.is_proven = False
        self.memory_saving = memory_saving
        self.on_drift = check_action(on_drift)

    @property
    def downsampling(self):
        return math.prod(block.downsampling for block in self.blocks)

    def build(self, input_shape):
        check_pair(input_shape, self)
        for block in self.blocks:
            if not block.built:
                block.build(input_shape)
            input_shape = block.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape):
        for block in self.blocks:
            input_shape = block.compute_output_shape(input_shape)
        return tuple(input_shape)

    def compute_inverse_shape(self, output_shape):
        for block in reversed(self.blocks):
            output_shape = block.compute_inverse_shape(output_shape)
        return tuple(output_shape)

    def call(self, inputs, training=None):
        streams = tuple(map(without_mask, inputs))
        return self._for_any_batch(self._run, training)(streams)

    def inverse(
        self, outputs: Streams, training: bool | None = None
    ) -> Streams:
        """Return the pair of tensors from which `call` makes `outputs`.

        Args:
            outputs: pair (y1, y2) of float tensors. What `call` returned.
            training: bool. The mode of the residuals, whose state is left as it
                is. With dropout, `training=True` draws new masks and does not
                give the input back.
        """
        return self._for_any_batch(self._run_inverse, training)(tuple(outputs))

    def _for_any_batch(self, run, training):
        run = functools.partial(run, training=bool(training))
        depends = self.fraction_bits is not None and not self.is_portable
        return in_any_batch(run) if depends and not training else run

    def range_check(self) -> RangeCheck:
        """Return a check that the streams stay in the exact range."""
        return RangeCheck(self.compute_dtype, self.fraction_bits)

    def _run(self, inputs, training):
        needs_gradient = self._needs_gradient(inputs, training)
        if self.memory_saving and needs_gradient:
            return MemorySavingPass(self, training).run(inputs, self)
        check, reach = self.range_check(), self._reach()
        for x, more in zip(inputs, reach, strict=False):
            check.see(x, more)
        y = inputs
        for block in self.blocks:
            run = functools.partial(block, training=training)
            if self.fraction_bits is not None and needs_gradient:
                y = run_with_separate_gradients(block, run, y)
            else:
                y = run(y)
            if not reach:
                check.see(y[1])
        return y if self.is_proven else check.guard(*y)

    def _run_inverse(self, outputs, training):
        check, reach = self.range_check(), self._reach()
        x1, x2 = outputs
        # The last block's F is subtracted from the second stream.
        odd = len(self.blocks) % 2
        for x, more in zip(outputs[:: 1 - 2 * odd], reach, strict=False):
            check.see(x, more)
        for block in reversed(self.blocks):
            x1, x2 = block.inverse((x1, x2), training=training)
            if not reach:
                check.see(x1)
        return check.guard(x1, x2)

    def _reach(self):
        """Return what blocks can add to each stream, if it is known.

        With it, one look at the input does for all blocks.
        """
        residuals = [block.residual for block in self.blocks]
        if not self.is_portable or any(x.fine_tuning for x in residuals):
            return []
        reach = [tf.convert_to_tensor(x.reach) for x in residuals]
        return [
            tf.add_n(of_stream) if of_stream else tf.zeros_like(reach[0])
            for of_stream in (reach[::2], reach[1::2])
        ]

    def _needs_gradient(self, inputs, training):
        """Return whether a gradient of this pass may be taken.

        In training mode, a graph's caller may take one, too. Otherwise the
        blocks run as plain operations, which other runtimes and optimizers
        understand.
        """
        if training and not tf.executing_eagerly():
            return True
        return is_watched(inputs, self.trainable_variables)

    def part(
        self, start: int | None, stop: int | None, name: str | None = None
    ) -> "ReversibleSequence":
        """Return a sequence of some of the blocks, which shares their weights.

        Args:
            start: None or int. The first block's position, as in a slice.
            stop: None or int. The position behind the last block.
            name: None or str. Name of the new layer.

        Raises:
            ValueError: if there are no blocks between the two, or this is a
                subclass, which may do more than its blocks.
        """
        if type(self) is not ReversibleSequence:
            raise ValueError(
                "Only a ReversibleSequence itself can be taken apart. "
                f"Received: layer={self.name} of {type(self)}"
            )
        return ReversibleSequence(
            self.blocks[start:stop],
            memory_saving=self.memory_saving,
            on_drift=self.on_drift,
            name=name,
            dtype=self.dtype_policy,
        )

    def share(self):
        if type(self) is not ReversibleSequence:
            return super().share()
        return self.part(None, None, name=self.name)

    def get_config(self):
        return {
            **super().get_config(),
            "blocks": [
                keras.saving.serialize_keras_object(block)
                for block in self.blocks
            ],
            "memory_saving": self.memory_saving,
            "on_drift": self.on_drift,
        }

    @classmethod
    def from_config(cls, config):
        blocks = [
            keras.saving.deserialize_keras_object(block)
            for block in config["blocks"]
        ]
        return cls(**{**config, "blocks": blocks})


def _without_nesting(blocks):
    """Return blocks, each plain sequence among them replaced by its own."""
    return [
        block
        for one in blocks
        for block in (_parts(one) if type(one) is ReversibleSequence else [one])
    ]


def _parts(sequence):
    if sequence.activity_regularizer is not None:
        raise ValueError(
            "A sequence among `blocks` has no `activity_regularizer`, which "
            "would not be seen: give it to the longer sequence. Received: "
            f"{sequence.name} with "
            f"activity_regularizer={sequence.activity_regularizer!r}"
        )
    return sequence.blocks
