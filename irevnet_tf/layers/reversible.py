"""A chain of reversible blocks that trains in constant memory."""

import keras
import tensorflow as tf

from irevnet_tf.layers.base import InvertibleLayer
from irevnet_tf.layers.base import check_pair
from irevnet_tf.layers.block_functions import FunctionCache
from irevnet_tf.layers.coupling import AdditiveCoupling
from irevnet_tf.layers.fixed_point import RangeCheck


@keras.saving.register_keras_serializable(package="irevnet_tf")
class ReversibleSequence(InvertibleLayer):
    """Runs reversible blocks one after the other, and backwards.

    With `memory_saving`, training keeps the last block's output and nothing
    else: the backward pass rebuilds each block's input from its output on its
    way down, and runs F once more there for the gradient. Memory then does not
    grow with the number of blocks; the price in theory is one forward pass in
    a step, a third. Gradients are those of plain training, to the rounding of
    the rebuilt inputs; BatchNorm's statistics move once per step and dropout
    draws the same mask twice.

    If the blocks have `fraction_bits`, rebuilt inputs are equal to the last
    bit, and so are gradients, in graphs. Keras then does not compile the layer
    by XLA of its own accord.

    Args:
        blocks: non-empty list of `AdditiveCoupling` layers, all with the same
            `fraction_bits`.
        memory_saving: whether to rebuild the blocks' inputs (True) or to keep
            them (False). Can be changed on the layer between compilations.

    Input shape:
        A pair of tensors as the first block takes it.

    Output shape:
        A pair of tensors as the last block returns it.

    Raises:
        ValueError: if `blocks` is empty, holds other layers, shares a layer
            between two residuals, or differs in `fraction_bits`; when called
            with `memory_saving`, if a residual adds a loss, which would count
            twice.
        NotImplementedError: for second derivatives outside a `tf.function`,
            with `memory_saving`.
        tf.errors.InvalidArgumentError: when it runs, if the blocks have
            `fraction_bits` and add up to a value beyond the exact range.
            Under XLA it returns NaN for that image instead.

    Reference:
        Sections 1 and 3.1 of https://arxiv.org/abs/1802.07088 for the idea;
        https://arxiv.org/abs/1707.04585 (RevNet), algorithm 1, for the
        backward pass.
    """

    def __init__(self, blocks, memory_saving=True, **kwargs):
        super().__init__(**kwargs)
        self.blocks = list(blocks)
        if not self.blocks or not all(
            isinstance(block, AdditiveCoupling) for block in self.blocks
        ):
            raise ValueError(
                "`blocks` must be a non-empty list of AdditiveCoupling "
                f"layers. Received: blocks={blocks}"
            )
        _refuse_shared_layers(self.blocks)
        self.fraction_bits = _common_fraction_bits(self.blocks)
        # Keras, left to itself, compiles `predict` by XLA on a GPU, but not a
        # call; exact inverses need the same kernels in both.
        self.supports_jit = self.fraction_bits is None
        self.memory_saving = memory_saving
        self._functions = FunctionCache()

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
        run = self._memory_saving_call if self.memory_saving else self._run
        return self._in_any_batch(run, tuple(inputs), training)

    def inverse(self, outputs, training=None):
        """Return the pair of tensors from which `call` makes `outputs`.

        Args:
            outputs: pair of float tensors.
            training: bool, the mode of the residuals, whose state is left as
                it is. With dropout, `training=True` draws new masks and
                does not give the input back.
        """
        return self._in_any_batch(self._run_inverse, tuple(outputs), training)

    def _in_any_batch(self, run, streams, training):
        """Return `run(streams, training)`, alike for a batch of any size.

        Convolutions have kernels of their own for single images, whose last
        bits differ: with 1x1 kernels, an image was off by 2e-4 when it had
        come in a batch and went back alone. In lossless mode a single image
        therefore passes as two.
        """
        is_single = streams[0].shape[0] in (None, 1)
        if self.fraction_bits is None or training or not is_single:
            return run(streams, training)
        batch = tf.shape(streams[0])[0]
        missing = tf.maximum(2 - batch, 0)
        padded = tuple(tf.concat([x, x[:missing]], 0) for x in streams)
        return tuple(y[:batch] for y in run(padded, training))

    def _range_check(self):
        return RangeCheck(self.blocks[0].compute_dtype, self.fraction_bits)

    def _run(self, inputs, training):
        check = self._range_check()
        y1, y2 = inputs
        for block in self.blocks:
            y1, y2 = block((y1, y2), training=training)
            check.see(y2)
        return check.guard(y1, y2)

    def _run_inverse(self, outputs, training):
        check = self._range_check()
        x1, x2 = outputs
        for block in reversed(self.blocks):
            if self.memory_saving:
                weights, state = _values(block)
                x1, x2 = self._functions.for_block(block).inverse(
                    (x1, x2), weights, state, bool(training)
                )
            else:
                x1, x2 = block.inverse((x1, x2), training=training)
            check.see(x1)
        return check.guard(x1, x2)

    def _memory_saving_call(self, inputs, training):
        training = bool(training)
        functions = [self._functions.for_block(block) for block in self.blocks]
        weights, states = zip(*map(_values, self.blocks), strict=True)
        new_states = []

        @tf.custom_gradient
        def run(inputs, weights):
            y, kept = inputs, weights
            check = self._range_check()
            eager = tf.executing_eagerly()
            if eager:
                # A tape around an eager step would keep what the blocks
                # compute, although their gradient is given below. A graph
                # keeps what its backward pass reads, and no more.
                y, kept = tf.nest.map_structure(tf.stop_gradient, (y, kept))
            blocks = list(zip(functions, kept, states, strict=True))
            for block, block_weights, state in blocks:
                y, new_state = block.forward(y, block_weights, state, training)
                new_states.append(new_state)
                check.see(y[1])
            y = check.guard(*y)

            def gradient(*dy):
                if eager:
                    return _once_differentiable(pull_back)(dy, inputs, weights)
                return pull_back(dy)

            def pull_back(dy):
                x, gradients = y, []
                for block, block_weights, state in reversed(blocks):
                    x, dy, block_gradients = block.backward(
                        x, dy, block_weights, state, training
                    )
                    gradients.append(block_gradients)
                return dy, gradients[::-1]

            return y, gradient

        outputs = run(inputs, list(weights))
        # Assigned here, once per step: the backward pass runs F again but
        # works on the old values.
        for block, new_state in zip(self.blocks, new_states, strict=True):
            for variable, value in zip(
                block.residual.non_trainable_variables, new_state, strict=True
            ):
                if value is not None:
                    variable.assign(value)
        return outputs

    def part(self, start, stop, name=None):
        """Return a sequence of some of the blocks, which shares their weights.

        Args:
            start: int or None. The first block's position, as in a slice.
            stop: int or None. The position behind the last block.
            name: optional name of the new layer.

        Raises:
            ValueError: if there are no blocks between the two.
        """
        part = ReversibleSequence(
            self.blocks[start:stop],
            memory_saving=self.memory_saving,
            name=name,
            dtype=self.dtype_policy,
        )
        part._functions = self._functions
        return part

    def get_config(self):
        return {
            **super().get_config(),
            "blocks": [
                keras.saving.serialize_keras_object(block)
                for block in self.blocks
            ],
            "memory_saving": self.memory_saving,
        }

    @classmethod
    def from_config(cls, config):
        blocks = [
            keras.saving.deserialize_keras_object(block)
            for block in config["blocks"]
        ]
        return cls(**{**config, "blocks": blocks})


def _common_fraction_bits(blocks):
    """Return the `fraction_bits` that all blocks have, or raise ValueError."""
    found = {block.fraction_bits for block in blocks}
    if len(found) > 1:
        raise ValueError(
            "`blocks` must all have the same `fraction_bits`. "
            f"Received: blocks with fraction_bits={sorted(found, key=str)}"
        )
    return found.pop()


def _refuse_shared_layers(blocks):
    """Raise ValueError if two residuals have a layer in common.

    Its state would change between the blocks, which the backward pass could
    not tell apart.
    """
    seen = set()
    for block in blocks:
        for layer in block.residual._flatten_layers():
            if id(layer) in seen:
                raise ValueError(
                    "`blocks` must not share layers between their residuals. "
                    f"Received: blocks with the shared layer {layer.name}"
                )
            seen.add(id(layer))


def _values(block):
    """Return the residual's trainable and other values, as tensors."""
    residual = block.residual
    return tuple(
        [tf.convert_to_tensor(variable.value) for variable in variables]
        for variables in (
            residual.trainable_variables,
            residual.non_trainable_variables,
        )
    )


def _once_differentiable(pull_back):
    """Let the gradient of `pull_back(dy)` fail, instead of being wrong.

    It depends on more than dy, but a tape cannot see that, since the eager
    forward pass hides its steps. So what it depends on comes as arguments.
    """

    def refuse(*_):
        raise NotImplementedError(
            "Second derivatives of an eager step need `memory_saving=False`, "
            "or a tf.function around them."
        )

    return tf.custom_gradient(lambda dy, *_: (pull_back(dy), refuse))
