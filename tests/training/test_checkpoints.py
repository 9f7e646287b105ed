"""Tests of irevnet_tf.training.checkpoints and guard."""

import dataclasses
import math
import os
import shutil
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf.memory import bytes_of
from irevnet_tf.training import Checkpoints
from irevnet_tf.training import DivergenceError
from irevnet_tf.training import Preempted
from irevnet_tf.training import RunConfig
from irevnet_tf.training import compile_model
from irevnet_tf.training.checkpoints import TrainingState
from irevnet_tf.training.guard import StepGuard
from irevnet_tf.training.guard import require_finite
from irevnet_tf.training.schedule import Length

CONFIG = RunConfig(ema_decay=0.9, accumulation_steps=2, warmup_epochs=0)


def compiled_model(units=3):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
        ]
    )
    compile_model(model, CONFIG, Length(5, 300, 2))
    return model


def steps(model, count):
    for _ in range(count):
        model.train_on_batch(np.ones((2, 4)), np.eye(3)[:2])


def values(model):
    return [v.numpy() for v in model.variables + model.optimizer.variables]


def assert_equal(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_goes_on_from_a_checkpoint_as_if_never_interrupted(tmp_path):
    """Momentum, average, accumulator, statistics, dropout: to the last bit."""
    model = compiled_model()
    steps(model, 3)
    state = TrainingState(3, [{"epoch": 1, "loss": 0.1}], 2, {"loss": 0.5})
    Checkpoints(tmp_path).save(model, state)
    steps(model, 4)
    resumed = compiled_model()
    steps(resumed, 1)
    assert Checkpoints(tmp_path).restore(resumed) == state
    steps(resumed, 4)
    assert_equal(values(resumed), values(model))


def test_loss_scaling_is_a_part_of_the_checkpoint(tmp_path):
    def mixed():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        config = dataclasses.replace(CONFIG, mixed_precision="mixed_float16")
        compile_model(model, config, Length(5, 300, 2))
        return model

    model = mixed()
    steps(model, 3)
    Checkpoints(tmp_path).save(model, TrainingState(3))
    resumed = mixed()
    Checkpoints(tmp_path).restore(resumed)
    assert_equal(values(resumed), values(model))
    assert isinstance(resumed.optimizer, keras.optimizers.LossScaleOptimizer)


def test_nothing_is_restored_from_an_empty_directory(tmp_path):
    checkpoints = Checkpoints(tmp_path / "missing")
    assert checkpoints.restore(compiled_model()) is None
    assert checkpoints.last() == "none"


def test_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    model = compiled_model()
    for step in (5, 10, 999, 1000):
        checkpoints.save(model, TrainingState(step))
    names = [path.name for path in checkpoints.files()]
    assert names == ["step-000000999.npz", "step-000001000.npz"]
    assert checkpoints.last().endswith("step-000001000.npz")
    assert checkpoints.restore(model).step == 1000


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage, caplog):
    checkpoints = Checkpoints(tmp_path)
    model = compiled_model()
    checkpoints.save(model, TrainingState(5))
    checkpoints.save(model, TrainingState(6))
    newest = checkpoints.files()[-1]
    content = newest.read_bytes()
    middle = len(content) // 2
    # None: a bit of the values flips.
    flipped = content[:middle] + b"\xff\x00\xff" + content[middle + 3 :]
    newest.write_bytes(flipped if damage is None else damage)
    assert checkpoints.restore(model).step == 5


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    model = compiled_model()
    checkpoints.save(model, TrainingState(5))

    def half(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(model, TrainingState(6))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000005.npz"]
    assert checkpoints.restore(model).step == 5


def test_too_little_space_is_noticed_before_training(tmp_path, monkeypatch):
    model = compiled_model()
    usage = types.SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        OSError, match="free space for 3 checkpoints, and there"
    ):
        Checkpoints(tmp_path).prepare(model, TrainingState())
    usage.free = 10**6
    Checkpoints(tmp_path).prepare(model, TrainingState())


def test_a_run_that_fits_may_go_on(tmp_path, monkeypatch):
    """What is there already needs no more space."""
    model = compiled_model()
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save(model, TrainingState(step))
    variables = [*model.variables, *model.optimizer.variables]
    free = bytes_of(variables) + bytes_of(model.variables)
    usage = types.SimpleNamespace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    checkpoints.prepare(model, TrainingState(3))
    usage.free -= 1
    with pytest.raises(OSError, match="free space"):
        checkpoints.prepare(model, TrainingState(3))


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / ".unfinished-1-step-000000001.npz").write_bytes(b"half")
    Checkpoints(tmp_path).prepare(compiled_model(), TrainingState())
    assert list(tmp_path.iterdir()) == []


def test_damaged_checkpoints_do_not_outlive_good_ones(tmp_path):
    """They would be the newest, and the good ones in excess."""
    checkpoints = Checkpoints(tmp_path, keep=1)
    model = compiled_model()
    (tmp_path / "step-000000200.npz").write_bytes(b"half")
    state = checkpoints.restore(model) or TrainingState()
    checkpoints.prepare(model, state)
    checkpoints.save(model, TrainingState(10))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000010.npz"]


def test_weights_that_are_not_finite_are_named():
    model = compiled_model()
    require_finite(model, 6, "file")
    model.variables[0].assign(np.full((4, 3), np.nan))
    with pytest.raises(
        DivergenceError, match="kernel is not finite after step 6. .* is file."
    ):
        require_finite(model, 6, "file")


def test_the_checkpoint_of_another_model_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(compiled_model(), TrainingState(5))
    with pytest.raises(
        ValueError, match=r"Received: .*where \d+ differ, .*\(4, 3\) there"
    ):
        checkpoints.restore(compiled_model(units=2))


def test_at_least_one_checkpoint_must_be_kept(tmp_path):
    with pytest.raises(ValueError, match="at least 1. Received: keep=0"):
        Checkpoints(tmp_path, keep=0)


# StepGuard


@pytest.fixture
def make_guard():
    def make(batches_per_step=1, checkpoint_steps=0, step=0):
        state, saved = TrainingState(step), []
        guard = StepGuard(
            state,
            lambda: saved.append((state.step, state.partial_batches)),
            Length(50, 300, batches_per_step=batches_per_step),
            tf.distribute.get_strategy(),
            checkpoint_steps=checkpoint_steps,
            last_checkpoint=lambda: "file",
        )
        guard.on_epoch_begin(0)
        return guard, saved

    return make


def batches(guard, losses):
    for number, loss in enumerate(losses):
        guard.on_train_batch_end(number, {"loss": tf.constant(loss)})


def test_checkpoints_come_at_multiples_of_the_interval(make_guard):
    guard, saved = make_guard(checkpoint_steps=4, step=2)
    batches(guard, [1.0] * 11)
    assert saved == [(4, 2), (8, 6), (12, 10)]


def test_checkpoints_come_between_optimizer_steps_only(make_guard):
    guard, saved = make_guard(batches_per_step=3, checkpoint_steps=2)
    batches(guard, [1.0] * 13)
    assert saved == [(2, 6), (4, 12)]
    assert guard.state.step == 4


@pytest.mark.parametrize("loss", [math.nan, math.inf])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_step_of_a_lost_loss_is_named(make_guard, loss, parts):
    guard, _ = make_guard(batches_per_step=parts, step=100)
    losses = [1.0] * 13 * parts + [loss] * 20 * parts
    with pytest.raises(
        DivergenceError,
        match=f"became {loss} in step 114. The last good checkpoint is file.",
    ):
        batches(guard, losses)
    assert guard.state.step == 120


def test_a_checkpoint_never_follows_a_loss_that_is_not_finite(make_guard):
    guard, saved = make_guard(checkpoint_steps=3)
    with pytest.raises(DivergenceError, match="in step 2"):
        batches(guard, [1.0, math.nan, math.nan, 1.0])
    assert saved == []
    guard, _ = make_guard()
    batches(guard, [math.nan])
    with pytest.raises(DivergenceError, match="in step 1"):
        guard.on_epoch_end(0)


def test_sigterm_ends_training_at_a_checkpoint(make_guard):
    guard, saved = make_guard()
    before = signal.getsignal(signal.SIGTERM)
    with guard.heeding_sigterm():
        batches(guard, [1.0])
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Preempted, match="Stopped after step 2") as caught:
            batches(guard, [1.0])
    assert caught.value.step == 2
    assert saved == [(2, 2)]
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_end_of_an_epoch_is_left_to_the_trainer(make_guard):
    guard, saved = make_guard(checkpoint_steps=1, step=48)
    guard.must_end = True
    with pytest.raises(Preempted):
        batches(guard, [1.0])
    assert saved == [(49, 1)]
    batches(guard, [1.0])
    assert saved == [(49, 1)]
    with pytest.raises(Preempted, match="after step 50"):
        guard.end_if_asked()
    guard.must_end = False
    guard.end_if_asked()


def test_metrics_of_an_interrupted_epoch_are_means_over_all_of_it(make_guard):
    guard, _ = make_guard()
    guard.state.partial_batches = 3
    guard.state.partial_logs = {"loss": 2.0}
    guard.on_epoch_begin(0)
    batches(guard, [4.0])
    guard.on_epoch_end(0, {"loss": 4.0})
    assert guard.state.partial_logs == {"loss": 2.5}
    assert guard.state.partial_batches == 4
