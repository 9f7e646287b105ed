"""Whether this process is a command that has not read its flags yet.

A command reads its flags before TensorFlow is imported, which takes seconds:
`irevnet_tf.apps.commands`. The package must not import it first then, as it
does for all others: their `keras.saving.load_model` finds the layers of this
package because its import has registered them.
"""

import importlib
import pathlib
import sys

# The console scripts of setup.py.
COMMANDS = (
    "irevnet-train",
    "irevnet-evaluate",
    "irevnet-invert",
    "irevnet-compare",
    "irevnet-convert",
    "irevnet-export",
    "irevnet-analyze",
    "irevnet-portable",
    "irevnet-certify",
    "irevnet-serve",
)


def _is_command():
    # Programs that embed Python may have no arguments.
    program, *_ = getattr(sys, "argv", None) or [""]
    return pathlib.Path(program).stem in COMMANDS


# Whether the package has left out its imports, until `finish`.
pending = _is_command()


def finish() -> None:
    """Import all that the package imports for programs that are no command.

    Raises:
        ImportError: as `import irevnet_tf`.
    """
    global pending
    if not pending:
        return
    pending = False
    try:
        importlib.reload(importlib.import_module("irevnet_tf"))
    except BaseException:
        pending = True
        raise
