"""Checkpoints: all that a run needs to continue as if never interrupted."""

import dataclasses
import json
import os
import pathlib
import shutil

import keras
import numpy as np
from absl import logging

from irevnet_tf.atomic import TEMPORARY_PREFIX
from irevnet_tf.atomic import replacing
from irevnet_tf.memory import bytes_of

_STATE = "state"


class ResumeError(ValueError):
    """A run cannot continue from its checkpoints."""


@dataclasses.dataclass
class TrainingState:
    """The state of a run, besides the values of its variables.

    Attributes:
        step: int. Optimizer steps that are done.
        rows: list of dicts. The metrics of every finished epoch.
        partial_batches: int. Batches of the unfinished epoch that are done.
        partial_logs: dict of floats. Means of the training metrics over these.
    """

    step: int = 0
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    partial_batches: int = 0
    partial_logs: dict[str, float] = dataclasses.field(default_factory=dict)


class Checkpoints:
    """The last checkpoints of a run, one file each.

    A file holds every variable of the model (weights, BatchNorm's
    statistics, the seeds of dropout) and of the optimizer (momentum, moving
    averages, accumulated gradients, counters), and the `TrainingState`. It
    appears under its name, `step-000001234.npz`, when all of it is on the
    disk; only then is an older one removed.

    Example:

    >>> checkpoints = irevnet_tf.training.Checkpoints("run/checkpoints", keep=2)
    >>> checkpoints.files()
    []

    Args:
        path: str or path. The directory.
        keep: int. Number of checkpoints to keep, at least 1.
    """

    def __init__(self, path: str | os.PathLike, keep: int = 3):
        if keep < 1:
            raise ValueError(f"`keep` must be at least 1. Received: {keep=}")
        self.path = pathlib.Path(path)
        self.keep = keep

    def files(self) -> list[pathlib.Path]:
        """Return the files of the checkpoints, oldest first."""
        return sorted(self.path.glob("step-*.npz"))

    def last(self) -> str:
        """Name the newest checkpoint, for messages."""
        files = self.files()
        return str(files[-1]) if files else "none"

    def prepare(self, model: keras.Model, state: TrainingState) -> None:
        """Make the directory and find out whether checkpoints will fit.

        Removes checkpoints newer than `state`, which were damaged and passed
        over, and the files that a killed process left.

        Args:
            model: Keras model. A compiled model, whose optimizer is built.
            state: `TrainingState`. Where the run starts.

        Raises:
            OSError: if the directory cannot be made or written to, or if the
                disk is too full.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for unfinished in self.path.glob(f"{TEMPORARY_PREFIX}*"):
            unfinished.unlink()
        for damaged in self.files():
            if damaged.name > self._file(state).name:
                damaged.unlink()
        # While it is written, there is one more than are kept; the same holds
        # for the weights.
        missing = max(0, self.keep + 1 - len(self.files()))
        needed = missing * bytes_of(_variables(model).values())
        needed += bytes_of(model.variables)
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise OSError(
                f"{self.path} needs {needed / 1e6:,.1f} MB of free space for "
                f"{self.keep} checkpoints, and there are {free / 1e6:,.1f} MB"
            )

    def save(self, model: keras.Model, state: TrainingState) -> None:
        """Write a checkpoint, then remove the oldest if there are too many.

        Args:
            model: Keras model. A compiled model, whose optimizer is built.
            state: `TrainingState`. Where the run stands.

        Raises:
            OSError: if the file cannot be written. The checkpoints before
                it stay.
        """
        values = {
            name: variable.numpy()
            for name, variable in _variables(model).items()
        }
        text = json.dumps(dataclasses.asdict(state))
        with replacing(self._file(state)) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, **values, **{_STATE: np.array(text)})
        for old in self.files()[: -self.keep]:
            old.unlink()

    def _file(self, state):
        return self.path / f"step-{state.step:09d}.npz"

    def restore(self, model: keras.Model) -> TrainingState | None:
        """Load the newest checkpoint into a model.

        Passes over a damaged file with a warning: a disk may break a file that
        was whole.

        Args:
            model: Keras model. A compiled model, whose optimizer is built.

        Returns:
            Where the run stood, or None if there is no checkpoint.

        Raises:
            ResumeError: if the checkpoint belongs to another model.
        """
        for path in reversed(self.files()):
            try:
                with np.load(path, allow_pickle=False) as file:
                    values = {name: file[name] for name in file.files}
                state = TrainingState(**json.loads(str(values.pop(_STATE))))
            # A flipped bit can look like anything, such as encryption.
            except Exception as error:
                logging.warning("Passing over a damaged %s: %s", path, error)
                continue
            _assign(model, values, path)
            return state
        return None


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return all variables of model and optimizer, by unique names."""
    # Numbers, since names may hold counters of the process that made them.
    return {
        f"{kind}/{number:05d}": variable
        for kind, variables in (
            ("model", model.variables),
            ("optimizer", model.optimizer.variables),
        )
        for number, variable in enumerate(variables)
    }


def _assign(model, values, path):
    variables = _variables(model)
    here = {name: tuple(v.shape) for name, v in variables.items()}
    there = {name: value.shape for name, value in values.items()}
    if here != there:
        different = sorted(
            name
            for name in here.keys() | there.keys()
            if here.get(name) != there.get(name)
        )
        raise ResumeError(
            "A checkpoint must hold the variables of the model and its "
            f"optimizer. Received: {path}, where {len(different)} differ, "
            f"such as {different[0]}: {there.get(different[0])} there, "
            f"{here.get(different[0])} in the model"
        )
    for name, variable in variables.items():
        variable.assign(values[name])
