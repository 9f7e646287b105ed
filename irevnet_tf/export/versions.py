"""Version directories of an exported model."""

import contextlib
import errno
import os
import pathlib
import shutil
import uuid
from collections.abc import Callable

from irevnet_tf.atomic import TEMPORARY_PREFIX
from irevnet_tf.atomic import flush_directory
from irevnet_tf.atomic import flush_tree

# What makes a directory a SavedModel.
SAVED_MODEL_FILE = "saved_model.pb"


def existing_versions(directory: str | os.PathLike) -> list[int]:
    """Return the version numbers in a model's directory, in order."""
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in directory.iterdir()
        if entry.name.isascii() and entry.name.isdecimal()
    )


def check_directory(directory: str | os.PathLike) -> pathlib.Path:
    """Return the directory for a model's versions, whether it exists or not.

    Raises:
        ValueError: if it is an address, a file, or a version itself.
    """
    if "://" in os.fspath(directory):
        raise ValueError(
            "`directory` must be a local directory; copy it from there. "
            f"Received: directory={os.fspath(directory)!r}"
        )
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ValueError(
            "`directory` must be a directory, not a file. "
            f"Received: directory={str(directory)!r}"
        )
    if (directory / SAVED_MODEL_FILE).exists():
        raise ValueError(
            "`directory` must be the one that holds a model's versions, not a "
            f"version. Received: directory={str(directory)!r}"
        )
    return directory


def write_version(
    directory: str | os.PathLike, write: Callable[[pathlib.Path], None]
) -> pathlib.Path:
    """Write the next version of a model, which appears in full or not at all.

    It is written under a name that is no number, which servers do not look
    at, and renamed. If `write` fails, nothing of it is left.

    Args:
        directory: The model's directory, made if needed.
        write: Called with an empty directory, to fill it.

    Returns:
        The path of the version, `directory/N`, one above the highest number
        that is there.

    Raises:
        OSError: if the directory cannot be made or written to.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # Not of `tempfile`, which makes what only its owner may read.
    temporary = directory / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        write(temporary)
        flush_tree(temporary)
        while True:
            number = max(existing_versions(directory), default=0) + 1
            # Another export may have taken the number since.
            with contextlib.suppress(FileExistsError):
                return _rename(temporary, directory / str(number))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(source, target):
    try:
        source.rename(target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(*error.args) from error
        raise
    flush_directory(target.parent)
    return target
