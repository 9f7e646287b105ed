"""What all commands share: start, usage errors, printed lines."""

import contextlib
import functools
import logging as python_logging
import os
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Iterator

from absl import app
from absl import flags
from absl import logging

from irevnet_tf import starting
from irevnet_tf.atomic import require_replaceable

# As shells have it for a process that SIGINT ended.
INTERRUPTED = 130


def launch(main: Callable[[list[str]], int | None]) -> None:
    """Parse the flags, run `main`, then exit.

    absl shows the docstring and the flags of the script that was started. A
    console script has neither, so it is given those of the module of `main`.
    An `app.UsageError` ends it with its message and exit status 1; absl would
    print all of the help in front of it.

    Args:
        main: function. The application, called with the program's name and the
            arguments that are not flags.
    """
    module = sys.modules[main.__module__]
    sys.modules["__main__"].__doc__ = module.__doc__
    for flag in flags.FLAGS.get_key_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    # Libraries log every file that they open and every tensor they send.
    # Set, since absl replaces a default by INFO; --verbosity still counts.
    flags.FLAGS.verbosity = logging.WARNING
    python_logging.getLogger("tensorflow").setLevel("WARNING")
    # Where a command was not started by `irevnet_tf.apps.commands`.
    starting.finish()
    app.run(functools.partial(_with_short_errors, main))


def _with_short_errors(main, argv):
    try:
        return main(argv)
    except app.UsageError as error:
        return f"{pathlib.Path(argv[0]).name}: {error}"
    except KeyboardInterrupt:
        print(f"{pathlib.Path(argv[0]).name}: interrupted", flush=True)
        return INTERRUPTED


def refuse_arguments(argv: list[str]) -> None:
    """Refuse arguments that are not flags.

    Args:
        argv: list of str. The program's name and the arguments that are not
            flags.

    Raises:
        app.UsageError: if there are such arguments.
    """
    if len(argv) > 1:
        raise app.UsageError(
            f"Expected flags only. Received: {' '.join(argv[1:])}"
        )


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Raise errors of the input as usage errors, shown without traceback."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        raise app.UsageError(str(error)) from error


def check_writable(flag: str, value: str | os.PathLike, *name: str) -> None:
    """Check that a file that a flag names can be written.

    Args:
        flag: str. The flag, such as "--output".
        value: str or path. Its value.
        *name: str. The name of a file in it, if it is a directory.

    Raises:
        app.UsageError: if it cannot.
    """
    try:
        if not value:
            raise FileNotFoundError("it is empty")
        require_replaceable(pathlib.Path(value, *name))
    except OSError as error:
        raise unwritable(flag, value, error) from error


def unwritable(
    flag: str, value: str | os.PathLike, error: OSError
) -> app.UsageError:
    """Return the usage error for a file that cannot be written."""
    return app.UsageError(
        f"{flag} must be a place that can be written to, but: {error}. "
        f"Received: {flag}={value}"
    )


def say(text: str) -> None:
    """Print a line and flush it."""
    print(text, flush=True)


def print_rows(rows: dict[str, object]) -> None:
    """Print titles and their values, aligned."""
    for title, value in rows.items():
        say(f"{title:25} {value}")
