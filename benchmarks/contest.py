"""Contestants that take turns, each in a process of its own.

Two libraries in one process would share its threads, and TensorFlow's waiting
ones would take time from PyTorch's. So each contestant is a process that waits
for its turn without doing anything.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys

import numpy as np

# Relative difference up to which two contestants do the same work.
TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Times:
    """What the turns of one contestant took.

    Attributes:
        seconds: of each turn.
        first: seconds from the start of building to the end of the first
            turn, without imports.
        since_start: seconds from the start of the process to the same end.
        cpu: seconds of all cores, of each turn.
        peak: MB of memory at the peak, after the last turn.
    """

    seconds: tuple[float, ...]
    first: float
    since_start: float
    cpu: tuple[float, ...]
    peak: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        return statistics.median(self.cpu)

    def __str__(self):
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.median:.3f} ({low:.3f} to {high:.3f})"


class Contestant:
    """A process that runs `worker.py`.

    Args:
        module: name of a module in this folder that has
            `start(**arguments)`, see `worker.py`.
        arguments: what it is called with, as JSON can hold it.
        threads: how many each library may use.
    """

    def __init__(self, module, arguments, threads=2):
        self.name = f"{module} {arguments}"
        self._process = subprocess.Popen(
            [sys.executable, _here("worker.py"), module, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "OMP_NUM_THREADS": str(threads),
                "TF_NUM_INTRAOP_THREADS": str(threads),
                "TF_NUM_INTEROP_THREADS": str(threads),
                # Threads that wait for work leave the cores to others.
                "OMP_WAIT_POLICY": "PASSIVE",
            },
        )
        self._started = self._answer()
        self.results = self._started["results"]
        self._turns = []

    def turn(self):
        """Let it do its work once."""
        print("turn", file=self._process.stdin, flush=True)
        self._turns.append(self._answer())

    def times(self) -> Times:
        return Times(
            tuple(turn["seconds"] for turn in self._turns),
            self._started["first"],
            self._started["since_start"],
            tuple(turn["cpu"] for turn in self._turns),
            self._turns[-1]["peak"],
        )

    def stop(self):
        self._process.stdin.close()
        self._process.wait()

    def _answer(self):
        # Libraries print, too.
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(
            f"A contestant ended with {self._process.wait()}: {self.name}"
        )


def compete(
    contestants: dict, rounds: int, threads=2, tolerance=TOLERANCE
) -> dict[str, Times]:
    """Let contestants do the same work in turns.

    Args:
        contestants: {name: (module, arguments)}, see `Contestant`.
        rounds: int, how many turns each has, besides two that do not count.
        threads: int.
        tolerance: relative difference up to which their results are the same.

    Returns:
        {name: its times}.

    Raises:
        ValueError: if their results differ.
    """
    running = {}
    try:
        for name, (module, arguments) in contestants.items():
            running[name] = Contestant(module, arguments, threads)
        _check_agreement(
            {name: c.results for name, c in running.items()}, tolerance
        )
        for _ in range(rounds):
            for contestant in running.values():
                contestant.turn()
        return {name: c.times() for name, c in running.items()}
    finally:
        for contestant in running.values():
            contestant.stop()


def alone(module, arguments, turns) -> Times:
    """Return the times of one contestant that has the machine for itself."""
    contestant = Contestant(module, arguments)
    try:
        for _ in range(turns):
            contestant.turn()
        return contestant.times()
    finally:
        contestant.stop()


def _check_agreement(results, tolerance):
    (first, expected), *others = results.items()
    for name, found in others:
        found, wanted = np.asarray(found), np.asarray(expected)
        error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        if not error <= tolerance:
            raise ValueError(
                f"Contestants must compute the same to {tolerance:g}. "
                f"Received: {name} and {first}, which differ by {error:.1e}"
            )


def _here(name):
    return str(pathlib.Path(__file__).with_name(name))
