"""Starting an application, its errors and its lines, alike for all."""

import contextlib
import functools
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Iterator

import tensorflow as tf
from absl import app
from absl import flags
from absl import logging

from irevnet_tf.atomic import require_replaceable


def launch(main: Callable[[list[str]], None]) -> None:
    """Parse the flags, run `main`, then exit.

    absl shows the docstring and the flags of the script that was started. A
    console script has neither, so it is given those of the module of `main`.
    An `app.UsageError` ends it with its message and exit status 1; absl would
    print all of the help in front of it.

    Args:
        main: The application, called with the arguments that are no flags.
    """
    module = sys.modules[main.__module__]
    sys.modules["__main__"].__doc__ = module.__doc__
    for flag in flags.FLAGS.get_key_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    # Libraries tell of every file that they open and every tensor they send.
    # Set, since absl replaces a default by INFO; --verbosity still counts.
    flags.FLAGS.verbosity = logging.WARNING
    tf.get_logger().setLevel("WARNING")
    app.run(functools.partial(_with_short_errors, main))


def _with_short_errors(main, argv):
    try:
        return main(argv)
    except app.UsageError as error:
        return f"{pathlib.Path(argv[0]).name}: {error}"


def refuse_arguments(argv: list[str]) -> None:
    """Refuse what is no flag.

    Args:
        argv: The program's name and the arguments that are no flags.

    Raises:
        app.UsageError: if there are such arguments.
    """
    if len(argv) > 1:
        raise app.UsageError(
            f"Expected flags only. Received: {' '.join(argv[1:])}"
        )


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Show a user what is wrong with the input, rather than a traceback."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        raise app.UsageError(str(error)) from error


def check_writable(flag: str, value: str, *name: str) -> None:
    """Find out whether a file that a flag names can be written.

    Args:
        flag: The flag, such as "--output".
        value: Its value, a path.
        *name: Of a file in it, if it is a directory.

    Raises:
        app.UsageError: if it cannot.
    """
    try:
        if not value:
            raise FileNotFoundError("it is empty")
        require_replaceable(pathlib.Path(value, *name))
    except OSError as error:
        raise unwritable(flag, value, error) from error


def unwritable(flag: str, value: str, error: OSError) -> app.UsageError:
    """Return what a user is told of a file that cannot be written."""
    return app.UsageError(
        f"{flag} must be a place that can be written to, but: {error}. "
        f"Received: {flag}={value}"
    )


def say(text: str) -> None:
    """Print a line at once, for whoever waits."""
    print(text, flush=True)


def print_rows(rows: dict[str, object]) -> None:
    """Print titles and what belongs to them, aligned."""
    for title, value in rows.items():
        say(f"{title:25} {value}")
