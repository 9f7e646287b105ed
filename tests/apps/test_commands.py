"""Commands read their flags before TensorFlow is imported."""

import ast
import importlib
import os
import pathlib
import re
import subprocess
import sys

import keras
import pytest
import write_command_flags

import irevnet_tf
from irevnet_tf.apps.commands import FLAGS_FILE
from irevnet_tf.apps.commands import described_commands
from irevnet_tf.apps.flags import describe_flags
from irevnet_tf.starting import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
# What takes its time to import.
HEAVY = ("keras", "matplotlib", "sklearn", "tensorflow", "tensorflow_datasets")
# As pip writes it, and what it has imported at its end.
SCRIPT = """
import atexit
import sys

@atexit.register
def _():
    heavy = [name for name in {heavy} if name in sys.modules]
    print("imported:", *heavy, file=sys.stderr)

from {module} import {function}
if __name__ == "__main__":
    sys.exit({function}())
"""


def entry_points():
    """Return {command: (module, function)} of setup.py."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    (scripts,) = (
        ast.literal_eval(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "console_scripts"
    )
    return {
        name: tuple(target.split(":"))
        for name, target in (script.split("=") for script in scripts)
    }


@pytest.fixture
def command(tmp_path):
    """Return a function that runs a command as its console script does."""

    def run(name, *arguments, **options):
        module, function = entry_points()[name]
        script = tmp_path / name
        script.write_text(
            SCRIPT.format(heavy=HEAVY, module=module, function=function)
        )
        return subprocess.run(
            [sys.executable, str(script), *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            **options,
        )

    return run


def test_the_commands_are_those_of_setup():
    assert tuple(entry_points()) == tuple(COMMANDS)
    assert tuple(described_commands()) == tuple(COMMANDS)


def test_the_file_of_flags_is_what_the_tool_writes():
    path = ROOT / "irevnet_tf" / "apps" / FLAGS_FILE
    assert path.read_text(encoding="utf-8") == write_command_flags.text(), (
        "python tools/write_command_flags.py"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_nothing_that_takes_its_time(name, command):
    process = command(name, "--help")
    assert process.returncode == 0, process.stderr
    assert process.stderr == "imported:\n"
    module = importlib.import_module(described_commands()[name]["module"])
    kinds = getattr(module, "KINDS", (module.Request,))
    names = {x["name"] for kind in kinds for x in describe_flags(kind)}
    found = re.findall(r"^  --(?:\[no\])?(\w+):", process.stdout, re.M)
    assert len(found) == len(names) and set(found) == names
    assert process.stdout.startswith(module.__doc__)
    for kind in kinds:
        for described in describe_flags(kind):
            for word in described["meaning"].split():
                assert word in process.stdout


@pytest.mark.parametrize(
    ("name", "flag", "message"),
    [
        (
            "irevnet-invert",
            "--wieghts=digits",
            "irevnet-invert: Unknown command line flag 'wieghts'. Did you "
            "mean: weights ?",
        ),
        (
            "irevnet-export",
            "--model=ResNet5",
            "irevnet-export: flag --model=ResNet5: value should be one of <",
        ),
        (
            "irevnet-analyze",
            "--images=four",
            "irevnet-analyze: flag --images=four: invalid literal for int()",
        ),
        (
            "irevnet-train",
            "--nolossless",
            "irevnet-train: flag --run_dir=None: Flag --run_dir must have a "
            "value other than None.",
        ),
        (
            "irevnet-certify",
            "digits.keras",
            "irevnet-certify: Expected flags only. Received: digits.keras",
        ),
        (
            "irevnet-serve",
            "--flagfile=missing.flags",
            "irevnet-serve: ERROR:: Unable to open flagfile: [Errno 2] No such",
        ),
    ],
)
def test_a_wrong_flag_is_told_before_anything_is_imported(
    name, flag, message, command
):
    process = command(name, flag)
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr.startswith(message), process.stderr
    assert process.stderr.endswith(
        f"{name} --help lists its flags.\nimported:\n"
    )


def test_help_is_given_whatever_else_is_asked_for(command):
    for arguments in (["--helpshort", "word"], ["--wrong", "-?"]):
        process = command("irevnet-train", *arguments)
        assert process.returncode == 0, process.stderr
        assert process.stdout.startswith("Train an i-RevNet")


def test_a_command_runs_when_its_flags_are_read(command, tmp_path):
    # A pipe can be read once.
    process = command(
        "irevnet-certify",
        "--flagfile=/dev/stdin",
        f"--certificate={tmp_path / 'certificate.json'}",
        input="--weights=digits\n--portable\n# a comment\n",
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "certificate.json").is_file()
    assert "imported: keras" in process.stderr


def test_all_of_the_help_is_absls(command):
    process = command("irevnet-serve", "--helpfull")
    assert "--rest_port" in process.stdout
    assert "--verbosity" in process.stdout


CODE_OF_A_COMMAND = """
import sys
sys.argv[0] = "/usr/bin/irevnet-train"
import irevnet_tf
assert "tensorflow" not in sys.modules
try:
    irevnet_tf.IRevNet82
except AttributeError as error:
    print(error)
sys.modules["h5py"] = None
for _ in range(2):
    try:
        irevnet_tf.IRevNet28
    except ModuleNotFoundError as error:
        print(error)
del sys.modules["h5py"]
from irevnet_tf import layers
assert callable(irevnet_tf.IRevNet28)
import keras
name = "irevnet_tf>ChannelSplit"
assert keras.saving.get_registered_object(name) is layers.ChannelSplit
"""


def test_the_package_of_a_command_is_whole_when_it_is_touched():
    process = subprocess.run(
        [sys.executable, "-c", CODE_OF_A_COMMAND],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert process.returncode == 0, process.stderr
    halted = "import of h5py halted; None in sys.modules\n"
    attribute = "module 'irevnet_tf' has no attribute 'IRevNet82'\n"
    assert process.stdout == attribute + halted * 2


def test_a_saved_network_is_found_by_an_import_that_is_not_used(tmp_path):
    model = keras.Sequential([irevnet_tf.layers.InvertibleDownsampling(2)])
    model.build((None, 2, 2, 1))
    path = tmp_path / "small.keras"
    model.save(path)
    code = f"""
import irevnet_tf
import keras
model = keras.saving.load_model({str(path)!r})
print(model(keras.ops.reshape(keras.ops.arange(4.0), (1, 2, 2, 1))).shape)
name = "irevnet_tf>ChannelSplit"
print(keras.saving.get_registered_object(name).__name__)
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout == "(1, 1, 1, 4)\nChannelSplit\n"
