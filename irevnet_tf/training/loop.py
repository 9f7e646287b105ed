"""train, the training loop: carries out a run, epoch by epoch."""

import math

import keras
import tensorflow as tf

from irevnet_tf.data import Dataset
from irevnet_tf.data import training_batches
from irevnet_tf.data.decoding import naming_unreadable_files
from irevnet_tf.distribution import average_statistics
from irevnet_tf.distribution import is_chief
from irevnet_tf.distribution import on_chief
from irevnet_tf.distribution import same_on_all_workers
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.reconstruction import InversionProbe
from irevnet_tf.training.callbacks import ProfileSteps
from irevnet_tf.training.callbacks import Progress
from irevnet_tf.training.callbacks import Scalars
from irevnet_tf.training.callbacks import epoch_curves
from irevnet_tf.training.callbacks import epoch_line
from irevnet_tf.training.checkpoints import Checkpoints
from irevnet_tf.training.checkpoints import ResumeError
from irevnet_tf.training.checkpoints import TrainingState
from irevnet_tf.training.guard import DivergenceError
from irevnet_tf.training.guard import StepGuard
from irevnet_tf.training.guard import naming_range_errors
from irevnet_tf.training.guard import require_finite
from irevnet_tf.training.optimizer import averaged_weights
from irevnet_tf.training.options import RunOptions
from irevnet_tf.training.run_directory import RunDirectory
from irevnet_tf.training.schedule import run_length
from irevnet_tf.training.setup import compile_model
from irevnet_tf.training.setup import metrics_of

# Enough to see an inverse that is getting worse, at the price of one batch.
PROBED_IMAGES = 16


def train(
    model: keras.Model,
    dataset: Dataset,
    directory: RunDirectory,
    options: RunOptions | None = None,
) -> dict[str, float]:
    """Train a model as the configuration of a run directory says.

    An interrupted run continues: with `deterministic`, on one device, its
    final weights are those of a run without the interruption, to the last
    bit.

    After every epoch the validation data, if there is any, decides whether
    these are the best weights so far. Without validation data the test data
    is used for the metrics of an epoch, but decides nothing.

    Example:

    >>> from irevnet_tf import training
    >>> config = training.RunConfig(steps=2)
    >>> directory = training.RunDirectory.create("run", config)
    >>> dataset = training.load_data(config)
    >>> model = training.build_model(config, dataset)
    >>> row = training.train(model, dataset, directory)
    epoch 1/1  learning_rate ...

    Args:
        model: Keras model. What `build_model` made for `directory.config`, in
            the scope of the `tf.distribute` strategy to train with, if any. On
            several machines each calls this function, with the same run
            directory on a file system that they share.
        dataset: `Dataset`. The data to train and test on.
        directory: `RunDirectory`. It receives weights and metrics.
        options: None or `RunOptions`. How to carry out the run.

    Returns:
        The last row of the metrics, with those for the test data.

    Raises:
        ValueError: if the data does not suffice for an epoch.
        UnreadableImageError: if a file of the data is no whole image.
        ResumeError: if a checkpoint is of another model, or if workers see
            different ones.
        OSError: if the run directory cannot be written to, or the disk is
            too full; before training where it can be known.
        DivergenceError: if the loss or a weight stops being finite, or if a
            value leaves the range in which a lossless network is exact.
        Preempted: if SIGTERM came. A checkpoint was written.
    """
    return _Training(model, dataset, directory, options or RunOptions()).run()


class _Training:
    """A run that this process takes part in. See `train`."""

    def __init__(self, model, dataset, directory, options):
        self.model = model
        self.dataset = dataset
        self.directory = directory
        self.config = directory.config
        self.strategy = model.distribute_strategy
        self.is_chief = is_chief(self.strategy)
        self.length = run_length(self.config, dataset)
        if self.config.deterministic:
            tf.config.experimental.enable_op_determinism()
        with self.strategy.scope():
            self.schedule = compile_model(model, self.config, self.length)

        # The run starts at its newest checkpoint, or else with the weights
        # that the model came with.
        self.checkpoints = Checkpoints(
            directory.checkpoint_path, options.keep_checkpoints
        )
        with self.strategy.scope():
            restored = self.checkpoints.restore(model)
        self.state = restored or TrainingState()
        if not same_on_all_workers(self.strategy, self.state.step):
            raise ResumeError(
                "All workers must see the same checkpoints, on a file system "
                f"that they share. Received: step {self.state.step} from "
                f"{self.checkpoints.path}"
            )

        self.evaluator = Evaluator(model, inverse=False)
        self.scalars = Scalars(
            directory.tensorboard_path if self.is_chief else None
        )
        self.guard = StepGuard(
            self.state,
            self._save,
            self.length,
            self.strategy,
            checkpoint_steps=options.checkpoint_steps,
            last_checkpoint=self.checkpoints.last,
        )
        self.progress = Progress(
            self.length,
            self.state,
            batch_size=self.config.batch_size,
            log_steps=options.log_steps,
            scalars=self.scalars,
        )
        self.callbacks = [self.guard]
        if self.is_chief:
            self.callbacks.append(self.progress)
        if self.is_chief and options.profile:
            self.callbacks.append(
                ProfileSteps(directory.tensorboard_path, *options.profile)
            )

    def run(self):
        """Train to the end and return the last metrics."""
        if self.is_chief and self.state.step:
            print(
                f"continues   after step {self.state.step:,} of "
                f"{self.length.total_steps:,}, {self.checkpoints.last()}",
                flush=True,
            )
        held_out = "validation" if self.dataset.validation else "test"
        with (
            self.strategy.scope(),
            naming_range_errors(self.guard, self.config.fraction_bits),
            self.guard.heeding_sigterm(),
        ):
            if len(self.state.rows) < self.length.epochs:
                on_chief(
                    self.strategy,
                    lambda: self.checkpoints.prepare(self.model, self.state),
                )
                available = getattr(self.dataset, held_out).count
                images, _ = self.dataset.arrays(
                    held_out, min(PROBED_IMAGES, available)
                )
                probe = InversionProbe(self.model, images)
            while len(self.state.rows) < self.length.epochs:
                self._fit()
                # The trained weights are safe while they are measured.
                self._save()
                self.guard.end_if_asked()
                with averaged_weights(self.model):
                    row = self._row(held_out, probe)
                    self._finish_epoch(row)
                self._save()
            last = self.state.rows[-1]
            if self.dataset.validation:
                with averaged_weights(self.model):
                    last = {**last, **self._measure("test")}
        return last

    def _fit(self):
        """Run `fit` for an epoch, or for the rest of it.

        The pipeline starts in the middle of the epoch if the run was
        interrupted there, which `fit` with several epochs cannot do.
        """
        config = self.config
        epoch = len(self.state.rows)
        steps = self.length.steps_of(epoch)
        first_step = self.state.step - epoch * self.length.steps_per_epoch
        if first_step == steps:
            return  # Interrupted during its evaluation.
        batches_per_step = self.length.batches_per_step
        batches = self.strategy.distribute_datasets_from_function(
            lambda context: training_batches(
                self.dataset,
                config,
                config.batch_size // batches_per_step,
                epoch=epoch,
                first_step=first_step * batches_per_step,
                steps=steps * batches_per_step,
                seed=config.seed,
                deterministic=config.deterministic,
                context=context,
            )
        )

        def order():
            done = self.state.step - epoch * self.length.steps_per_epoch
            return self.dataset.train.order(
                seed=config.seed,
                epoch=epoch,
                position=done * config.batch_size,
            )

        with naming_unreadable_files(
            self.dataset.train, self.dataset.image_shape, order
        ):
            self.model.fit(
                batches,
                initial_epoch=epoch,
                epochs=epoch + 1,
                steps_per_epoch=(steps - first_step) * batches_per_step,
                callbacks=self.callbacks,
                # The pipeline shuffles; Keras warns if it is asked to as well.
                shuffle=False,
                verbose=0,
            )

    def _row(self, held_out, probe):
        """Return the metrics of the epoch that was trained last."""
        training = dict(self.state.partial_logs)
        training.pop("cross_entropy")  # The loss, or nearly.
        last_batch = self.state.step * self.length.batches_per_step - 1
        row = {
            "epoch": len(self.state.rows) + 1,
            # The rate of the last step, not of the next.
            "learning_rate": float(self.schedule(last_batch)),
            **training,
            **self._measure(held_out),
            **probe.measure(),
            "images_per_second": self.progress.images_per_second,
        }
        if not math.isfinite(row[f"{held_out}_loss"]):
            raise DivergenceError(
                f"The {held_out} loss became {row[f'{held_out}_loss']} after "
                f"step {self.state.step}. Try a lower learning rate or a "
                "longer warm-up."
            )
        return row

    def _measure(self, held_out):
        """Return loss and accuracy on held-out data, as columns."""
        examples = getattr(self.dataset, held_out)
        # As many as training computes at a time; more might not fit.
        size = self.config.batch_size // self.length.batches_per_step
        found = self.evaluator.on(self.dataset, examples, size)
        measured = metrics_of(found, len(self.dataset.class_names))
        return {f"{held_out}_{name}": v for name, v in measured.items()}

    def _finish_epoch(self, row):
        """Write weights and metrics, on one worker."""
        name = "validation_accuracy"
        best = name in row and all(
            row[name] > earlier[name] for earlier in self.state.rows
        )
        self.state.rows.append(row)
        self.state.partial_batches, self.state.partial_logs = 0, {}

        def write():
            self.directory.save_weights(self.model, best=best)
            # In this order, metrics never name weights that do not exist yet.
            self.directory.write_metrics(self.state.rows)
            self.scalars.write(epoch_curves(row), self.state.step)
            print(epoch_line(row, self.length), flush=True)

        on_chief(self.strategy, write)

    def _save(self):
        """Write a checkpoint, with the same statistics on all devices."""
        average_statistics(self.model)
        require_finite(self.model, self.state.step, self.checkpoints.last())
        on_chief(
            self.strategy,
            lambda: self.checkpoints.save(self.model, self.state),
        )
