"""StepGuard, the callback that watches a run, and the errors that end one."""

import contextlib
import math
import signal
import threading
from collections.abc import Callable
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.distribution import any_worker
from irevnet_tf.distribution import worker_count
from irevnet_tf.layers.fixed_point import OUT_OF_RANGE
from irevnet_tf.layers.fixed_point import exact_limit
from irevnet_tf.training.checkpoints import TrainingState
from irevnet_tf.training.schedule import Length

# Steps between two checks of the loss and, on several machines, between two
# questions whether one of them must end. Each makes the host wait for its
# devices, which otherwise get the next steps in advance.
STEPS_BETWEEN_LOOKS = 10


class DivergenceError(RuntimeError):
    """The loss or a weight stopped being finite, or left the exact range."""


class Preempted(Exception):
    """The process was asked to end, and a checkpoint was written before.

    Attributes:
        step: int. Optimizer steps that are done.
    """

    def __init__(self, step: int):
        super().__init__(f"Stopped after step {step}, at a checkpoint.")
        self.step = step


class StepGuard(keras.callbacks.Callback):
    """Callback that counts steps, checks the loss, and writes checkpoints.

    Args:
        state: `TrainingState`. Where the run stands; kept up to date.
        save: function without arguments. Writes a checkpoint of `state`.
        length: `Length`. The length of the run.
        strategy: distribution strategy. That of the model.
        checkpoint_steps: int. Optimizer steps between checkpoints, or 0.
        last_checkpoint: function without arguments. Names the newest
            checkpoint, for messages.

    Raises:
        DivergenceError: within ten steps of the first loss that is not
            finite, and before the next checkpoint.
        Preempted: after a checkpoint, when SIGTERM came to this process or,
            on several machines, to one of the others.
    """

    def __init__(
        self,
        state: TrainingState,
        save: Callable[[], None],
        length: Length,
        strategy: tf.distribute.Strategy,
        *,
        checkpoint_steps: int,
        last_checkpoint: Callable[[], str],
    ):
        super().__init__()
        self.state = state
        self.save = save
        self.length = length
        self.strategy = strategy
        self.checkpoint_steps = checkpoint_steps
        self.last_checkpoint = last_checkpoint
        self.must_end = False
        self._batches = 0
        self._carried = (0, {})
        self._losses = []

    @contextlib.contextmanager
    def heeding_sigterm(self) -> Iterator[None]:
        """Make SIGTERM end the run after the current step, in the block."""

        def end(*_):
            self.must_end = True

        if threading.current_thread() is not threading.main_thread():
            yield  # Python gives signals to the main thread only.
            return
        before = signal.signal(signal.SIGTERM, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def on_epoch_begin(self, epoch, logs=None):
        self._batches = 0
        self._carried = (self.state.partial_batches, self.state.partial_logs)

    def on_train_batch_end(self, batch, logs=None):
        self._batches += 1
        # Means over the epoch, which stay non-finite once they are. They may
        # not be computed yet, so their values are not read here.
        self._losses.append(logs["loss"])
        if self._batches % self.length.batches_per_step:
            return
        self.state.step += 1
        step = self.state.step
        look = step % STEPS_BETWEEN_LOOKS == 0
        save = self.checkpoint_steps and step % self.checkpoint_steps == 0
        end = self._must_end(agree=look)
        if look or save or end:
            self._check_losses()
        # The end of an epoch has another checkpoint, after its metrics.
        if (save or end) and not self.length.ends_epoch(step):
            self._carry(logs)
            self.save()
            if end:
                raise Preempted(step)

    def end_if_asked(self):
        """Raise `Preempted` if SIGTERM came. Call it after a checkpoint."""
        if self._must_end(agree=True):
            raise Preempted(self.state.step)

    def _must_end(self, agree):
        if agree:
            return any_worker(self.strategy, self.must_end)
        return self.must_end and worker_count(self.strategy) == 1

    def on_epoch_end(self, epoch, logs=None):
        self._check_losses()
        self._carry(logs)

    def _carry(self, logs):
        """Put the epoch's means so far into the state.

        Args:
            logs: dict of floats. What Keras reports: means over the batches
                since `fit`.
        """
        before, means = self._carried
        total = before + self._batches
        self.state.partial_batches = total
        self.state.partial_logs = {
            name: (means.get(name, 0.0) * before + float(value) * self._batches)
            / total
            for name, value in logs.items()
        }

    def _check_losses(self):
        first = (
            self.state.step - len(self._losses) // self.length.batches_per_step
        )
        for number, loss in enumerate(self._losses):
            if not math.isfinite(float(loss)):
                step = first + number // self.length.batches_per_step + 1
                raise DivergenceError(
                    f"The loss became {float(loss)} in step {step}. The last "
                    f"good checkpoint is {self.last_checkpoint()}. Try a "
                    "lower learning rate or a longer warm-up."
                )
        self._losses.clear()


@contextlib.contextmanager
def naming_range_errors(guard: StepGuard, fraction_bits: int) -> Iterator[None]:
    """Turn the error of a value out of the exact range into a divergence.

    Args:
        guard: `StepGuard`. The callback that knows step and checkpoint.
        fraction_bits: int. The grid of the lossless network.

    Raises:
        DivergenceError: in place of TensorFlow's error.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if OUT_OF_RANGE not in str(error):
            raise
        raise DivergenceError(
            "A value left the range in which lossless mode is exact, "
            f"{exact_limit('float32', fraction_bits):g}, in step "
            f"{guard.state.step + 1}. The last good checkpoint is "
            f"{guard.last_checkpoint()}. Try a lower learning rate, a longer "
            f"warm-up, or fewer fraction bits. Received: {fraction_bits=}"
        ) from error


def require_finite(model: keras.Model, step: int, last: str) -> None:
    """Raise `DivergenceError` if a weight is not finite.

    Args:
        model: Keras model. The model to check.
        step: int. Optimizer steps that are done, for the message.
        last: str. Name of the last good checkpoint, for the message.

    Raises:
        DivergenceError: if a variable is not finite.
    """
    for variable in model.variables:
        if not np.all(np.isfinite(variable.numpy())):
            raise DivergenceError(
                f"{variable.path} is not finite after step {step}. The last "
                f"good checkpoint is {last}. Try a lower learning rate or a "
                "longer warm-up."
            )
