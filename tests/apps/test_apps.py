"""Tests of irevnet_tf.apps."""

import contextlib
import dataclasses
import io
import json
import pathlib
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import small_network
from absl import app
from absl import flags
from absl.testing import flagsaver
from calling import call
from matplotlib.image import imread

from irevnet_tf.apps import certify
from irevnet_tf.apps import demo
from irevnet_tf.apps import evaluate
from irevnet_tf.apps import invert
from irevnet_tf.apps import launch
from irevnet_tf.apps import portable
from irevnet_tf.apps import train
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.training import DivergenceError
from irevnet_tf.training import Preempted
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import load_trained_run

MODULES = (demo, evaluate, invert, train)


TRAIN_FLAGS = ("--epochs=1", "--warmup_epochs=0", "--batch_size=256")


@dataclasses.dataclass
class Demo:
    """What the demo left and said."""

    path: pathlib.Path
    output: str


@pytest.fixture(scope="module", autouse=True)
def _small_network():
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_network.instead_of_the_default(monkeypatch)
        yield


@pytest.fixture(scope="module")
def finished_demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tiny"
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        call(demo, f"--run_dir={path}", *TRAIN_FLAGS)
    return Demo(path, output.getvalue())


@pytest.fixture
def run_dir(finished_demo):
    """The directory of a finished run, of one epoch."""
    return finished_demo.path


def files(path):
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.programs
def test_demo_introduces_the_run_and_sums_up(finished_demo):
    output = finished_demo.output
    assert "model       IRevNet28, 10,242 parameters" in output
    assert "mode        lossless, 14 fraction bits, float32" in output
    assert (
        "data        digits, 1,437 images for training, 360 for testing, 8x8x1"
        in output
    )
    assert "devices     1 CPU on 1 machine" in output
    assert "steps       5, 1 epochs of 5 steps of 256 images" in output
    assert "memory      about " in output
    assert "Test accuracy after the last epoch: " in output
    assert "\ninversion error, largest  " in output
    assert "\nparameters                10,242\n" in output
    assert f"{finished_demo.path / 'inversion.png'}\n" in output
    assert f"{finished_demo.path / 'saved_model' / '1'}\n" in output
    # Exported, loaded again, and asked over HTTP.
    assert output.endswith(
        "360 of 360 images classified as in Keras, "
        "0 of 23,040 pixels lost on the way back\n"
    )


def test_run_directory_is_complete(run_dir):
    assert files(run_dir) == [
        "checkpoints",
        "config.json",
        "curves.png",
        "evaluation.json",
        "inversion.png",
        "metrics.csv",
        "model.weights.h5",
        "saved_model",
        "tensorboard",
    ]
    assert RunDirectory.open(run_dir).config == RunConfig(
        epochs=1, warmup_epochs=0, batch_size=256
    )


def test_evaluate_agrees_with_training_and_records_the_result(run_dir, capsys):
    (run_dir / "evaluation.json").unlink()
    call(evaluate, f"--run_dir={run_dir}")
    output = capsys.readouterr().out
    recorded = json.loads((run_dir / "evaluation.json").read_text())
    assert recorded["images"] == 360
    assert recorded["accuracy"] == recorded["correct"] / 360
    last = RunDirectory.open(run_dir).read_metrics()[-1]
    assert recorded["accuracy"] == pytest.approx(last["test_accuracy"])
    # Trained lossless, unless told otherwise.
    assert recorded["inversion_error_max"] == 0
    assert f"({recorded['correct']} of 360 images)" in output
    assert f"{recorded['inversion_error_max']:.1e}" in output


def test_invert_writes_the_picture_it_is_asked_for(run_dir, tmp_path, capsys):
    path = tmp_path / "new" / "picture.png"
    call(invert, f"--run_dir={run_dir}", f"--output={path}", "--count=3")
    assert "Wrote 3 images" in capsys.readouterr().out
    small = imread(path)
    assert small.shape[1] < imread(run_dir / "inversion.png").shape[1]


def test_invert_takes_every_class_in_turn():
    labels = np.array([2, 2, 0, 1, 0, 2, 0])
    assert invert.classes_in_turn(labels, 5).tolist() == [2, 3, 0, 4, 1]
    assert sorted(invert.classes_in_turn(labels, 99)) == list(range(7))


def test_unfinished_run_is_said_to_be_unfinished(run_dir, tmp_path, capsys):
    config = dataclasses.replace(
        RunDirectory.open(run_dir).config, epochs=9, seed=1
    )
    directory = RunDirectory.create(tmp_path, config)
    weights = (run_dir / "model.weights.h5").read_bytes()
    (tmp_path / "model.weights.h5").write_bytes(weights)
    directory.write_metrics([{"epoch": 1}])
    load_trained_run(tmp_path)
    assert "This run has finished 1 of 9 epochs." in capsys.readouterr().out


def test_run_of_another_configuration_is_refused(run_dir):
    before = (run_dir / "model.weights.h5").read_bytes()
    with pytest.raises(app.UsageError, match="seed is 0 there and 4 here"):
        call(train, f"--run_dir={run_dir}", *TRAIN_FLAGS, "--seed=4")
    assert (run_dir / "model.weights.h5").read_bytes() == before


def test_batch_larger_than_the_data_is_refused(tmp_path):
    with pytest.raises(
        app.UsageError, match=r"\(=1437\). Received: batch_size=1438"
    ):
        call(train, f"--run_dir={tmp_path / 'run'}", "--batch_size=1438")
    assert files(tmp_path) == []


def test_network_too_coarse_for_the_data_is_refused(tmp_path):
    with pytest.raises(app.UsageError, match="divisible by"):
        call(train, f"--run_dir={tmp_path / 'run'}", "--model=IRevNet301")
    assert files(tmp_path) == []


@pytest.mark.parametrize("module", [evaluate, invert])
def test_missing_run_directory_is_refused(module, tmp_path):
    with pytest.raises(app.UsageError, match="which is no directory"):
        call(module, f"--run_dir={tmp_path / 'missing'}")


@pytest.mark.parametrize("module", [evaluate, invert])
def test_run_without_weights_is_refused(module, tmp_path):
    RunDirectory.create(tmp_path, RunConfig())
    with pytest.raises(app.UsageError, match="written after the first epoch"):
        call(module, f"--run_dir={tmp_path}")


def test_damaged_weights_are_refused(run_dir, tmp_path):
    RunDirectory.create(tmp_path, RunDirectory.open(run_dir).config)
    weights = (run_dir / "model.weights.h5").read_bytes()
    (tmp_path / "model.weights.h5").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(app.UsageError, match="model.weights.h5"):
        call(evaluate, f"--run_dir={tmp_path}")


def test_damaged_metrics_are_refused(run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path, dirs_exist_ok=True)
    (tmp_path / "metrics.csv").write_text("epoch\nx\n")
    with pytest.raises(app.UsageError, match="metrics.csv .* could not conv"):
        call(evaluate, f"--run_dir={tmp_path}")


def test_output_that_cannot_be_written_is_refused_before_the_work(
    run_dir, tmp_path, monkeypatch
):
    monkeypatch.delattr(invert, "reconstruct")
    (tmp_path / "file").write_text("")
    (tmp_path / "directory.png").mkdir()
    for path in (tmp_path / "file" / "picture.png", tmp_path / "directory.png"):
        with pytest.raises(app.UsageError, match=f"Received: --output={path}"):
            call(invert, f"--run_dir={run_dir}", f"--output={path}")


@pytest.mark.parametrize(
    "error, status",
    [
        # Python prints a string and exits with status 1.
        (DivergenceError("The loss."), "Training stopped: The loss."),
        (OSError("No space"), "Training stopped: No space"),
        (Preempted(7), 75),
    ],
)
def test_the_end_of_training_has_a_status(tmp_path, monkeypatch, error, status):
    def end(*args):
        raise error

    monkeypatch.setattr(train, "train", end)
    with pytest.raises(SystemExit) as stop:
        call(train, f"--run_dir={tmp_path / 'run'}")
    assert stop.value.code == status


def test_the_same_command_again_finds_the_run_finished(run_dir, capsys):
    before = (run_dir / "model.weights.h5").read_bytes()
    call(train, f"--run_dir={run_dir}", *TRAIN_FLAGS)
    last = RunDirectory.open(run_dir).read_metrics()[-1]
    assert f"last epoch: {last['test_accuracy']:.2%}" in capsys.readouterr().out
    assert (run_dir / "model.weights.h5").read_bytes() == before


def test_eval_only_measures_and_changes_nothing(run_dir, capsys):
    before = {p: p.stat().st_mtime_ns for p in run_dir.rglob("*")}
    call(train, f"--run_dir={run_dir}", "--eval_only")
    last = RunDirectory.open(run_dir).read_metrics()[-1]
    output = capsys.readouterr().out
    assert f"test accuracy: {last['test_accuracy']:.4f}" in output
    assert f"test loss: {last['test_loss']:.4f}" in output
    assert before == {p: p.stat().st_mtime_ns for p in run_dir.rglob("*")}


def test_best_weights_are_there_with_validation_only(run_dir):
    with pytest.raises(app.UsageError, match="best.weights.h5"):
        call(evaluate, f"--run_dir={run_dir}", "--best")


def test_devices_that_do_not_divide_the_batch_are_refused(tmp_path):
    strategy = types.SimpleNamespace(num_replicas_in_sync=3)
    with pytest.raises(ValueError, match="3 devices .* batch_size=64"):
        train.check_devices(RunConfig(), strategy)
    config = RunConfig(batch_size=6, jit=True, lossless=False)
    with pytest.raises(ValueError, match="jit=True with 3 devices"):
        train.check_devices(config, strategy)


def test_multi_worker_without_a_cluster_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(app.UsageError, match="TF_CONFIG"):
        call(train, f"--run_dir={tmp_path / 'run'}", "--strategy=multi_worker")
    assert files(tmp_path) == []


def test_steps_count_where_a_recipe_gives_epochs():
    with flagsaver.flagsaver():
        flags.FLAGS(["program", "--run_dir=run", "--epochs=30", "--steps=9"])
        config = from_flags(RunConfig)
    assert (config.steps, config.warmup_epochs) == (9, 0)


RECIPES = sorted(
    path
    for path in (pathlib.Path(__file__).parents[2] / "recipes").glob("*.flags")
    if path.stem != "comparison"  # Of irevnet-compare.
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_configurations_and_say_what_they_are(path):
    with flagsaver.flagsaver():
        flags.FLAGS(["program", "--run_dir=run", f"--flagfile={path}"])
        config = from_flags(RunConfig)
    text = path.read_text()
    assert f"--flagfile=recipes/{path.name}" in text
    for line in ("# Reproduces: ", "# Cost: ", "# Measured: "):
        assert line in text
    if path.stem == "digits":
        assert config == RunConfig()
    if path.stem == "cifar10":
        assert config.decay_epochs == (60, 120, 160)


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--model=VGG16", "should be one of <IRevNet19|"),
        ("--strategy=tower", "<none|mirrored|multi_worker|tpu>"),
        ("--mixed_precision=half", "<float32|mixed_bfloat16|mixed_float16>"),
    ],
)
def test_flags_out_of_range_are_refused(flag, message):
    with flagsaver.flagsaver(), pytest.raises(flags.Error) as error:
        flags.FLAGS(["program", "--run_dir=run", flag])
    assert message in str(error.value)


@pytest.mark.parametrize("epochs, warmup", [(1, 0), (3, 2), (60, 3)])
def test_warmup_leaves_room_for_training(epochs, warmup):
    with flagsaver.flagsaver(epochs=epochs):
        assert from_flags(RunConfig).warmup_epochs == warmup


def test_run_directory_flag_is_required():
    with (
        flagsaver.flagsaver(),
        pytest.raises(
            flags.IllegalFlagValueError, match="--run_dir must have a value"
        ),
    ):
        flags.FLAGS(["program"])


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--epochs=0", "at least 1. Received: epochs=0"),
        (
            "--warmup_epochs=60",
            r"less than `epochs` \(=60\). Received: warmup_epochs=60",
        ),
        ("--batch_size=0", "at least 1. Received: batch_size=0"),
        ("--learning_rate=0", "positive .* Received: learning_rate=0.0"),
        ("--learning_rate=inf", "finite. Received: learning_rate=inf"),
        ("--warmup_epochs=-1", "at least 0. Received: warmup_epochs=-1"),
        ("--weight_decay=-1", "at least 0 .* Received: weight_decay=-1.0"),
        ("--weight_decay=nan", "finite. Received: weight_decay=nan"),
        ("--dropout_rate=1", "less than 1. Received: dropout_rate=1.0"),
        ("--seed=-1", "Received: seed=-1"),
        ("--dataset=no_such_set", "Received: name='no_such_set'"),
        ("--decay_epochs=a", "whole numbers, .* Received: --decay_epochs=a"),
        ("--profile=1.5", "whole numbers, .* Received: --profile=1.5"),
        ("--profile=5", r"Received: profile=\(5,\)"),
        ("--seed=2147483648", "than 2147483648. Received: seed=2147483648"),
        ("--keep_checkpoints=0", "least 1. Received: keep_checkpoints=0"),
    ],
)
@pytest.mark.parametrize("module", [demo, train])
def test_values_out_of_range_are_refused(module, flag, message, tmp_path):
    with pytest.raises(app.UsageError, match=message):
        call(module, f"--run_dir={tmp_path / 'run'}", flag)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--count=0", "at least 1 and at most 40. Received: count=0"),
        ("--count=41", "at least 1 and at most 40. Received: count=41"),
        ("--output=picture.xyz", "must end in one of .pdf, .png, .svg"),
        ("--output=.png", "must end in one of .pdf, .png, .svg"),
    ],
)
def test_what_invert_cannot_do_is_refused(flag, message, tmp_path):
    with pytest.raises(app.UsageError, match=message):
        call(invert, f"--run_dir={tmp_path}", flag)


@pytest.mark.parametrize("module", MODULES)
def test_arguments_that_are_no_flags_are_refused(module, tmp_path):
    with pytest.raises(app.UsageError, match="Received: stray words"):
        call(module, f"--run_dir={tmp_path / 'run'}", "stray", "words")
    assert files(tmp_path) == []


# Every command in a process of its own, as two define the same flags. What is
# slow to import is there already.
HELP = """
import importlib, os, sys
import irevnet_tf.data, irevnet_tf.pictures, irevnet_tf.training
for name in sys.argv[2:]:
    child = os.fork()
    if not child:
        del sys.argv[2:]
        with open(sys.argv.pop(1) + "/" + name, "w") as output:
            os.dup2(output.fileno(), 1)
        sys.argv.append("--help")
        importlib.import_module(name).run()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
"""


def test_console_scripts_help_with_their_own_flags(tmp_path):
    texts = {
        train: ("Train an i-RevNet", "--learning_rate:"),
        evaluate: ("Measure accuracy and inversion error", "--keras_file:"),
        invert: ("Rebuild images from", "--output:"),
        portable: ("Make a trained network portable", "--sum_bits:"),
        certify: ("Prove that a portable network", "--certificate:"),
    }
    names = [module.__name__ for module in texts]
    finished = subprocess.run(
        [sys.executable, "-c", HELP, tmp_path, *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    for module, (text, flag) in texts.items():
        output = (tmp_path / module.__name__).read_text()
        assert text in output and flag in output and "--run_dir:" in output
        assert ("--learning_rate:" in output) == (module is train)


def test_module_starts_as_a_program(tmp_path):
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "irevnet_tf.apps.evaluate",
            f"--run_dir={tmp_path / 'missing'}",
        ],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    # Its own message and no more, in particular not all of the help.
    assert "evaluate.py: " in finished.stderr
    assert "flags:" not in finished.stdout + finished.stderr
    assert "missing', which is no directory" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_every_attribute_of_a_run_has_a_flag_with_its_default():
    with flagsaver.flagsaver():
        flags.FLAGS(["program", "--run_dir=run"])
        assert from_flags(RunConfig) == RunConfig()


def test_ctrl_c_is_answered_in_a_line(capsys):
    def main(argv):
        raise KeyboardInterrupt

    assert launch._with_short_errors(main, ["/bin/irevnet-export"]) == 130
    assert capsys.readouterr().out == "irevnet-export: interrupted\n"


def test_ctrl_c_in_training_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    with pytest.raises(SystemExit) as caught:
        call(train, f"--run_dir={tmp_path / 'run'}", "--epochs=4")
    assert caught.value.code == 130
    assert "The same command continues." in capsys.readouterr().out
