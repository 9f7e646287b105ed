"""Whether this process is a command that has not read its flags yet.

A command reads its flags before TensorFlow is imported, which takes seconds:
`irevnet_tf.apps.commands`. The package must not import it first then, as it
does for all others: their `keras.saving.load_model` finds the layers of this
package because its import has registered them.
"""

import importlib
import pathlib
import sys

# The console scripts of setup.py, and their modules in `irevnet_tf.apps`.
COMMANDS = {
    "irevnet-train": "train",
    "irevnet-evaluate": "evaluate",
    "irevnet-invert": "invert",
    "irevnet-compare": "compare",
    "irevnet-convert": "convert",
    "irevnet-export": "export",
    "irevnet-analyze": "analyze",
    "irevnet-portable": "portable",
    "irevnet-certify": "certify",
    "irevnet-serve": "serve",
    "irevnet-demo": "serve_page",
}


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
