"""Tests of tools/publish_weights.py."""

import dataclasses
import json
import shutil

import numpy as np
import publish_weights
import pytest
from absl import app

import irevnet_tf
from irevnet_tf import training
from irevnet_tf.zoo import registry

RECIPE = """\
--epochs=1
--steps_per_epoch=2
--warmup_epochs=0
--batch_size=256
--seed=3
"""
CONFIG = training.RunConfig(
    epochs=1, steps_per_epoch=2, warmup_epochs=0, batch_size=256, seed=3
)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "digits"
    digits = training.load_data(CONFIG)
    directory = training.RunDirectory.create(path, CONFIG)
    training.train(training.build_model(CONFIG, digits), digits, directory)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of weights with other entries, and a recipe beside it."""
    folder = tmp_path / "weights"
    folder.mkdir()
    source = registry.weights_directory() / registry.REGISTRY_FILE
    shutil.copy(source, folder)
    (tmp_path / "tiny.flags").write_text(RECIPE)
    monkeypatch.setattr(publish_weights, "FOLDER", folder)
    yield folder
    registry.weights_records.cache_clear()


def call(run_dir, recipe, hardware="an abacus"):
    publish_weights.publish(
        publish_weights.Request(
            run_dir=str(run_dir), recipe=str(recipe), hardware=hardware
        )
    )


@pytest.mark.programs
def test_run_becomes_weights(finished_run, folder, monkeypatch):
    before = json.loads((folder / registry.REGISTRY_FILE).read_text())
    call(finished_run, folder.parent / "tiny.flags")
    assert sorted(path.name for path in folder.iterdir()) == [
        "irevnet28_digits.weights.h5",
        "irevnet28_digits_curves.png",
        "irevnet28_digits_inversion.png",
        "registry.json",
    ]
    after = json.loads((folder / registry.REGISTRY_FILE).read_text())
    assert len(after) == len(before)
    changed = [new for new in after if new not in before]
    assert [row["name"] for row in changed] == ["digits"]
    assert changed[0]["seed"] == 3
    assert changed[0]["hardware"] == "an abacus"
    assert changed[0]["inversion_error"] == 0 < changed[0]["accuracy"]
    assert 0 < changed[0]["inversion_error_ordinary"] < 5e-6
    assert changed[0]["command"] == (
        "irevnet-train --flagfile=recipes/tiny.flags --run_dir=runs/tiny"
    )

    monkeypatch.setattr(registry, "weights_directory", lambda: folder)
    registry.weights_records.cache_clear()
    model = irevnet_tf.IRevNet28(weights="digits")
    weights = finished_run / "model.weights.h5"
    expected = irevnet_tf.IRevNet28(input_shape=(8, 8, 1), weights=weights)
    for a, b in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_run_of_another_recipe_is_refused(finished_run, folder):
    recipe = folder.parent / "other.flags"
    recipe.write_text(RECIPE.replace("seed=3", "seed=4"))
    with pytest.raises(app.UsageError, match="must be a run of .*seed=3"):
        call(finished_run, recipe)
    assert [p.name for p in folder.iterdir()] == [registry.REGISTRY_FILE]


def test_hardware_must_be_named(finished_run, folder):
    with pytest.raises(app.UsageError, match="are needed. Received"):
        call(finished_run, folder.parent / "tiny.flags", hardware="")


def test_defaults_of_flags_beside_the_recipe_count(finished_run, folder):
    recipe = folder.parent / "other.flags"
    recipe.write_text(RECIPE.replace("--seed=3", ""))
    with pytest.raises(app.UsageError, match="must be a run of .*seed=3"):
        call(finished_run, recipe)


@pytest.mark.parametrize("content", [None, "--sede=3"])
def test_recipe_that_is_none(finished_run, folder, content):
    recipe = folder.parent / "other.flags"
    if content is not None:
        recipe.write_text(content)
    with pytest.raises(app.UsageError, match="--recipe must be a flag file"):
        call(finished_run, recipe)


def test_data_without_a_mode_are_refused(finished_run, folder, monkeypatch):
    monkeypatch.setattr(publish_weights, "PREPROCESSING", {})
    with pytest.raises(app.UsageError, match="`preprocess_input` has.*digits"):
        call(finished_run, folder.parent / "tiny.flags")


def test_failure_leaves_the_old_weights(finished_run, folder, monkeypatch):
    def fail(trained, path, count):
        raise OSError("disk full")

    monkeypatch.setattr(publish_weights, "draw_inversions", fail)
    before = (folder / registry.REGISTRY_FILE).read_bytes()
    with pytest.raises(OSError, match="disk full"):
        call(finished_run, folder.parent / "tiny.flags")
    assert (folder / registry.REGISTRY_FILE).read_bytes() == before
    assert not list(folder.glob("*.weights.h5"))


def test_unfinished_run_is_refused(finished_run, folder, tmp_path):
    path = tmp_path / "unfinished"
    shutil.copytree(finished_run, path)
    longer = dataclasses.replace(CONFIG, epochs=2)
    (path / "config.json").write_text(json.dumps(dataclasses.asdict(longer)))
    recipe = folder.parent / "longer.flags"
    recipe.write_text(RECIPE.replace("epochs=1", "epochs=2", 1))
    with pytest.raises(app.UsageError, match="of 2 epochs. Received: 1 epochs"):
        call(path, recipe)
    assert [p.name for p in folder.iterdir()] == [registry.REGISTRY_FILE]
