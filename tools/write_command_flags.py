"""Describe the flags of all commands in irevnet_tf/apps/command_flags.json.

    python tools/write_command_flags.py

After a change of flags or of a command's docstring. The commands read this
file before they import TensorFlow.
"""

import importlib
import json
import pathlib

from irevnet_tf.apps.commands import FLAGS_FILE
from irevnet_tf.apps.flags import describe_flags
from irevnet_tf.starting import COMMANDS

PATH = pathlib.Path(__file__).parents[1] / "irevnet_tf" / "apps" / FLAGS_FILE


def describe_command(name: str) -> dict:
    """Return what `irevnet_tf.apps.commands` has to know of a command."""
    module = importlib.import_module(f"irevnet_tf.apps.{COMMANDS[name]}")
    kinds = getattr(module, "KINDS", None) or (module.Request,)
    return {
        "module": module.__name__,
        "about": module.__doc__,
        "flags": [flag for kind in kinds for flag in describe_flags(kind)],
        "required": list(getattr(module, "REQUIRED", ())),
    }


def text() -> str:
    """Return what the file has to hold."""
    found = {name: describe_command(name) for name in COMMANDS}
    return json.dumps(found, indent=1) + "\n"


def main() -> None:
    PATH.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
