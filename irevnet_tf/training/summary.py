"""The summary printed before a run: devices, length, and memory estimate."""

import dataclasses
import math

import keras
import tensorflow as tf

from irevnet_tf.data import Dataset
from irevnet_tf.distribution import worker_count
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.memory import bytes_of
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.training.config import RunConfig
from irevnet_tf.training.run_directory import RunDirectory
from irevnet_tf.training.schedule import Length
from irevnet_tf.training.setup import count_parameters


def summarize(
    model: keras.Model,
    dataset: Dataset,
    directory: RunDirectory,
    length: Length,
) -> str:
    """Return the lines that introduce a run.

    Args:
        model: Keras model. What `build_model` made.
        dataset: `Dataset`. The data to train and test on.
        directory: `RunDirectory`. The directory of the run.
        length: `Length`. The run's length.
    """
    config = directory.config
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    on_device = config.batch_size // replicas // length.batches_per_step
    memory = _memory_line(model, config, on_device)
    mode = "ordinary"
    if config.lossless:
        mode = f"lossless, {config.fraction_bits} fraction bits"
    height, width, channels = dataset.image_shape
    held_out = ""
    if dataset.validation:
        held_out = f"{dataset.validation.count:,} for validation, "
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    workers = worker_count(strategy)
    batches = f"{config.batch_size} images"
    if replicas * length.batches_per_step > 1:
        batches += f", {on_device} on a device at a time"
    return (
        f"model       {config.model}, {count_parameters(model):,} parameters\n"
        f"mode        {mode}, {config.mixed_precision}\n"
        f"data        {dataset.name}, {dataset.train.count:,} images for "
        f"training, {held_out}{dataset.test.count:,} for testing, "
        f"{height}x{width}x{channels}\n"
        f"devices     {replicas} {kind} on {workers} machine"
        f"{'s' if workers > 1 else ''}\n"
        f"steps       {length.total_steps:,}, {length.epochs} epochs of "
        f"{length.steps_per_epoch:,} steps of {batches}\n"
        f"memory      {memory}\n"
        f"directory   {directory.path}"
    )


def _memory_line(model, config, batch_size):
    memory = estimate_memory(model, config, batch_size)
    variables = f"{memory.variables / 1e6:,.0f}"
    gradients = f"{memory.gradients / 1e6:,.0f}"
    if memory.activations is None:
        return (
            f"{variables} MB of variables and {gradients} MB of gradients on "
            "each device, and activations, which "
            "irevnet_tf.testing.memory_report counts"
        )
    return (
        f"about {memory.total / 1e6:,.0f} MB on each device: {variables} "
        f"variables, {gradients} gradients, "
        f"{memory.activations / 1e6:,.0f} activations"
    )


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on each device, besides what TensorFlow itself needs.

    Attributes:
        variables: int. Weights, statistics and optimizer state.
        gradients: int. Gradients of all weights.
        activations: None or int. What the backward pass reads, or, with memory
            saving, rebuilds: the streams behind each stage and one block at
            work. None if it is not known, as for other networks than i-RevNets.
    """

    variables: int
    gradients: int
    activations: int | None

    @property
    def total(self) -> int | None:
        """The sum of all, None if the activations are not known."""
        if self.activations is None:
            return None
        return self.variables + self.gradients + self.activations


def estimate_memory(
    model: keras.Model, config: RunConfig, batch_size: int
) -> MemoryEstimate:
    """Estimate the memory of a training step of an i-RevNet on one device.

    It counts the tensors that autodiff keeps: the new stream of every block,
    and the outputs of convolutions and ReLUs in its residual. With memory
    saving these are kept for one block at a time, three times: values, their
    gradients, and the rebuilt input's. The workspace of convolutions is not
    counted.

    Example:

    >>> config = irevnet_tf.training.RunConfig()
    >>> dataset = irevnet_tf.training.load_data(config)
    >>> model = irevnet_tf.training.build_model(config, dataset)
    >>> memory = irevnet_tf.training.estimate_memory(model, config, 64)
    >>> megabytes = memory.total / 1e6

    Args:
        model: Keras model. What `build_model` made.
        config: `RunConfig`. The run's configuration.
        batch_size: int. Images on one device at a time.

    Returns:
        A `MemoryEstimate`.
    """
    # Other networks keep more than their reversible blocks do.
    activations = None
    if config.model in VARIANTS:
        activations = batch_size * sum(
            _bytes_of_sequence(layer)
            for layer in model.layers
            if isinstance(layer, ReversibleSequence)
        )
    gradients = bytes_of(model.trainable_variables)
    copies = [
        config.optimizer == "adamw" or config.momentum > 0,
        config.optimizer == "adamw",
        config.ema_decay > 0,
        config.accumulation_steps > 1,
    ]
    return MemoryEstimate(
        variables=bytes_of(model.variables) + sum(copies) * gradients,
        gradients=gradients,
        activations=activations,
    )


def _bytes_of_sequence(sequence):
    """Return what training keeps of a sequence, for one image."""
    blocks = _bytes_of_blocks(sequence)
    if not sequence.memory_saving:
        return sum(blocks)
    streams = sum(math.prod(y.shape[1:]) * 4 for y in sequence.output)
    return streams + 3 * max(blocks)


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
