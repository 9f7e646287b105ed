"""Tests of irevnet_tf.training.run_directory."""

import json
import math

import keras
import pytest

from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory


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


def test_same_config_goes_on_with_the_results_there(tmp_path):
    directory = RunDirectory.create(tmp_path, RunConfig())
    directory.save_weights(small_model())
    directory.write_metrics([{"epoch": 1}])
    again = RunDirectory.create(tmp_path, RunConfig())
    assert again.trained_weights().is_file()
    assert again.read_metrics() == [{"epoch": 1.0}]


def test_best_weights_are_a_file_of_their_own(tmp_path):
    directory = RunDirectory.create(tmp_path, RunConfig())
    directory.save_weights(small_model())
    with pytest.raises(ValueError, match="best.weights.h5, .*validation_fract"):
        directory.trained_weights(best=True)
    directory.save_weights(small_model(), best=True)
    assert directory.trained_weights(best=True).name == "best.weights.h5"


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


def test_directory_that_cannot_be_written_is_refused():
    # Where not even root may make a directory.
    with pytest.raises(ValueError, match="must be writable, but: "):
        RunDirectory.create("/proc/run", RunConfig())


def test_open_refuses_what_is_no_run_directory(tmp_path):
    with pytest.raises(ValueError, match="missing', which is no directory"):
        RunDirectory.open(tmp_path / "missing")
    with pytest.raises(ValueError, match="which is a directory without one"):
        RunDirectory.open(tmp_path)


@pytest.mark.parametrize("content", ["", '{"epochs": 3', "[]", '{"epoch": 3}'])
def test_damaged_config_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match="must hold the configuration"):
        RunDirectory.open(tmp_path)
    with pytest.raises(ValueError, match="must hold the configuration"):
        RunDirectory.create(tmp_path, RunConfig())


def test_weights_are_replaced_as_a_whole(tmp_path, monkeypatch):
    directory = RunDirectory.create(tmp_path, RunConfig())
    with pytest.raises(ValueError, match="written after the first epoch"):
        directory.trained_weights()
    model = small_model()
    directory.save_weights(model)
    before = directory.trained_weights().read_bytes()

    def half(self, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(keras.Model, "save_weights", half)
    with pytest.raises(OSError, match="No space"):
        directory.save_weights(model)
    assert directory.trained_weights().read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_weights_files_hold_no_state_of_an_optimizer(tmp_path):
    directory = RunDirectory.create(tmp_path, RunConfig())
    model = small_model()
    directory.save_weights(model)
    without = directory.trained_weights().stat().st_size
    model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    directory.save_weights(model)
    assert directory.trained_weights().stat().st_size == without


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
