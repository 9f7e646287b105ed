"""Loading what irevnet-train left, for the applications that use it."""

import dataclasses

import keras
from absl import app

from irevnet_tf.data import Dataset
from irevnet_tf.data import load_dataset
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import build_model


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained network with its data and its run directory."""

    model: keras.Model
    dataset: Dataset
    directory: RunDirectory


def load_trained_run(run_dir: str) -> TrainedRun:
    """Rebuild the network of a run directory, with its weights.

    Args:
        run_dir: Path of the run directory.

    Raises:
        app.UsageError: if it is no run directory, or if its weights are
            missing, or if one of its files is damaged.
    """
    try:
        directory = RunDirectory.open(run_dir)
        weights = directory.trained_weights()
        dataset = load_dataset(directory.config.dataset)
        model = build_model(directory.config, dataset, weights)
        finished = len(directory.read_metrics())
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    if finished < directory.config.epochs:
        print(
            f"This run has finished {finished} of "
            f"{directory.config.epochs} epochs."
        )
    return TrainedRun(model, dataset, directory)
