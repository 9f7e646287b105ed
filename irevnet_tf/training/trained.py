"""TrainedRun: the network of a run directory, loaded again."""

import dataclasses
import os

import keras

from irevnet_tf.data import Dataset
from irevnet_tf.distribution import is_chief
from irevnet_tf.training.run_directory import RunDirectory
from irevnet_tf.training.schedule import run_length
from irevnet_tf.training.setup import build_model
from irevnet_tf.training.setup import load_data


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained network with its data and its run directory.

    Attributes:
        model: Keras model. The network, with the trained weights.
        dataset: `Dataset`. The data that it was trained on.
        directory: `RunDirectory`. Its files.
    """

    model: keras.Model
    dataset: Dataset
    directory: RunDirectory


def load_trained_run(
    run_dir: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    *,
    best: bool = False,
    download: bool = False,
) -> TrainedRun:
    """Rebuild the network of a run directory, with its weights.

    Prints a line if the run is not finished.

    Example:

    >>> from irevnet_tf import training
    >>> config = training.RunConfig()
    >>> model = training.build_model(config, training.load_data(config))
    >>> training.RunDirectory.create("run", config).save_weights(model)
    >>> trained = training.load_trained_run("run")
    This run has finished 0 of 60 epochs.
    >>> images, labels = trained.dataset.arrays("test")

    Args:
        run_dir: str or path. The run directory.
        data_dir: None, str or path. Directory of TFDS' data sets, None for the
            usual one.
        best: bool. Whether to take the best weights by validation, not the
            last.
        download: bool. Whether TFDS may prepare a set that is not there.

    Returns:
        A `TrainedRun`.

    Raises:
        ValueError: if it is no run directory, or if its data or weights are
            missing, or if one of its files is damaged.
    """
    directory = RunDirectory.open(run_dir)
    weights = directory.trained_weights(best=best)
    dataset = load_data(directory.config, data_dir, download=download)
    model = build_model(directory.config, dataset, weights)
    epochs = run_length(directory.config, dataset).epochs
    finished = len(directory.read_metrics())
    if finished < epochs and is_chief(model.distribute_strategy):
        print(f"This run has finished {finished} of {epochs} epochs.")
    return TrainedRun(model, dataset, directory)
