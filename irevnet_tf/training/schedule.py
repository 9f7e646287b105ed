"""The length of a run, and its learning rate schedule."""

import dataclasses

import keras

from irevnet_tf.data import Dataset
from irevnet_tf.data import steps_per_epoch
from irevnet_tf.training.config import RunConfig


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a run is.

    Attributes:
        steps_per_epoch: int. Optimizer steps in an epoch.
        total_steps: int. Optimizer steps in all. The last epoch is shorter if
            it is no multiple of `steps_per_epoch`.
        batches_per_step: int. Batches whose gradients a step accumulates. Keras
            and the input pipeline call each of them a step.
    """

    steps_per_epoch: int
    total_steps: int
    batches_per_step: int

    @property
    def epochs(self) -> int:
        """Number of epochs, the last of which may be shorter."""
        return -(-self.total_steps // self.steps_per_epoch)

    def ends_epoch(self, step: int) -> bool:
        """Return whether an epoch is over after this many steps."""
        return step % self.steps_per_epoch == 0 or step == self.total_steps

    def steps_of(self, epoch: int) -> int:
        """Return the number of steps of an epoch, which counts from 0."""
        done = epoch * self.steps_per_epoch
        return min(self.steps_per_epoch, self.total_steps - done)


def run_length(config: RunConfig, dataset: Dataset) -> Length:
    """Return the length of a run on a data set.

    Example:

    >>> config = irevnet_tf.training.RunConfig(epochs=60, batch_size=64)
    >>> dataset = irevnet_tf.training.load_data(config)
    >>> irevnet_tf.training.run_length(config, dataset).total_steps
    1320

    Args:
        config: `RunConfig`. The run's configuration.
        dataset: `Dataset`. The data to train on.

    Returns:
        A `Length`, with `steps_per_epoch`, `total_steps` and `epochs`.

    Raises:
        ValueError: if the data or the steps do not suffice.
    """
    available = steps_per_epoch(dataset, config.batch_size)
    steps = config.steps_per_epoch or available
    if steps > available:
        raise ValueError(
            "An epoch must have no more full batches than the training data "
            f"holds (={available}). Received: batch_size={config.batch_size}, "
            f"steps_per_epoch={config.steps_per_epoch}"
        )
    total_steps = config.steps or config.epochs * steps
    if config.warmup_epochs * steps >= total_steps:
        raise ValueError(
            f"The warm-up must end before training does, after {total_steps} "
            f"steps. Received: warmup_epochs={config.warmup_epochs} of "
            f"{steps} steps each"
        )
    return Length(steps, total_steps, config.accumulation_steps)


@keras.saving.register_keras_serializable(package="irevnet_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that rises linearly from zero at its start.

    Args:
        schedule: `LearningRateSchedule`. The schedule to follow afterwards. Its
            value at the end of the warm-up is the target of the rise.
        steps: int. Length of the warm-up.
    """

    def __init__(self, schedule, steps):
        super().__init__()
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        rising = self.schedule(self.steps) * step / self.steps
        return keras.ops.where(step < self.steps, rising, self.schedule(step))

    def get_config(self):
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "steps": self.steps,
        }

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["steps"])


def learning_rate_schedule(
    config: RunConfig, length: Length
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Make the schedule of a run.

    Args:
        config: `RunConfig`. The run's configuration.
        length: `Length`. The run's length.

    Returns:
        A schedule over batches, which is what Keras counts. An optimizer step
        takes `length.batches_per_step` of them.
    """
    batches = length.batches_per_step
    warmup_steps = config.warmup_epochs * length.steps_per_epoch * batches
    schedules = keras.optimizers.schedules
    if config.schedule == "cosine":
        cosine_steps = length.total_steps * batches - warmup_steps
        if not warmup_steps:
            return schedules.CosineDecay(config.learning_rate, cosine_steps)
        return schedules.CosineDecay(
            0.0,
            cosine_steps,
            warmup_target=config.learning_rate,
            warmup_steps=warmup_steps,
        )
    # Keras needs at least one boundary: for a constant rate it is after the
    # end of the run. A boundary belongs to the value before it.
    boundaries = [
        epoch * length.steps_per_epoch * batches - 1
        for epoch in config.decay_epochs or (length.epochs + 1,)
    ]
    values = [
        config.learning_rate * config.decay_factor**index
        for index in range(len(boundaries) + 1)
    ]
    schedule = schedules.PiecewiseConstantDecay(boundaries, values)
    return WarmUp(schedule, warmup_steps) if warmup_steps else schedule
