"""What a training step will need in memory, from the shapes alone."""

import dataclasses
import math

import keras

from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.training.checkpoints import bytes_of
from irevnet_tf.training.config import RunConfig


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on each device, beside what TensorFlow takes for itself.

    Attributes:
        variables: Weights, statistics and optimizer state.
        gradients: Gradients of all weights.
        activations: What the backward pass reads, or, with memory saving,
            rebuilds: the streams behind each stage and one block at work.
    """

    variables: int
    gradients: int
    activations: int

    @property
    def total(self) -> int:
        return self.variables + self.gradients + self.activations


def estimate_memory(
    model: keras.Model, config: RunConfig, batch_size: int
) -> MemoryEstimate:
    """Estimate the memory of a training step on one device.

    Counted are the tensors that autodiff keeps: of every block the new
    stream, and of its residual what comes out of convolutions and ReLUs.
    With memory saving it is at most one block's worth, three times: values,
    their gradients, and the rebuilt input's. What convolutions need for
    their own work is not counted.

    Args:
        model: What `build_model` made.
        config: The run's configuration.
        batch_size: int. Images on one device at a time.
    """
    activations = 0
    for layer in model.layers:
        if isinstance(layer, ReversibleSequence):
            blocks = _bytes_of_blocks(layer)
            kept = sum(blocks)
            if layer.memory_saving:
                streams = sum(math.prod(y.shape[1:]) * 4 for y in layer.output)
                kept = streams + 3 * max(blocks)
            activations += kept * batch_size
    gradients = bytes_of(model.trainable_variables)
    copies = [
        config.momentum > 0,
        config.ema_decay > 0,
        config.accumulation_steps > 1,
    ]
    return MemoryEstimate(
        variables=bytes_of(model.variables) + sum(copies) * gradients,
        gradients=gradients,
        activations=activations,
    )


def _bytes_of_blocks(sequence):
    """Return what plain autodiff keeps of each block, for one image."""
    shapes = tuple(x.shape for x in sequence.input)
    sizes = []
    for block in sequence.blocks:
        residual = _bytes_of_residual(block.residual, shapes[1])
        shapes = block.compute_output_shape(shapes)
        sizes.append(residual + math.prod(shapes[1][1:]) * 4)
    return sizes


def _bytes_of_residual(residual, shape):
    value = 4 if residual.compute_dtype == "float32" else 2
    sizes = []
    for layer in residual.layers:
        shape = layer.compute_output_shape(shape)
        if isinstance(layer, keras.layers.Conv2D | keras.layers.ReLU):
            sizes.append(math.prod(shape[1:]) * value)
    # The last convolution's output becomes the new stream.
    return sum(sizes[:-1])
