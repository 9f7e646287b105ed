"""The commands as they are started: their flags first, then TensorFlow.

Flags are the attributes of dataclasses, which stand beside the code that takes
them, and this imports TensorFlow. For `--help` and for flags that are wrong
nobody should wait for that, so that command_flags.json describes them again:
`python tools/write_command_flags.py` makes this file of the dataclasses, and
a test compares the two.
"""

import copy
import importlib
import json
import pathlib
import sys

from absl import app
from absl import flags

from irevnet_tf import starting
from irevnet_tf.apps.flags import define_described
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.waiting import waiting

FLAGS_FILE = "command_flags.json"
HELP = ("help", "helpshort")
# What absl answers itself, with all flags of all libraries.
LEFT_TO_ABSL = ("helpfull", "helpxml", "only_check_flags")


def described_commands() -> dict[str, dict]:
    """Return {command: what is known of it without importing it}.

    Each has its "module", "about" (the module's docstring), "flags" (as
    `irevnet_tf.apps.flags.describe_flags` returns them) and "required", the
    names of those that must be given.
    """
    path = pathlib.Path(__file__).with_name(FLAGS_FILE)
    return json.loads(path.read_text(encoding="utf-8"))


def start(name: str) -> None:
    """Read the flags of a command, then import and run it.

    Args:
        name: str. One of `irevnet_tf.starting.COMMANDS`.

    Raises:
        SystemExit: with status 0 after --help, with a message if a flag is
            wrong.
    """
    command = described_commands()[name]
    values = _flag_values(command)
    error = words = None
    try:
        # Once, since a file of flags may be a pipe.
        sys.argv[1:] = values.read_flags_from_files(sys.argv[1:], False)
        words = values(sys.argv)
    except flags.Error as wrong:
        error = wrong
    if any(values[flag].value for flag in HELP):
        _print_help(command, values)
        sys.exit(0)
    if not any(values[flag].value for flag in LEFT_TO_ABSL):
        try:
            if error is not None:
                raise error
            refuse_arguments(words)
        except (app.UsageError, flags.Error) as wrong:
            sys.exit(f"{name}: {wrong}\n{name} --help lists its flags.")
    with waiting("Starting TensorFlow"):
        starting.finish()
        module = importlib.import_module(command["module"])
    module.run()


def _flag_values(command):
    """Return the command's flags and those of absl, all with their defaults."""
    values = copy.deepcopy(flags.FLAGS)
    for described in command["flags"]:
        define_described(described, values)
        values.register_key_flag_for_module(
            sys.argv[0], values[described["name"]]
        )
    for name in command["required"]:
        flags.mark_flag_as_required(name, values)
    for name in (*HELP, *LEFT_TO_ABSL):
        short = "?" if name == "help" else None
        flags.DEFINE_bool(name, False, "", values, short_name=short)
    return values


def _print_help(command, values):
    print(f"{command['about']}\nflags:\n{values.main_module_help()}\n")
    print("Try --helpfull to get a list of all flags.")


def train() -> None:
    start("irevnet-train")


def evaluate() -> None:
    start("irevnet-evaluate")


def invert() -> None:
    start("irevnet-invert")


def compare() -> None:
    start("irevnet-compare")


def convert() -> None:
    start("irevnet-convert")


def export() -> None:
    start("irevnet-export")


def analyze() -> None:
    start("irevnet-analyze")


def portable() -> None:
    start("irevnet-portable")


def certify() -> None:
    start("irevnet-certify")


def serve() -> None:
    start("irevnet-serve")


def demo() -> None:
    start("irevnet-demo")
