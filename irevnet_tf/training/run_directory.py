"""RunDirectory, the files of a training run."""

import csv
import dataclasses
import json
import math
import os
import pathlib
from typing import Any

import keras

from irevnet_tf.atomic import TEMPORARY_PREFIX
from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import write_json
from irevnet_tf.training.config import RunConfig

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"
BEST_WEIGHTS_FILE = "best.weights.h5"
METRICS_FILE = "metrics.csv"
EVALUATION_FILE = "evaluation.json"
PICTURE_FILE = "inversion.png"
CURVES_FILE = "curves.png"
CHECKPOINT_FOLDER = "checkpoints"
TENSORBOARD_FOLDER = "tensorboard"


class RunDirectory:
    """A run directory: configuration, weights and results.

    | file               | content                                         |
    |--------------------|-------------------------------------------------|
    | `config.json`      | the `RunConfig`                                 |
    | `checkpoints/`     | what continues an interrupted run               |
    | `model.weights.h5` | the weights after the last finished epoch       |
    | `best.weights.h5`  | the best weights by validation, if there is any |
    | `metrics.csv`      | one row for each finished epoch                 |
    | `curves.png`       | the same as a picture, when training is over    |
    | `tensorboard/`     | the same and more for TensorBoard               |
    | `evaluation.json`  | accuracy and inversion error with the weights   |
    | `inversion.png`    | pictures and their reconstructions              |

    Every file is replaced as a whole: a killed process or a power loss leaves
    no partial file. Use `create` to train and `open` to use a trained run.

    Example:

    >>> config = irevnet_tf.training.RunConfig()
    >>> directory = irevnet_tf.training.RunDirectory.create("run", config)
    >>> directory.read_metrics()
    []

    Args:
        path: path. The directory, a `pathlib.Path`.
        config: `RunConfig`. The configuration of the run.
    """

    def __init__(self, path: pathlib.Path, config: RunConfig):
        self.path = path
        self.config = config

    @classmethod
    def create(
        cls, path: str | os.PathLike, config: RunConfig
    ) -> "RunDirectory":
        """Prepare a directory for the training of `config`.

        A directory of the same configuration is used again: training continues
        at its newest checkpoint.

        Args:
            path: str or path. The directory. It may be missing or empty.
            config: `RunConfig`. The configuration of the run.

        Returns:
            The directory, with a `config.json`.

        Raises:
            ValueError: if the directory belongs to a run of another
                configuration, holds something else, or cannot be written.
        """
        path = pathlib.Path(path)
        if path.exists() and not path.is_dir():
            raise ValueError(
                "A run directory must not be a file. "
                f"Received: run_dir={str(path)!r}"
            )
        if (path / CONFIG_FILE).exists():
            _refuse_other_config(path, config)
        elif path.exists() and not _is_empty(path):
            raise ValueError(
                "A run directory must be new, empty, or have a "
                f"{CONFIG_FILE}; this one holds other files. "
                f"Received: run_dir={str(path)!r}"
            )
        directory = cls(path, config)
        try:
            path.mkdir(parents=True, exist_ok=True)
            for unfinished in path.glob(f"{TEMPORARY_PREFIX}*"):
                unfinished.unlink()
            write_json(directory.path / CONFIG_FILE, dataclasses.asdict(config))
        except OSError as error:
            raise ValueError(
                f"A run directory must be writable, but: {error}. "
                f"Received: run_dir={str(path)!r}"
            ) from error
        return directory

    @classmethod
    def open(cls, path: str | os.PathLike) -> "RunDirectory":
        """Open the directory of a run that was started before.

        Args:
            path: str or path. The directory.

        Raises:
            ValueError: if it does not exist or is no run directory.
        """
        path = pathlib.Path(path)
        if not (path / CONFIG_FILE).is_file():
            state = "is a directory without one"
            if not path.is_dir():
                state = "is no directory"
            raise ValueError(
                "Expected the directory of a training run, with a "
                f"{CONFIG_FILE}. Received: run_dir={str(path)!r}, which {state}"
            )
        return cls(path, _read_config(path))

    @property
    def picture_path(self) -> pathlib.Path:
        """The default path of the picture of reconstructions."""
        return self.path / PICTURE_FILE

    @property
    def curves_path(self) -> pathlib.Path:
        """The path of the picture of the training curves."""
        return self.path / CURVES_FILE

    @property
    def checkpoint_path(self) -> pathlib.Path:
        """The folder of the checkpoints."""
        return self.path / CHECKPOINT_FOLDER

    @property
    def tensorboard_path(self) -> pathlib.Path:
        """The folder of curves and profiles for TensorBoard."""
        return self.path / TENSORBOARD_FOLDER

    def save_weights(self, model: keras.Model, *, best: bool = False) -> None:
        """Replace the weights by those of `model`.

        Args:
            model: Keras model. The model whose weights to save.
            best: bool. Whether they are the best so far, too.
        """
        # A compiled model would add the state of its optimizer.
        model = keras.Model(model.inputs, model.outputs)
        names = [WEIGHTS_FILE, BEST_WEIGHTS_FILE] if best else [WEIGHTS_FILE]
        for name in names:
            with replacing(self.path / name) as temporary:
                model.save_weights(temporary)

    def trained_weights(self, *, best: bool = False) -> pathlib.Path:
        """Return the path of the weights.

        Args:
            best: bool. Whether to take the weights that were best by
                validation, instead of the last.

        Raises:
            ValueError: if there are none.
        """
        name = BEST_WEIGHTS_FILE if best else WEIGHTS_FILE
        path = self.path / name
        if not path.is_file():
            condition = "with validation_fraction above 0 " if best else ""
            raise ValueError(
                f"Expected a trained run, with a {name}, which is written "
                f"{condition}after the first epoch. "
                f"Received: run_dir={str(self.path)!r}"
            )
        return path

    def write_metrics(self, rows: list[dict[str, float]]) -> None:
        """Replace `metrics.csv`.

        Args:
            rows: list of dicts. One per finished epoch; their keys become the
                columns. Those of an earlier version may lack some, which are
                NaN then.
        """
        with replacing(self.path / METRICS_FILE) as temporary:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                columns = dict.fromkeys(name for row in rows for name in row)
                writer = csv.DictWriter(
                    file, columns, restval=math.nan, lineterminator="\n"
                )
                writer.writeheader()
                writer.writerows(rows)

    def read_metrics(self) -> list[dict[str, float]]:
        """Return the rows of `metrics.csv`, oldest first.

        Raises:
            ValueError: if the file is damaged.
        """
        path = self.path / METRICS_FILE
        if not path.is_file():
            return []
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return [
                    {key: float(value) for key, value in row.items()}
                    for row in csv.DictReader(file)
                ]
        # TypeError: a row that is shorter or longer than the first.
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise ValueError(
                f"The {METRICS_FILE} of a run directory must hold a row of "
                f"numbers for each finished epoch, but: {error}. "
                f"Received: run_dir={str(self.path)!r}"
            ) from error

    def write_evaluation(self, values: dict[str, Any]) -> None:
        """Replace `evaluation.json`.

        Args:
            values: dict. What was measured. A number that is not finite becomes
                null, since JSON cannot express it.
        """
        write_json(self.path / EVALUATION_FILE, values)


def _is_empty(path: pathlib.Path) -> bool:
    """Return whether there are only files that a killed process left."""
    return all(
        entry.name.startswith(TEMPORARY_PREFIX) for entry in path.iterdir()
    )


def _read_config(path: pathlib.Path) -> RunConfig:
    try:
        values = json.loads((path / CONFIG_FILE).read_text(encoding="utf-8"))
        return RunConfig.from_dict(values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The {CONFIG_FILE} of a run directory must hold the "
            f"configuration of a run, but: {error} "
            f"Received: run_dir={str(path)!r}"
        ) from error


def _refuse_other_config(path: pathlib.Path, config: RunConfig) -> None:
    there = dataclasses.asdict(_read_config(path))
    here = dataclasses.asdict(config)
    differences = [
        f"{key} is {there[key]!r} there and {here[key]!r} here"
        for key in here
        if here[key] != there[key]
    ]
    if differences:
        raise ValueError(
            "A run directory must be used with one configuration only: "
            f"{', '.join(differences)}. Choose another directory, or delete "
            f"this one. Received: run_dir={str(path)!r}"
        )
