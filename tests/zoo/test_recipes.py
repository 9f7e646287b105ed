"""What weights that are not published are answered with."""

import pathlib

import pytest
from absl import app

import irevnet_tf
from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.baselines import ViTS
from irevnet_tf.zoo.recipes import RECIPES

FOLDER = pathlib.Path(__file__).parents[2] / "recipes"
# TFDS' name of it.
DATA_SETS = {"imagenet": "imagenet2012"}


def flags_of(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(
        line.removeprefix("--").split("=", 1)
        for line in lines
        if line.startswith("--") and "=" in line
    )


def test_the_recipes_are_those_of_the_folder():
    files = {
        path.stem: flags_of(path)
        for path in FOLDER.glob("*.flags")
        if path.stem != "comparison"  # Not of irevnet-train.
    }
    found = {
        file: (DATA_SETS.get(name, name), model)
        for (name, model), file in RECIPES.items()
    }
    assert found == {
        file: (given["dataset"], given["model"])
        for file, given in files.items()
    }


@pytest.mark.parametrize(
    ("constructor", "name", "message"),
    [
        (
            irevnet_tf.IRevNet163,
            "cifar10",
            "No weights 'cifar10' are published. A recipe of the repository "
            "trains IRevNet163 so: irevnet-train "
            "--flagfile=recipes/cifar10.flags --run_dir=runs/cifar10 leaves "
            "runs/cifar10/model.weights.h5. The `weights` of IRevNet163 must "
            "be None",
        ),
        (
            irevnet_tf.IRevNet28,
            "cifar100",
            "trains IRevNet163 so: irevnet-train "
            "--flagfile=recipes/cifar100.flags ",
        ),
        (
            irevnet_tf.IRevNet300,
            "imagenet",
            "There are no weights 'imagenet' for IRevNet300, but for "
            "IRevNet301. A recipe of the repository trains IRevNet300 so: "
            "irevnet-train --flagfile=recipes/imagenet_irevnet300.flags ",
        ),
        (
            ViTS,
            "imagenet",
            "--flagfile=recipes/imagenet_vits.flags ",
        ),
    ],
)
def test_weights_that_a_recipe_makes(constructor, name, message):
    with pytest.raises(ValueError) as caught:
        constructor(weights=name)
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"Received: weights={name!r}")


def test_weights_that_no_recipe_makes():
    with pytest.raises(ValueError) as caught:
        irevnet_tf.IRevNet28(weights="svhn")
    assert "recipe" not in str(caught.value)
    assert "'digits', 'fashion_mnist'" in str(caught.value)


def test_commands_name_the_recipe():
    with pytest.raises((ValueError, app.UsageError), match="cifar10.flags"):
        load_network(NetworkRequest(weights="cifar10"))


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (None, 5),
        ("*", 5),
        ("irevnet28", 4),
        ("IRevNet*", 5),
        ("*mnist", 2),
        ("digits", 2),
        ("image[mn]et", 1),
        ("RevNet*", 0),
        ("", 0),
    ],
)
def test_list_of_what_matches(pattern, count, capsys):
    records = irevnet_tf.list_weights(pattern)
    assert len(records) == count
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.startswith("constructor")
    for record, line in zip(records, lines, strict=True):
        assert line.split()[0] == record.model and record.name in line


@pytest.mark.parametrize("pattern", [5, b"digits", ["digits"]])
def test_a_pattern_is_a_string(pattern):
    with pytest.raises(ValueError, match="`pattern` must be a string") as error:
        irevnet_tf.list_weights(pattern=pattern)
    assert str(error.value).endswith(f"Received: pattern={pattern!r}")
