"""Tests of irevnet_tf.training.loop: whole runs, in this process."""

import csv
import dataclasses
import json
import math
import time

import keras
import numpy as np
import pytest
import small_network
import tensorflow as tf

from irevnet_tf.data import load_dataset
from irevnet_tf.evaluation import Evaluation
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.training import Checkpoints
from irevnet_tf.training import DivergenceError
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import RunOptions
from irevnet_tf.training import build_model
from irevnet_tf.training import compile_model
from irevnet_tf.training import loop
from irevnet_tf.training import train
from irevnet_tf.training.callbacks import Progress
from irevnet_tf.training.callbacks import Scalars
from irevnet_tf.training.callbacks import duration
from irevnet_tf.training.checkpoints import TrainingState
from irevnet_tf.training.schedule import Length
from irevnet_tf.training.setup import metrics_of

SHORT = RunConfig(
    epochs=2,
    warmup_epochs=1,
    steps_per_epoch=3,
    batch_size=8,
    deterministic=True,
)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def digits_with_validation():
    return load_dataset("digits", validation_fraction=0.1)


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch):
    """Let small models without an inverse be trained, for speed."""

    class Probe:
        def __init__(self, *_):
            pass

        def measure(self):
            return {"inversion_error": 0.0}

    monkeypatch.setattr(loop, "InversionProbe", Probe)


@pytest.fixture(autouse=True)
def _no_op_determinism(monkeypatch):
    """Keep it from the tests to come: it cannot be turned off again.

    The operations of these small models are deterministic anyway.
    """
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: None
    )


def small_model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.2, seed=3),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


def run(path, dataset, config=SHORT, options=None):
    """Train a small model in `path`; return it, and the last metrics."""
    keras.utils.set_random_seed(config.seed)
    directory = RunDirectory.create(path, config)
    model = small_model()
    return model, train(model, dataset, directory, options)


def assert_equal_weights(left, right):
    for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_leaves_weights_metrics_and_checkpoints(tmp_path, digits):
    model, last = run(tmp_path, digits)
    directory = RunDirectory.open(tmp_path)
    rows = directory.read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[-1] == pytest.approx(last)
    # Of the last step: 2/3 of the way up, and 2/3 of the way down a cosine.
    assert rows[0]["learning_rate"] == pytest.approx(0.1 * 2 / 3)
    assert rows[1]["learning_rate"] == pytest.approx(0.1 * 0.25)
    with (tmp_path / "metrics.csv").open() as file:
        assert next(csv.reader(file)) == [
            "epoch",
            "learning_rate",
            "accuracy",
            "loss",
            "test_accuracy",
            "test_loss",
            "inversion_error",
            "images_per_second",
        ]
    assert not (tmp_path / "best.weights.h5").exists()
    assert Checkpoints(directory.checkpoint_path).last().endswith("006.npz")
    loaded = small_model()
    loaded.load_weights(directory.trained_weights())
    images, labels = digits.arrays("test")
    outputs = loaded.predict(images, verbose=0)
    np.testing.assert_array_equal(outputs, model.predict(images, verbose=0))
    accuracy = np.mean(outputs.argmax(axis=-1) == labels)
    assert last["test_accuracy"] == pytest.approx(accuracy)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert last["test_loss"] == pytest.approx(float(loss(labels, outputs)))


def test_a_run_of_an_earlier_version_goes_on_with_new_metrics(
    tmp_path, digits, monkeypatch
):
    longer = dataclasses.replace(SHORT, epochs=3)
    values = dataclasses.asdict(longer)
    del values["clip_norm"]  # As if it had been added since.
    save = Checkpoints.save

    def save_and_die(self, model, state):
        for row in state.rows:
            row.pop("test_loss", None)
        save(self, model, state)
        if state.rows:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_die)
        with pytest.raises(Interrupted):
            run(tmp_path, digits, longer)
    (tmp_path / "config.json").write_text(json.dumps(values))
    run(tmp_path, digits, longer)
    rows = RunDirectory.open(tmp_path).read_metrics()
    assert [math.isnan(row["test_loss"]) for row in rows] == [True] + [
        False
    ] * 2


def test_a_finished_run_is_not_repeated(tmp_path, digits, monkeypatch):
    _, last = run(tmp_path, digits)
    monkeypatch.setattr(keras.Model, "fit", None)
    _, again = run(tmp_path, digits)
    assert again == last


VARIETY = dataclasses.replace(
    SHORT,
    ema_decay=0.9,
    accumulation_steps=2,
    mixup_alpha=0.2,
    label_smoothing=0.1,
    flip=True,
    clip_norm=1.0,
)


class Interrupted(Exception):
    """Stands for a killed process."""


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    """Return a function from a configuration to its run, which is run once."""
    runs = {}

    def get(config):
        if config not in runs:
            runs[config] = run(tmp_path_factory.mktemp("whole"), digits, config)
        return runs[config]

    return get


# The fourth checkpoint comes before the first epoch is measured, the fifth
# behind that.
@pytest.mark.parametrize("checkpoint", [2, 4, 5, 9])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(
    tmp_path, digits, monkeypatch, checkpoint, uninterrupted
):
    config = dataclasses.replace(VARIETY, steps_per_epoch=4)
    whole, last = uninterrupted(config)
    save, written = Checkpoints.save, []

    def save_and_die(self, model, state):
        save(self, model, state)
        written.append(state.step)
        if len(written) == checkpoint:
            raise Interrupted

    options = RunOptions(checkpoint_steps=1)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_die)
        with pytest.raises(Interrupted):
            run(tmp_path / "parts", digits, config, options)
    resumed, last_resumed = run(tmp_path / "parts", digits, config, options)
    assert_equal_weights(resumed, whole)
    last, last_resumed = (
        {key: value for key, value in row.items() if key != "images_per_second"}
        for row in (last, last_resumed)
    )
    assert last_resumed == pytest.approx(last, rel=1e-5)
    rows = RunDirectory.open(tmp_path / "parts").read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2]


def test_training_is_repeatable(tmp_path, digits):
    first, _ = run(tmp_path / "first", digits)
    second, _ = run(tmp_path / "second", digits)
    assert_equal_weights(first, second)


def test_weights_that_are_saved_are_the_averaged_ones(tmp_path, digits):
    config = dataclasses.replace(SHORT, ema_decay=0.9)
    model, last = run(tmp_path, digits, config)
    saved = small_model()
    saved.load_weights(RunDirectory.open(tmp_path).trained_weights())
    assert not np.array_equal(saved.get_weights()[0], model.get_weights()[0])
    images, labels = digits.arrays("test")
    outputs = saved.predict(images, verbose=0)
    accuracy = np.mean(outputs.argmax(axis=-1) == labels)
    assert last["test_accuracy"] == pytest.approx(accuracy)


def test_the_test_accuracy_is_that_of_the_saved_weights(
    tmp_path, digits_with_validation
):
    dataset = digits_with_validation
    config = dataclasses.replace(SHORT, ema_decay=0.9, validation_fraction=0.1)
    for _ in range(2):  # Trained, and found finished.
        _, last = run(tmp_path, dataset, config)
        saved = small_model()
        saved.load_weights(tmp_path / "model.weights.h5")
        images, labels = dataset.arrays("test")
        outputs = saved.predict(images, verbose=0)
        accuracy = np.mean(outputs.argmax(axis=-1) == labels)
        assert last["test_accuracy"] == pytest.approx(accuracy)


def test_weights_that_are_not_finite_are_written_nowhere(tmp_path, digits):
    config = dataclasses.replace(
        SHORT, epochs=3, steps_per_epoch=1, warmup_epochs=0, learning_rate=3e38
    )
    with pytest.raises(DivergenceError, match="finite|became"):
        run(tmp_path, digits, config)
    assert not (tmp_path / "model.weights.h5").exists()
    assert not list((tmp_path / "checkpoints").iterdir())


def test_validation_data_decides_which_weights_are_best(
    tmp_path, digits_with_validation, monkeypatch
):
    accuracies = iter([0.2, 0.5, 0.4])

    def measured(self, dataset, examples, batch_size):
        share = 0.3 if examples is dataset.test else next(accuracies)
        return Evaluation(
            images=10,
            correct=10 * share,
            top_5_correct=10,
            cross_entropy=1.0,
            inversion_error_mean=0.0,
            inversion_error_max=0.0,
            absolute_error_max=0.0,
            inverted="the image",
        )

    monkeypatch.setattr(Evaluator, "on", measured)
    config = dataclasses.replace(SHORT, epochs=3, validation_fraction=0.1)
    saved = []
    save = RunDirectory.save_weights

    def record(self, model, *, best):
        saved.append(best)
        save(self, model, best=best)

    monkeypatch.setattr(RunDirectory, "save_weights", record)
    _, last = run(tmp_path, digits_with_validation, config)
    assert saved == [True, True, False]
    assert last["validation_accuracy"] == 0.4
    assert last["test_accuracy"] == 0.3
    (row, *_) = RunDirectory.open(tmp_path).read_metrics()
    assert not any(name.startswith("test") for name in row)
    best, final = small_model(), small_model()
    best.load_weights(tmp_path / "best.weights.h5")
    final.load_weights(tmp_path / "model.weights.h5")
    assert not np.array_equal(best.get_weights()[0], final.get_weights()[0])


def test_evaluation_counts_every_example_once(digits):
    model = small_model()
    images, labels = digits.arrays("test")
    outputs = model.predict(images, verbose=0)
    # 360 is no multiple of 64.
    found = Evaluator(model, inverse=False).on(digits, digits.test, 64)
    assert found.images == 360
    measured = metrics_of(found, classes=100)
    accuracy = np.mean(outputs.argmax(axis=-1) == labels)
    assert measured["accuracy"] == pytest.approx(accuracy)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert measured["loss"] == pytest.approx(float(loss(labels, outputs)))
    in_5 = keras.metrics.sparse_top_k_categorical_accuracy(labels, outputs, 5)
    assert measured["top_5_accuracy"] == pytest.approx(np.mean(in_5))
    assert "top_5_accuracy" not in metrics_of(found, classes=99)


def test_too_large_batch_is_refused(tmp_path, digits):
    config = dataclasses.replace(SHORT, batch_size=2048, steps_per_epoch=None)
    with pytest.raises(
        ValueError, match=r"\(=1437\). Received: batch_size=2048"
    ):
        run(tmp_path, digits, config)


def test_loss_that_is_not_finite_names_the_last_good_checkpoint(
    tmp_path, digits
):
    config = dataclasses.replace(
        SHORT, learning_rate=1e38, epochs=5, clip_norm=0.0
    )
    with pytest.raises(
        DivergenceError, match=r"The last good checkpoint is .*step-\d+.npz"
    ):
        run(tmp_path, digits, config, RunOptions(checkpoint_steps=1))
    last = Checkpoints(tmp_path / "checkpoints").files()[-1]
    with np.load(last) as file:
        assert all(
            np.all(np.isfinite(file[name]))
            for name in file.files
            if name.startswith("model")
        )


def test_leaving_the_range_of_a_lossless_network_stops_training(
    tmp_path, digits, monkeypatch
):
    small_network.instead_of_the_default(monkeypatch)
    # 22 of the 24 bits leave a range of 4.
    config = RunConfig(
        epochs=40,
        batch_size=8,
        steps_per_epoch=2,
        learning_rate=10.0,
        warmup_epochs=0,
        lossless=True,
        fraction_bits=22,
    )
    directory = RunDirectory.create(tmp_path / "run", config)
    model = build_model(config, digits)
    with pytest.raises(
        DivergenceError,
        match=r"is exact, 4, in step \d.*Received: fraction_bits=22",
    ):
        train(model, digits, directory)


# What is seen of it


def test_progress_tells_rate_time_and_memory(capsys):
    length = Length(steps_per_epoch=4, total_steps=6, batches_per_step=2)
    state = TrainingState()
    progress = Progress(
        length,
        state,
        batch_size=10,
        log_steps=2,
        scalars=Scalars(None),
    )
    model = small_model()
    compile_model(model, SHORT, Length(3, 6, 1))
    progress.set_model(model)
    for epoch, steps in ((0, 4), (1, 2)):
        progress.on_epoch_begin(epoch)
        for step in range(steps):
            # Two parts: the second ends the step.
            progress.on_train_batch_end(step, {"loss": 0.9})
            state.step += 1
            time.sleep(0.01)
            progress.on_train_batch_end(step, {"loss": 0.5})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:3] for line in lines] == [
        ["epoch 1/2", "step 2/4", "loss 0.5000"],
        ["epoch 1/2", "step 4/4", "loss 0.5000"],
        ["epoch 2/2", "step 2/2", "loss 0.5000"],
    ]
    assert "images/s" in lines[0] and "to go" in lines[0]
    assert lines[0].endswith(" GB")
    # Ten images in 10 ms and more.
    assert 0 < progress.images_per_second < 1000


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_tells_on_a_terminal_that_it_traces(
    is_terminal, capsys, monkeypatch
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal, raising=False)
    progress = Progress(
        Length(steps_per_epoch=1, total_steps=2, batches_per_step=1),
        TrainingState(),
        batch_size=10,
        log_steps=0,
        scalars=Scalars(None),
    )
    progress.on_epoch_begin(0)
    text = "\rtracing the first step\x1b[K\r" if is_terminal else ""
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0:00 min"), (61.6, "1:02 min"), (3600, "1:00:00 h")],
)
def test_durations_are_written_as_people_do(seconds, text):
    assert duration(seconds) == text


def test_scalars_are_what_tensorboard_reads(tmp_path):
    Scalars(tmp_path).write({"epoch/loss": 0.25}, 7)
    (path,) = tmp_path.iterdir()
    events = [
        tf.compat.v1.Event.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    (value,) = events[-1].summary.value
    assert (events[-1].step, value.tag) == (7, "epoch/loss")
    assert value.metadata.plugin_data.plugin_name == "scalars"
    assert tf.make_ndarray(value.tensor) == 0.25


def test_profile_holds_the_steps_asked_for(tmp_path, digits):
    run(tmp_path, digits, options=RunOptions(profile=(2, 3)))
    assert list((tmp_path / "tensorboard").glob("plugins/profile/*/*.pb"))
