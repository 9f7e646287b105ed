"""irevnet-compare: a real comparison of tiny runs, its table and refusals."""

import dataclasses
import math
import subprocess

import pytest
from absl import app
from absl import flags

from irevnet_tf import baselines
from irevnet_tf.apps import compare
from irevnet_tf.apps.comparing import runs as comparing_runs
from irevnet_tf.apps.comparing import steps as comparing_steps
from irevnet_tf.apps.comparing.runs import RunFailed
from irevnet_tf.apps.comparing.runs import plan
from irevnet_tf.apps.comparing.steps import Cost
from irevnet_tf.apps.comparing.steps import StepsFailed
from irevnet_tf.apps.comparing.steps import run_steps
from irevnet_tf.apps.comparing.table import Row
from irevnet_tf.apps.comparing.table import markdown
from irevnet_tf.apps.flags import as_flags
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.models.revnet import RevNet
from irevnet_tf.models.revvit import RevViT
from irevnet_tf.reconstruction import inverted
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory

RECIPE = RunConfig(
    dataset="digits",
    epochs=1,
    steps_per_epoch=2,
    batch_size=8,
    optimizer="adamw",
    learning_rate=1e-3,
)


def request_for(tmp_path, **changes):
    return dataclasses.replace(
        compare.Request(networks=("ViTMini",), output=str(tmp_path / "out")),
        **{"seeds": 1, "rounds": 1, **changes},
    )


@pytest.mark.programs
def test_networks_are_trained_measured_and_put_into_a_table(
    tmp_path, monkeypatch, capfd
):
    started = []
    run = subprocess.run

    def counted(command, **kwargs):
        started.append(command)
        return run(command, **kwargs)

    monkeypatch.setattr(comparing_runs.subprocess, "run", counted)
    for _ in range(2):
        compare.compare(request_for(tmp_path), RECIPE)
        # Once in a process of its own.
        monkeypatch.setattr(compare, "measure", lambda *_: Cost(1.0, 10**6))
    trained = [x for x in started if "irevnet_tf.apps.train" in x]
    assert len(trained) == 1  # Not repeated.
    assert (
        "run 1 of 1: ViTMini, seed 0: finished before" in capfd.readouterr()[0]
    )
    table = (tmp_path / "out" / "table.md").read_text()
    (row,) = (x for x in table.splitlines() if x.startswith("| `"))
    assert row.startswith("| `ViTMini` | 4") and "| nothing |" in row
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000


def test_a_run_of_steps_is_finished_with_its_last(tmp_path, monkeypatch):
    recipe = dataclasses.replace(RECIPE, steps=5)  # Three epochs, not one.
    planned = []

    def carried_out(runs, _):
        planned.extend(runs)
        raise RunFailed(["train"], 1)

    monkeypatch.setattr(compare, "carry_out", carried_out)
    with pytest.raises(RunFailed):
        compare.compare(request_for(tmp_path), recipe)
    (run,) = planned
    directory = RunDirectory.create(run.path, run.config)
    for epochs in (1, 2, 3):
        directory.write_metrics([{"epoch": x + 1} for x in range(epochs)])
        assert run.is_finished == (epochs == 3)


def test_a_run_that_fails_ends_the_comparison(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 75)
    monkeypatch.setattr(
        comparing_runs.subprocess, "run", lambda *args, **kwargs: failed
    )
    with pytest.raises(RunFailed, match="status 75.*the same command") as error:
        compare.compare(request_for(tmp_path), RECIPE)
    assert error.value.status == 75
    assert not (tmp_path / "out" / "table.md").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"networks": ()}, "one of IRevNet19, .*Received: \\[\\]"),
        ({"networks": ("VGG16",)}, "Received: \\['VGG16'\\]"),
        ({"networks": ("ViTMini",) * 2}, "must be different names"),
        ({"output": None}, "--output must be a directory"),
    ],
)
def test_refusals(tmp_path, changes, message):
    with pytest.raises(app.UsageError, match=message):
        compare.compare(request_for(tmp_path, **changes), RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_it_says_before_any_run_that_it_needs_linux(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "can_measure", lambda: False)
    with pytest.raises(app.UsageError, match="needs Linux. Received: "):
        compare.compare(request_for(tmp_path), RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_every_network_gets_the_recipe_without_what_it_cannot_have(tmp_path):
    recipe = dataclasses.replace(RECIPE, seed=5, fraction_bits=10)
    names = ["IRevNet19", "ResNet32", "RevViTMini"]
    runs = plan(recipe, names, 2, tmp_path, 1)
    assert [run.path.name for run in runs] == [
        f"{name}-{seed}" for seed in (5, 6) for name in names
    ]
    for run in runs:
        assert run.config == dataclasses.replace(
            recipe,
            model=run.network,
            seed=run.config.seed,
            lossless=run.network != "ResNet32",
            memory_saving=run.network != "ResNet32",
            fraction_bits=14 if run.network == "ResNet32" else 10,
        )


def test_finished_runs_of_another_recipe_are_refused(tmp_path):
    (run,) = plan(RECIPE, ["ViTMini"], 1, tmp_path, 1)
    RunDirectory.create(run.path, run.config).write_metrics([{"epoch": 1}])
    assert plan(RECIPE, ["ViTMini"], 1, tmp_path, 1)[0].is_finished
    other = dataclasses.replace(RECIPE, learning_rate=0.5)
    with pytest.raises(ValueError, match="learning_rate is 0.001 there and"):
        plan(other, ["ViTMini"], 1, tmp_path, 1)


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(),
        RunConfig(
            schedule="step",
            decay_epochs=(2, 4),
            flip=True,
            train_split="train[:10]",
            validation_fraction=0.5,
        ),
    ],
    ids=["defaults", "changed"],
)
def test_flags_of_a_configuration_give_it_back(config):
    values = flags.FlagValues()
    define_flags(RunConfig, values)
    values(["program", *as_flags(config)])
    assert from_flags(RunConfig, values) == config


def test_steps_cost_time_and_memory():
    cost = run_steps(dataclasses.replace(RECIPE, model="RevViTMini"), None)
    assert 0 < cost.seconds < 60 and cost.bytes > 0


def test_steps_that_cannot_be_measured(monkeypatch):
    failed = subprocess.CompletedProcess([], -9, "", "Killed\n")
    monkeypatch.setattr(
        comparing_steps.subprocess, "run", lambda *args, **kwargs: failed
    )
    config = dataclasses.replace(RECIPE, model="RevViTMini")
    with pytest.raises(StepsFailed, match="RevViTMini.*status -9, Killed"):
        comparing_steps.measure(config, None)


def test_what_can_be_inverted():
    shape = {"input_shape": (8, 8, 1), "classes": 10}
    revvit = RevViT(1, 8, 2, patch_size=4, **shape)
    assert inverted(revvit) == "to what `stem` returns"
    revnet = RevNet((2, 2), (1, 2), (8, 16), **shape)
    assert inverted(revnet) == "2 stages, each to its entrance"
    assert inverted(baselines.ViT(1, 8, 2, patch_size=4, **shape)) == "nothing"


def test_table_has_the_spread_and_ratios():
    rows = [
        Row(
            network=name,
            parameters=1234,
            accuracies=accuracies,
            loss=0.5,
            inverted="nothing",
            inversion_error=error,
            saving=saving,
            plain=Cost(2.0, 3 * 10**6),
        )
        for name, accuracies, error, saving in (
            ("A", [0.90, 0.92], 0.0, Cost(3.0, 10**6)),
            ("B", [0.5], math.nan, None),
        )
    ]
    first, second = markdown(rows).splitlines()[2:]
    assert "| 91.00 ± 1.41 | 0.500 | 1.00 | 1.50 | 3 MB | 1 MB |" in first
    assert first.endswith("| nothing | 0 |")
    assert "| 50.00 | 0.500 | 1.00 |  | 3 MB |  |" in second
    assert second.endswith("| nothing |  |")
