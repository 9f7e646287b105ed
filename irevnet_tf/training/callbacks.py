"""Callbacks that show training: progress, TensorBoard curves, profiles."""

import math
import os
import pathlib
import sys
import time

import keras
import tensorflow as tf

from irevnet_tf.training.checkpoints import TrainingState
from irevnet_tf.training.schedule import Length

# Redrawing a line more often cannot be read.
SECONDS_BETWEEN_LINES = 0.5


class Scalars:
    """Curves for TensorBoard, which itself need not be installed.

    `tf.summary.scalar` is a part of TensorBoard; its records are simple.

    Args:
        directory: None, str or path. Where the curves go; None writes nothing.
    """

    def __init__(self, directory: str | os.PathLike | None):
        self._writer = tf.summary.create_noop_writer()
        if directory is not None:
            path = str(pathlib.Path(directory))
            self._writer = tf.summary.create_file_writer(path)
        self._kind = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(
                plugin_name="scalars"
            )
        )

    def write(self, values: dict[str, float], step: int) -> None:
        """Add a point to each of the curves.

        Args:
            values: dict of floats. The values of the curves, by name.
            step: int. The position on the axis.
        """
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(
                    name, tf.constant(value, "float32"), step, self._kind
                )
        self._writer.flush()


class Progress(keras.callbacks.Callback):
    """Callback that prints step, metrics, images/s, memory and time to go.

    On a terminal it updates one line; elsewhere it prints a line every
    `log_steps` steps. Images per second are those of an epoch so far, without
    its first step, in which the pipeline starts and Keras traces; they include
    the time for checkpoints in between.

    Args:
        length: `Length`. The length of the run.
        state: `TrainingState`. Where the run stands. A `StepGuard`, called
            before, updates it.
        batch_size: int. Images of an optimizer step.
        log_steps: int. See `RunOptions`.
        scalars: `Scalars`. Receives the points of the curves.
    """

    def __init__(
        self,
        length: Length,
        state: TrainingState,
        *,
        batch_size: int,
        log_steps: int,
        scalars: Scalars,
    ):
        super().__init__()
        self.length = length
        self.state = state
        self.batch_size = batch_size
        self.log_steps = log_steps
        self.scalars = scalars
        self.images_per_second = float("nan")
        self._terminal = sys.stdout.isatty()
        self._step = state.step
        self._timed_steps = 0
        self._seconds = 0.0
        self._clock = None
        self._shown = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._clock = None
        self._timed_steps = 0
        self._seconds = 0.0
        if self._terminal and not self._shown:
            # The cursor goes back: the next line replaces this one.
            print("\rtracing the first step\x1b[K\r", end="", flush=True)

    def on_train_batch_end(self, batch, logs=None):
        if self._step == self.state.step:
            return  # One batch of a step with accumulated gradients.
        self._step = self.state.step
        now = time.monotonic()
        if self._clock is not None:
            self._timed_steps += 1
            self._seconds += now - self._clock
            images = self._timed_steps * self.batch_size
            self.images_per_second = images / max(self._seconds, 1e-9)
        self._clock = now
        due = self.log_steps and self._step % self.log_steps == 0
        if due:
            values = {name: float(value) for name, value in logs.items()}
            rate = float(self.model.optimizer.learning_rate)
            self.scalars.write(
                {
                    **values,
                    "learning_rate": rate,
                    "images_per_second": self.images_per_second,
                },
                self._step,
            )
        if self._terminal and now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            # \x1b[K: erase what a longer line left.
            print(f"\r{self._line(logs)}\x1b[K", end="", flush=True)
        elif due and not self._terminal:
            print(self._line(logs), flush=True)

    def on_epoch_end(self, epoch, logs=None):
        if self._terminal:
            print("\r\x1b[K", end="")

    def _line(self, logs):
        step_of_epoch = (self._step - 1) % self.length.steps_per_epoch + 1
        epoch = (self._step - 1) // self.length.steps_per_epoch
        parts = [
            f"epoch {epoch + 1}/{self.length.epochs}",
            f"step {step_of_epoch}/{self.length.steps_of(epoch)}",
            *(
                f"{name} {float(value):.4f}"
                for name, value in logs.items()
                if name != "cross_entropy"  # The loss, or nearly.
            ),
        ]
        if self._timed_steps:
            left = self.length.total_steps - self._step
            seconds = left * self._seconds / self._timed_steps
            parts += [
                f"{self.images_per_second:,.0f} images/s",
                f"{duration(seconds)} to go",
            ]
        parts.append(f"memory {peak_memory() / 1e9:.2f} GB")
        return "  ".join(parts)


def peak_memory() -> int:
    """Return the largest amount of memory that was in use, in bytes.

    It is that of the fullest GPU if there are GPUs, otherwise of this process.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        return max(
            tf.config.experimental.get_memory_info(gpu.name)["peak"]
            for gpu in gpus
        )
    import resource  # Not on Windows.

    # Kilobytes, but on macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def duration(seconds: float) -> str:
    """Return a duration as text, such as "1:02:03 h" or "2:03 min"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{seconds:02d} h"
    return f"{minutes}:{seconds:02d} min"


class ProfileSteps(keras.callbacks.Callback):
    """Callback that profiles some steps of this process for TensorBoard.

    Args:
        directory: str or path. Where the profile goes.
        first: int. The first batch to profile, from 1.
        last: int. The last batch to profile.
    """

    def __init__(self, directory, first, last):
        super().__init__()
        self.directory = str(directory)
        self.first = first
        self.last = last
        self._batches = 0
        self._running = False

    def on_train_batch_begin(self, batch, logs=None):
        self._batches += 1
        if self._batches == self.first:
            tf.profiler.experimental.start(self.directory)
            self._running = True

    def on_train_batch_end(self, batch, logs=None):
        if self._running and self._batches == self.last:
            self._stop()

    def on_train_end(self, logs=None):
        if self._running:
            self._stop()

    def _stop(self):
        tf.profiler.experimental.stop()
        self._running = False


def epoch_curves(row: dict[str, float]) -> dict[str, float]:
    """Return the columns of an epoch under the names of TensorBoard's tabs."""
    return {f"epoch/{name}": row[name] for name in row if name != "epoch"}


def epoch_line(row: dict[str, float], length: Length) -> str:
    """Return the metrics of an epoch in one line."""
    forms = {"inversion_error": ".1e", "learning_rate": ".3g"}
    parts = [f"epoch {row['epoch']}/{length.epochs}"]
    for name, value in row.items():
        if name not in ("epoch", "images_per_second"):
            parts.append(f"{name} {value:{forms.get(name, '.4f')}}")
    # Not known of an epoch whose last step was done before an interruption.
    if math.isfinite(row["images_per_second"]):
        parts.append(f"{row['images_per_second']:,.0f} images/s")
    return "  ".join(parts)
