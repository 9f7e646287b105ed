"""Loading what irevnet-train left, for the applications that use it."""

import dataclasses

import keras
from absl import app

from irevnet_tf.data import Dataset
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import build_model
from irevnet_tf.training import load_data
from irevnet_tf.training import run_length


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained network with its data and its run directory."""

    model: keras.Model
    dataset: Dataset
    directory: RunDirectory


def load_trained_run(
    run_dir: str, data_dir: str | None = None, *, best: bool = False
) -> TrainedRun:
    """Rebuild the network of a run directory, with its weights.

    Args:
        run_dir: Path of the run directory.
        data_dir: Directory of TFDS' data sets, None for the usual one.
        best: Whether to take the best weights by validation, not the last.

    Raises:
        app.UsageError: if it is no run directory, or if its data or weights
            are missing, or if one of its files is damaged.
    """
    try:
        directory = RunDirectory.open(run_dir)
        weights = directory.trained_weights(best=best)
        dataset = load_data(directory.config, data_dir, download=False)
        model = build_model(directory.config, dataset, weights)
        epochs = run_length(directory.config, dataset).epochs
        finished = len(directory.read_metrics())
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    if finished < epochs:
        print(f"This run has finished {finished} of {epochs} epochs.")
    return TrainedRun(model, dataset, directory)
