"""The training runs of a comparison, each in a process of its own."""

import dataclasses
import pathlib
import subprocess
import sys

from irevnet_tf.apps.flags import as_flags
from irevnet_tf.apps.launch import say
from irevnet_tf.models.constructors import without_options
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory


class RunFailed(Exception):
    """A training process ended before its run was finished.

    Attributes:
        status: int. Its exit status.
    """

    def __init__(self, command: list[str], status: int):
        super().__init__(
            f"A training run ended with status {status}. Once its reason is "
            "gone, the same command continues there. Its own command is "
            + " ".join(command[1:])
        )
        self.status = status


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of the comparison.

    Attributes:
        network: str. Name of the network.
        config: `RunConfig`. The run's configuration.
        path: path. Its run directory.
        epochs: int. How many it has when it is finished.
    """

    network: str
    config: RunConfig
    path: pathlib.Path
    epochs: int

    @property
    def rows(self) -> list[dict[str, float]]:
        """The metrics of the finished epochs."""
        if not self.path.exists():
            return []
        return RunDirectory.open(self.path).read_metrics()

    @property
    def is_finished(self) -> bool:
        return len(self.rows) >= self.epochs


def plan(
    recipe: RunConfig,
    networks: list[str],
    seeds: int,
    output: pathlib.Path,
    epochs: int,
) -> list[Run]:
    """Return the runs: of each seed, one for every network.

    Args:
        recipe: `RunConfig`. What all runs have in common.
        networks: list of strs. The networks' names.
        seeds: int. How many runs each network gets, with the recipe's seed and
            those that follow it.
        output: path. The directory for the run directories.
        epochs: int. How many the recipe comes to.

    Raises:
        ValueError: if a run is there already, of another recipe.
    """
    runs = [
        Run(
            network,
            config_of(recipe, network, seed),
            output / "runs" / f"{network}-{seed}",
            epochs,
        )
        for seed in range(recipe.seed, recipe.seed + seeds)
        for network in networks
    ]
    for run in runs:
        if run.path.exists():  # Of another recipe, it is not that run.
            RunDirectory.create(run.path, run.config)
    return runs


def config_of(recipe: RunConfig, network: str, seed: int) -> RunConfig:
    """Return the recipe for a network, without what it cannot have.

    Args:
        recipe: `RunConfig`. What all networks have in common.
        network: str. The network's name.
        seed: int. The seed of the run.
    """
    return dataclasses.replace(
        recipe, model=network, seed=seed, **without_options(network)
    )


def carry_out(runs: list[Run], data_dir: str | None) -> None:
    """Train what is not trained yet, showing its progress.

    Args:
        runs: list of `Run`. The runs.
        data_dir: None or str. Directory of TFDS' data sets.

    Raises:
        RunFailed: if one of them fails or is interrupted.
    """
    for index, run in enumerate(runs, start=1):
        title = f"run {index} of {len(runs)}: {run.network}"
        if run.is_finished:
            say(f"{title}, seed {run.config.seed}: finished before")
            continue
        say(f"{title}, seed {run.config.seed}")
        command = [
            sys.executable,
            "-m",
            "irevnet_tf.apps.train",
            f"--run_dir={run.path}",
            *as_flags(run.config),
        ]
        if data_dir is not None:
            command.append(f"--data_dir={data_dir}")
        status = subprocess.run(command, check=False).returncode
        if status:
            raise RunFailed(command, status)
