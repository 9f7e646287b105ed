"""Training a model into a run directory."""

import math
import sys

import keras
import tensorflow as tf

from irevnet_tf.data import Dataset
from irevnet_tf.data import training_batches
from irevnet_tf.layers.fixed_point import OUT_OF_RANGE
from irevnet_tf.layers.fixed_point import exact_limit
from irevnet_tf.training.recipe import compile_model
from irevnet_tf.training.run_directory import RunDirectory


class DivergenceError(RuntimeError):
    """The loss stopped being finite, or a lossless network left its range."""


class EpochRecorder(keras.callbacks.Callback):
    """Callback that saves weights and metrics after every epoch.

    Keras' own `ModelCheckpoint` and `CSVLogger` write in place, so a killed
    process can leave half a file; this writes whole files only.

    Args:
        directory: The `RunDirectory` to save to.

    Raises:
        DivergenceError: at the end of an epoch in which the loss was not
            finite.
    """

    def __init__(self, directory: RunDirectory):
        super().__init__()
        self.directory = directory
        self.rows = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise DivergenceError(
                f"The loss became {logs['loss']} in epoch {epoch + 1}. The "
                "weights of this epoch were not saved. Try a lower learning "
                "rate or a longer warm-up."
            )
        learning_rate = float(self.model.optimizer.learning_rate)
        self.rows.append(
            {"epoch": epoch + 1, "learning_rate": learning_rate, **logs}
        )
        # In this order: metrics never tell of weights that are not there.
        self.directory.save_weights(self.model)
        self.directory.write_metrics(self.rows)


def steps_per_epoch(dataset: Dataset, batch_size: int) -> int:
    """Return the number of full batches in the training data."""
    return len(dataset.train_images) // batch_size


def train(
    model: keras.Model, dataset: Dataset, directory: RunDirectory
) -> dict[str, float]:
    """Train a model as the configuration of a run directory says.

    The test data is looked at after every epoch, for `metrics.csv`, but
    nothing is chosen by it: the weights are those of the last epoch.

    Args:
        model: What `build_model` made for `directory.config`.
        dataset: The data to train and test on.
        directory: The run directory, which receives weights and metrics.

    Returns:
        The last row of the metrics, with `"val_accuracy"` for the test data.

    Raises:
        ValueError: if there are fewer training examples than a batch takes.
        DivergenceError: if the loss stops being finite, or if a value leaves
            the range in which a lossless network is exact.
    """
    config = directory.config
    batches = training_batches(
        dataset.train_images,
        dataset.train_labels,
        config.batch_size,
        max_shift=dataset.max_shift,
        fill_value=dataset.value_range[0],
        seed=config.seed,
    )
    compile_model(model, config, steps_per_epoch(dataset, config.batch_size))
    recorder = EpochRecorder(directory)
    try:
        model.fit(
            batches,
            epochs=config.epochs,
            validation_data=tf.data.Dataset.from_tensor_slices(
                (dataset.test_images, dataset.test_labels)
            ).batch(config.batch_size),
            callbacks=[recorder],
            # The pipeline shuffles; Keras warns when it is asked to as well.
            shuffle=False,
            # A progress bar for people, one line per epoch for log files.
            verbose=1 if sys.stdout.isatty() else 2,
        )
    except tf.errors.InvalidArgumentError as error:
        if OUT_OF_RANGE not in str(error):
            raise
        raise DivergenceError(
            "A value left the range in which lossless mode is exact, "
            f"{exact_limit('float32', config.fraction_bits):g}, in epoch "
            f"{len(recorder.rows) + 1}. Try a lower learning rate, a longer "
            "warm-up, or fewer fraction bits. "
            f"Received: fraction_bits={config.fraction_bits}"
        ) from error
    return recorder.rows[-1]
