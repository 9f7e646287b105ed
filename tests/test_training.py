"""Tests of irevnet_tf.training."""

import csv
import dataclasses
import json
import math

import keras
import numpy as np
import pytest

from irevnet_tf.data import load_dataset
from irevnet_tf.training import DivergenceError
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import build_model
from irevnet_tf.training import compile_model
from irevnet_tf.training import train
from irevnet_tf.training.recipe import learning_rate_schedule
from irevnet_tf.training.trainer import EpochRecorder


@pytest.fixture
def few_digits():
    """The digits, 16 to train on and 8 to test on."""
    digits = load_dataset("digits")
    return dataclasses.replace(
        digits,
        train_images=digits.train_images[:16],
        train_labels=digits.train_labels[:16],
        test_images=digits.test_images[:8],
        test_labels=digits.test_labels[:8],
    )


def small_model():
    """A classifier of digits that is quick to train."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3, bias_initializer="ones"),
            keras.layers.BatchNormalization(beta_initializer="ones"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, bias_initializer="ones"),
        ]
    )


# RunConfig


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model": "VGG16"}, "one of IRevNet28, .* Received: model='VGG16'"),
        ({"dataset": "x"}, "`dataset` must be one of digits. Received: .*'x'"),
        ({"epochs": 0}, "`epochs` must be at least 1. Received: epochs=0"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        (
            {"learning_rate": 0.0},
            "positive and finite. Received: learning_rate=0.0",
        ),
        ({"learning_rate": math.inf}, "Received: learning_rate=inf"),
        ({"learning_rate": math.nan}, "Received: learning_rate=nan"),
        ({"warmup_epochs": -1}, "Received: warmup_epochs=-1"),
        (
            {"epochs": 3, "warmup_epochs": 3},
            r"less than `epochs` \(=3\). Received: warmup_epochs=3",
        ),
        ({"weight_decay": -0.1}, "at least 0 .* Received: weight_decay=-0.1"),
        ({"weight_decay": math.inf}, "finite. Received: weight_decay=inf"),
        ({"dropout_rate": 1.0}, "less than 1. Received: dropout_rate=1.0"),
        ({"fraction_bits": 24}, "from 0 to 23 .* Received: fraction_bits=24"),
        ({"mixed_precision": "half"}, "Received: mixed_precision='half'"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_config_refuses_values_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**values)


def test_config_survives_the_round_trip_through_a_dict():
    config = RunConfig(epochs=7, mixed_precision="mixed_bfloat16")
    assert RunConfig.from_dict(dataclasses.asdict(config)) == config


def test_config_refuses_missing_and_unknown_keys():
    values = dataclasses.asdict(RunConfig())
    values["sead"] = values.pop("seed")
    with pytest.raises(ValueError, match="Missing: seed. Unknown: sead."):
        RunConfig.from_dict(values)


# RunDirectory


def test_new_directory_holds_the_config_and_nothing_else(tmp_path):
    path = tmp_path / "runs" / "first"
    config = RunConfig(epochs=5)
    RunDirectory.create(path, config)
    assert [entry.name for entry in path.iterdir()] == ["config.json"]
    assert json.loads((path / "config.json").read_text())["epochs"] == 5
    assert RunDirectory.open(path).config == config


def test_empty_directory_is_used(tmp_path):
    RunDirectory.create(tmp_path, RunConfig())
    assert RunDirectory.open(tmp_path).config == RunConfig()


def test_same_config_starts_again_without_the_old_results(tmp_path):
    directory = RunDirectory.create(tmp_path, RunConfig())
    directory.save_weights(small_model())
    directory.write_metrics([{"epoch": 1}])
    directory.write_evaluation({"accuracy": 1.0})
    directory.picture_path.write_bytes(b"picture")
    (tmp_path / "notes.txt").write_text("mine")
    RunDirectory.create(tmp_path, RunConfig())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "config.json",
        "notes.txt",
    ]


def test_other_config_is_refused_and_the_results_stay(tmp_path):
    directory = RunDirectory.create(tmp_path, RunConfig(epochs=5))
    directory.save_weights(small_model())
    with pytest.raises(
        ValueError,
        match=(
            "epochs is 5 there and 9 here, seed is 0 there and 3 here. "
            "Choose another directory, or delete this one. Received: run_dir="
        ),
    ):
        RunDirectory.create(tmp_path, RunConfig(epochs=9, seed=3))
    assert directory.trained_weights().is_file()
    assert RunDirectory.open(tmp_path).config == RunConfig(epochs=5)


def test_directory_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="this one holds other files"):
        RunDirectory.create(tmp_path, RunConfig())
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_a_killed_process_left_is_no_obstacle(tmp_path):
    (tmp_path / ".unfinished-1-config.json").write_text("{")
    RunDirectory.create(tmp_path, RunConfig())
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


def test_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ValueError, match="must not be a file"):
        RunDirectory.create(path, RunConfig())


def test_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be writable, but: .*Not a dir"):
        RunDirectory.create(tmp_path / "file" / "run", RunConfig())


def test_open_refuses_what_is_no_run_directory(tmp_path):
    with pytest.raises(ValueError, match="missing', which is no directory"):
        RunDirectory.open(tmp_path / "missing")
    with pytest.raises(ValueError, match="which is a directory without one"):
        RunDirectory.open(tmp_path)


@pytest.mark.parametrize("content", ["", '{"epochs": 3', "[]", '{"epochs": 3}'])
def test_damaged_config_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match="must hold the configuration"):
        RunDirectory.open(tmp_path)
    with pytest.raises(ValueError, match="must hold the configuration"):
        RunDirectory.create(tmp_path, RunConfig())


def test_weights_are_replaced_as_a_whole(tmp_path):
    directory = RunDirectory.create(tmp_path, RunConfig())
    with pytest.raises(ValueError, match="written after the first epoch"):
        directory.trained_weights()
    model = small_model()
    directory.save_weights(model)
    before = directory.trained_weights().read_bytes()

    class FullDisk:
        def save_weights(self, path):
            path.write_bytes(b"half")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        directory.save_weights(FullDisk())
    assert directory.trained_weights().read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_metrics_survive_the_round_trip(tmp_path):
    directory = RunDirectory.create(tmp_path, RunConfig())
    assert directory.read_metrics() == []
    rows = [{"epoch": 1.0, "loss": 0.1}, {"epoch": 2.0, "loss": 1 / 3}]
    directory.write_metrics(rows)
    assert directory.read_metrics() == rows


@pytest.mark.parametrize(
    "content",
    [
        "epoch,loss\n1,0.5\n2,0.5e",
        "epoch,loss\n1\n",
        "epoch\n1,2\n",
        "epoch\nx\n",
    ],
)
def test_damaged_metrics_are_refused(tmp_path, content):
    directory = RunDirectory.create(tmp_path, RunConfig())
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(
        ValueError, match="metrics.csv .* must hold a row .* Received: run_dir="
    ):
        directory.read_metrics()


def test_evaluation_that_is_not_finite_is_still_json(tmp_path):
    directory = RunDirectory.create(tmp_path, RunConfig())
    directory.write_evaluation({"images": 3, "error": math.nan, "max": 0.5})
    text = (tmp_path / "evaluation.json").read_text()
    assert json.loads(text) == {"images": 3, "error": None, "max": 0.5}
    assert "NaN" not in text


# Recipe


def test_learning_rate_warms_up_and_falls_along_a_cosine():
    config = RunConfig(epochs=5, warmup_epochs=1, learning_rate=0.4)
    rate = learning_rate_schedule(config, steps_per_epoch=10)
    values = [float(rate(step)) for step in (0, 5, 10, 30, 50)]
    np.testing.assert_allclose(values, [0, 0.2, 0.4, 0.2, 0], atol=1e-7)


def test_learning_rate_without_warmup_starts_at_the_peak():
    config = RunConfig(epochs=2, warmup_epochs=0, learning_rate=0.4)
    rate = learning_rate_schedule(config, steps_per_epoch=10)
    values = [float(rate(step)) for step in (0, 10, 20)]
    np.testing.assert_allclose(values, [0.4, 0.2, 0], atol=1e-7)


def test_weight_decay_shrinks_kernels_only():
    model = small_model()
    config = RunConfig(warmup_epochs=0, learning_rate=0.5, weight_decay=0.1)
    compile_model(model, config, steps_per_epoch=10)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    model.optimizer.apply([0.0 * v for v in model.trainable_variables])
    for variable in model.trainable_variables:
        factor = 0.95 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(
            variable.numpy(), factor * before[variable.path], rtol=1e-6
        )


def test_compiling_builds_the_optimizer():
    model = small_model()
    compile_model(model, RunConfig(), steps_per_epoch=1)
    assert model.optimizer.built


def test_model_follows_config_and_data(few_digits):
    config = RunConfig(seed=5, mixed_precision="mixed_bfloat16")
    model = build_model(config, few_digits)
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, 10)
    policies = {layer.dtype_policy.name for layer in model.layers}
    assert "mixed_bfloat16" in policies
    same, other = (
        build_model(RunConfig(seed=seed), few_digits) for seed in (5, 6)
    )
    images = few_digits.test_images
    np.testing.assert_array_equal(
        same(images), build_model(RunConfig(seed=5), few_digits)(images)
    )
    assert not np.allclose(same(images), other(images))


def test_building_leaves_the_global_policy_alone(few_digits):
    config = RunConfig(mixed_precision="mixed_bfloat16")
    model = build_model(config, few_digits)
    assert keras.config.dtype_policy().name == "float32"
    assert model.dtype_policy.name == "mixed_bfloat16"
    too_small = dataclasses.replace(
        few_digits, train_images=few_digits.train_images[:, :7]
    )
    with pytest.raises(ValueError, match="divisible by"):
        build_model(config, too_small)
    assert keras.config.dtype_policy().name == "float32"


# Training


def test_training_leaves_weights_and_metrics_of_the_last_epoch(
    tmp_path, few_digits
):
    config = RunConfig(epochs=2, warmup_epochs=1, batch_size=8)
    directory = RunDirectory.create(tmp_path, config)
    model = small_model()
    last = train(model, few_digits, directory)
    rows = directory.read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[-1] == pytest.approx(last)
    assert rows[0]["learning_rate"] == pytest.approx(0.1)
    assert rows[1]["learning_rate"] == pytest.approx(0.0)
    with (tmp_path / "metrics.csv").open() as file:
        assert next(csv.reader(file)) == [
            "epoch",
            "learning_rate",
            "accuracy",
            "loss",
            "val_accuracy",
            "val_loss",
        ]
    loaded = small_model()
    loaded.load_weights(directory.trained_weights())
    outputs = loaded.predict(few_digits.test_images, verbose=0)
    np.testing.assert_array_equal(
        outputs, model.predict(few_digits.test_images, verbose=0)
    )
    accuracy = np.mean(outputs.argmax(axis=-1) == few_digits.test_labels)
    assert last["val_accuracy"] == pytest.approx(accuracy)


def test_training_is_repeatable(tmp_path, few_digits):
    config = RunConfig(epochs=2, warmup_epochs=1, batch_size=8, seed=3)
    losses = []
    for name in ("first", "second"):
        keras.utils.set_random_seed(config.seed)
        directory = RunDirectory.create(tmp_path / name, config)
        losses.append(train(small_model(), few_digits, directory)["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_too_large_batch_is_refused(tmp_path, few_digits):
    config = RunConfig(batch_size=17)
    directory = RunDirectory.create(tmp_path, config)
    with pytest.raises(ValueError, match=r"\(=16\). Received: batch_size=17"):
        train(small_model(), few_digits, directory)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_loss_that_is_not_finite_stops_training(tmp_path, loss):
    directory = RunDirectory.create(tmp_path, RunConfig())
    recorder = EpochRecorder(directory)
    recorder.set_model(small_model())
    with pytest.raises(DivergenceError, match=f"became {loss} in epoch 3"):
        recorder.on_epoch_end(2, {"loss": loss})
    assert directory.read_metrics() == []
    with pytest.raises(ValueError, match="written after the first epoch"):
        directory.trained_weights()


def test_leaving_the_range_of_a_lossless_network_stops_training(
    tmp_path, few_digits
):
    # 22 of the 24 bits leave a range of 4.
    config = RunConfig(
        epochs=40,
        batch_size=8,
        learning_rate=10.0,
        warmup_epochs=0,
        lossless=True,
        fraction_bits=22,
    )
    directory = RunDirectory.create(tmp_path / "run", config)
    model = build_model(config, few_digits)
    with pytest.raises(
        DivergenceError,
        match=r"is exact, 4, in epoch \d.*Received: fraction_bits=22",
    ):
        train(model, few_digits, directory)
