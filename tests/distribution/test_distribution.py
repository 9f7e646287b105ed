"""Training on several workers, each a process, over loopback."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import distribution
from irevnet_tf.distribution import keras_fit
from irevnet_tf.distribution import strategies

FOLDER = pathlib.Path(__file__).with_name("multi_worker")
TIMEOUT = 280


def free_addresses(count):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{s.getsockname()[1]}" for s in sockets]
    for one in sockets:
        one.close()
    return addresses


def run(folder, commands):
    """Run scripts at once; return (exit status, output) of each.

    Args:
        folder: where their outputs go meanwhile.
        commands: list of (script, argument, TF_CONFIG or None).
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    deadline = time.monotonic() + TIMEOUT
    processes, outputs = [], []
    try:
        for number, (script, argument, config) in enumerate(commands):
            outputs.append(folder / f"{number}.log")
            extra = {"TF_CONFIG": json.dumps(config)} if config else {}
            with outputs[-1].open("w") as output:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, FOLDER / script, argument],
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        env=environment | extra,
                    )
                )
        for process in processes:
            process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        # The outputs tell who hangs; the status of whoever is killed below
        # says that somebody does.
        pass
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [
        (process.returncode, output.read_text())
        for process, output in zip(processes, outputs, strict=True)
    ]


def two_workers(script, argument):
    cluster = {"worker": free_addresses(2)}
    return [
        (
            script,
            argument,
            {"cluster": cluster, "task": {"type": "worker", "index": index}},
        )
        for index in range(2)
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the arrays that each way of training has left behind."""
    folder = tmp_path_factory.mktemp("results")
    commands = [
        *two_workers("worker.py", folder),
        ("one_machine.py", folder, None),
    ]
    for status, output in run(folder, commands):
        assert status == 0, output
    names = ("worker0", "worker1", "mirrored", "none")
    return {name: dict(np.load(folder / f"{name}.npz")) for name in names}


@pytest.mark.programs
def test_two_workers_equal_two_replicas_to_the_last_bit(results):
    """Memory saving, lossless, with dropout; and synchronized."""
    for key, expected in results["mirrored"].items():
        # Each worker has its own until they are averaged.
        if key != "own/statistics":
            for worker in ("worker0", "worker1"):
                np.testing.assert_array_equal(
                    results[worker][key], expected, key
                )


@pytest.mark.programs
@pytest.mark.parametrize("other", ["mirrored", "worker0"])
def test_synchronized_replicas_equal_one_with_the_whole_batch(results, other):
    for key, expected in results["none"].items():
        if key.startswith("synchronized/"):
            # Labels and losses are float32 or come through it.
            rtol = 1e-9 if key.endswith(("weights", "statistics")) else 1e-6
            np.testing.assert_allclose(
                results[other][key], expected, rtol, 1e-12, err_msg=key
            )


@pytest.mark.programs
def test_without_synchronization_one_replica_is_different(results):
    """Else the tests above would show nothing."""
    key = "own/weights"
    assert not np.allclose(results["none"][key], results["mirrored"][key])


@pytest.mark.programs
def test_workers_differ_in_statistics_until_averaged(results):
    a, b = (results[name]["own/statistics"] for name in ("worker0", "worker1"))
    assert not np.array_equal(a, b)


@pytest.mark.programs
def test_keras_alone_still_fails_on_several_workers(results):
    """If this fails, Keras has mended #20585, and keras_fit.py can go."""
    for worker in ("worker0", "worker1"):
        assert "PerReplica" in str(results[worker]["failure"])


def test_keras_that_was_not_checked_is_refused(monkeypatch):
    monkeypatch.setattr(keras_fit.keras, "__version__", "3.99.0")
    with pytest.raises(ValueError, match="Received: keras.__version__='3.99"):
        distribution.enable_multi_worker_fit()


def test_one_worker():
    strategy = distribution.make_strategy("none")
    assert strategy.num_replicas_in_sync == 1
    assert distribution.worker_count(strategy) == 1
    assert distribution.is_chief(strategy)
    assert distribution.any_worker(strategy, True)
    assert not distribution.any_worker(strategy, False)
    assert distribution.same_on_all_workers(strategy, 3)
    model = keras.Sequential([keras.layers.BatchNormalization()])
    model.build((None, 2))
    distribution.average_statistics(model)
    lost = tf.errors.UnavailableError(None, None, "of another kind")
    with (
        pytest.raises(tf.errors.UnavailableError),
        distribution.PeerWatch(strategy),
    ):
        raise lost


def test_mirrored_takes_all_devices():
    strategy = distribution.make_strategy("mirrored")
    devices = tf.config.list_logical_devices("GPU") or [
        *tf.config.list_logical_devices("CPU")
    ]
    assert strategy.num_replicas_in_sync == len(devices)
    assert distribution.worker_count(strategy) == 1


def tf_config(**task):
    return json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, **task})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("nonsense", "must be JSON like .* Received: TF_CONFIG='nonsense'"),
        ("[]", r"must be JSON like .* Received: TF_CONFIG='\[\]'"),
        (tf_config(), "must be JSON like"),
        (
            '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
            "must be JSON like",
        ),
        (
            tf_config(task={"type": "ps", "index": 0}),
            "one of the types .* Received: type='ps'",
        ),
        (
            tf_config(task={"type": "worker", "index": 2}),
            "an index from 0 to 1, .* Received: index=2",
        ),
    ],
)
def test_errors_in_tf_config(config, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=message):
        distribution.make_strategy("multi_worker")


def test_error_without_workers(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(ValueError, match="TF_CONFIG.*Slurm.*srun"):
        distribution.make_strategy("multi_worker")


def test_workers_of_a_slurm_step(monkeypatch):
    for name, value in {
        "JOB_ID": "1234",
        "PROCID": "2",
        "STEP_NUM_TASKS": "3",
        "STEP_NODELIST": "node[7-8]",
        "STEP_TASKS_PER_NODE": "2,1",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = strategies._slurm_resolver()
    assert resolver.cluster_spec().as_dict() == {
        "worker": ["node7:20128", "node7:20129", "node8:20128"]
    }
    assert (resolver.task_type, resolver.task_id) == ("worker", 2)


def test_error_outside_of_a_slurm_step(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1234")
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    with pytest.raises(ValueError, match="started by srun.*STEP_NUM_TASKS"):
        distribution.make_strategy("multi_worker")


def test_error_without_a_tpu():
    with pytest.raises(ValueError, match="19448.* Received: no TPU"):
        distribution.make_strategy("tpu")


def test_error_on_an_unknown_strategy():
    with pytest.raises(ValueError, match="must be one of .*name='horovod'"):
        distribution.make_strategy("horovod")


def test_what_the_chief_cannot_do_fails_on_all():
    one = tf.distribute.get_strategy()
    done = []
    distribution.on_chief(one, lambda: done.append(1))
    assert done == [1]

    def fail():
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        distribution.on_chief(one, fail)
