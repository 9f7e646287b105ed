"""Time and memory of a training step, measured in a process of its own.

    python -m irevnet_tf.apps.comparing.steps JSON

prints what `measure` in the parent process reads.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import time

import numpy as np

from irevnet_tf.memory import peak_memory
from irevnet_tf.memory import resident_memory
from irevnet_tf.training import RunConfig
from irevnet_tf.training import build_model
from irevnet_tf.training import compile_model
from irevnet_tf.training import load_data
from irevnet_tf.training import run_length

# The first ones trace, and fill caches.
WARM_UP = 3
STEPS = 8


@dataclasses.dataclass(frozen=True)
class Cost:
    """What training costs.

    Attributes:
        seconds: float. Median time of a training step.
        bytes: int. How much more memory the process had at its peak, while it
            trained, than with the network built. It has what steps keep, and
            gradients, optimizer and graphs.
    """

    seconds: float
    bytes: int


class StepsFailed(Exception):
    """Training steps could not be measured."""


def measure(config: RunConfig, data_dir: str | None) -> Cost:
    """Measure training steps of a run in a new process.

    Args:
        config: `RunConfig`. The run's configuration.
        data_dir: None or str. Directory of TFDS' data sets.

    Raises:
        StepsFailed: if the process fails, such as for want of memory.
    """
    arguments = json.dumps([dataclasses.asdict(config), data_dir])
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "nothing was said").splitlines()[-1]
        raise StepsFailed(
            f"Training steps of {config.model} could not be measured, with "
            f"memory_saving={config.memory_saving}: status {done.returncode}, "
            f"{last[:500]}. The same command tries again; the runs are done."
        )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def run_steps(config: RunConfig, data_dir: str | None) -> Cost:
    """Run training steps in this process, on images of the run's data."""
    dataset = load_data(config, data_dir, download=False)
    model = build_model(config, dataset)
    compile_model(model, config, run_length(config, dataset))
    images, labels = dataset.arrays("train", config.batch_size)
    labels = np.eye(len(dataset.class_names), dtype="float32")[labels]
    before = resident_memory()
    seconds = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        model.train_on_batch(images, labels)
        seconds.append(time.perf_counter() - start)
    return Cost(statistics.median(seconds[WARM_UP:]), peak_memory() - before)


def main(text: str) -> None:
    values, data_dir = json.loads(text)
    cost = run_steps(RunConfig.from_dict(values), data_dir)
    print(json.dumps(dataclasses.asdict(cost)))


if __name__ == "__main__":
    main(sys.argv[1])
