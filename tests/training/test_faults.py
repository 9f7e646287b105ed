"""Tests of what irevnet-train survives: real processes, really killed."""

import csv
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from irevnet_tf.apps.train import PREEMPTED
from irevnet_tf.distribution import WORKER_LOST
from irevnet_tf.training import Checkpoints

pytestmark = pytest.mark.programs

PATIENCE = 180.0
TRAIN = (sys.executable, pathlib.Path(__file__).with_name("train_small.py"))
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(sys.path),
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# Everything whose state could be forgotten. Small, for speed.
FLAGS = (
    "--epochs=3",
    "--steps_per_epoch=30",
    "--warmup_epochs=1",
    "--batch_size=8",
    "--accumulation_steps=2",
    "--dropout_rate=0.2",
    "--ema_decay=0.9",
    "--mixup_alpha=0.2",
    "--flip",
    "--clip_norm=1.0",
    "--validation_fraction=0.1",
    "--deterministic",
    "--checkpoint_steps=3",
    "--log_steps=0",
)


class Run:
    """A process of irevnet-train, or one for each of several workers."""

    def __init__(self, path, *flags, ports=()):
        self.path = path
        self.processes = []
        # Files: a pipe that nobody reads would stop the process.
        self.outputs = [
            path.with_name(f"{path.name}.{index}.log")
            for index in range(max(1, len(ports)))
        ]
        for index, output in enumerate(self.outputs):
            environment = dict(ENVIRONMENT)
            if ports:
                workers = [f"localhost:{port}" for port in ports]
                environment["TF_CONFIG"] = json.dumps(
                    {
                        "cluster": {"worker": workers},
                        "task": {"type": "worker", "index": index},
                    }
                )
            with output.open("w") as file:
                self.processes.append(
                    subprocess.Popen(
                        [*TRAIN, f"--run_dir={path}", *flags],
                        env=environment,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                    )
                )

    def steps(self):
        """Return the steps that there are checkpoints of."""
        files = Checkpoints(self.path / "checkpoints").files()
        return {int(file.stem.removeprefix("step-")) for file in files}

    def wait_for_progress(self):
        """Wait until there is a checkpoint that was not there before."""
        before, deadline = self.steps(), time.monotonic() + PATIENCE
        while not self.steps() - before:
            assert time.monotonic() < deadline, self.end(signal.SIGKILL)
            if self.processes[0].poll() is not None:
                return
            time.sleep(0.05)

    def end(self, number=None, worker=0):
        """Send a signal; return every process' exit status and output."""
        if number is not None:
            self.processes[worker].send_signal(number)
        try:
            statuses = [p.wait(timeout=PATIENCE) for p in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return statuses, "\n".join(path.read_text() for path in self.outputs)


def final_values(path):
    with np.load(Checkpoints(path / "checkpoints").files()[-1]) as file:
        return {name: file[name] for name in file.files if name != "state"}


def h5_values(path):
    values = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                values.update({name: item[()]})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return values


def metrics(path):
    """Return the values of all rows, without the time."""
    with (path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return np.array(
        [
            [float(v) for k, v in row.items() if k != "images_per_second"]
            for row in rows
        ]
    )


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)


def free_ports(count):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def run_on_a_full_disk(path):
    """Try to continue a run; a limit on the size of files is the disk."""
    before = Checkpoints(path / "checkpoints").files()
    limited = subprocess.run(
        [
            *("bash", "-c", 'ulimit -f 150; trap "" XFSZ; exec "$@"', "-"),
            *TRAIN,
            f"--run_dir={path}",
            *FLAGS,
        ],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=PATIENCE,
    )
    assert limited.returncode == 1, limited.stderr
    assert "Training stopped:" in limited.stderr
    assert "File too large" in limited.stderr
    # The last good checkpoint is left.
    assert before
    assert Checkpoints(path / "checkpoints").files() == before
    assert not list((path / "checkpoints").glob(".unfinished*"))


def test_an_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one(
    tmp_path,
):
    """Asked to end, on a full disk, and killed, at random moments."""
    whole = Run(tmp_path / "whole", *FLAGS)
    statuses, output = whole.end()
    assert statuses == [0], output

    moments = random.Random()  # Other moments in every run of this test.
    parts = tmp_path / "parts"
    interrupted = 0
    for number, expected in (
        (signal.SIGTERM, PREEMPTED),
        (signal.SIGKILL, -signal.SIGKILL),
    ):
        run = Run(parts, *FLAGS)
        run.wait_for_progress()
        time.sleep(moments.uniform(0.0, 0.3))
        statuses, output = run.end(number)
        # The machine may have been faster than the signal.
        assert statuses in ([expected], [0]), output
        interrupted += statuses != [0]
        if statuses == [PREEMPTED]:
            assert "The same command continues." in output
            run_on_a_full_disk(parts)
    assert interrupted >= 1
    statuses, output = Run(parts, *FLAGS).end()
    assert statuses == [0], output
    assert_equal(final_values(parts), final_values(whole.path))
    for name in ("model.weights.h5", "best.weights.h5"):
        assert_equal(h5_values(parts / name), h5_values(whole.path / name))
    # Means of an interrupted epoch are put together from its parts.
    np.testing.assert_allclose(metrics(parts), metrics(whole.path), rtol=1e-5)


def test_workers_notice_a_lost_one_and_continue_together(tmp_path):
    """One of two is killed; later one is asked to end; then they finish."""
    flags = (
        "--strategy=multi_worker",
        "--epochs=2",
        "--steps_per_epoch=40",
        "--warmup_epochs=1",
        "--batch_size=16",
        "--checkpoint_steps=4",
        "--log_steps=0",
    )

    def start(ports=None):
        return Run(tmp_path / "run", *flags, ports=ports or free_ports(2))

    run = start(ports := free_ports(2))
    run.wait_for_progress()
    killed = time.monotonic()
    statuses, output = run.end(signal.SIGKILL, worker=1)
    assert statuses == [WORKER_LOST, -signal.SIGKILL], output
    assert time.monotonic() - killed < 60
    assert (
        "/job:worker/task:0 lost contact with "
        f"/job:worker/task:1 at localhost:{ports[1]}" in output
    )

    run = start()
    run.wait_for_progress()
    statuses, output = run.end(signal.SIGTERM, worker=1)
    assert statuses in ([PREEMPTED, PREEMPTED], [0, 0]), output

    statuses, output = start().end()
    assert statuses == [0, 0], output
    assert "Test accuracy after the last epoch" in output
