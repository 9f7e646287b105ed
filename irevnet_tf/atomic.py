"""Atomic writing: files are complete or do not exist."""

import contextlib
import errno
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

TEMPORARY_PREFIX = ".unfinished-"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a temporary path, which becomes `path` when the block succeeds.

    The temporary file is in the directory of `path`, so that the renaming is
    atomic, and has the same ending, from which many writers take the format.
    If the block fails, the temporary file is removed and `path` is untouched.
    The file is on the disk before it is renamed, and the new name before the
    block ends, so that this also holds for a power loss.

    Args:
        path: str or path. The file to write or to replace.

    Yields:
        The path to write to.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield temporary
        _flush_file(temporary)
        os.replace(temporary, path)
        flush_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, values: dict[str, Any]) -> None:
    """Write a JSON file.

    Args:
        path: str or path. The file to write or to replace.
        values: dict. What the file holds. A number in it, not deeper, that is
            not finite becomes null, since JSON cannot express it.
    """
    values = {
        key: None if _is_not_finite(value) else value
        for key, value in values.items()
    }
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(values, indent=2, allow_nan=False) + "\n",
            encoding="utf-8",
        )


def _is_not_finite(value):
    return isinstance(value, float) and not math.isfinite(value)


def require_replaceable(path: str | os.PathLike) -> None:
    """Check whether `replacing` can write a file, before writing it.

    Args:
        path: str or path. The file to write or to replace. Its directory is
            made if needed.

    Raises:
        OSError: if the directory cannot be made or written to, or if `path`
            is a directory itself.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, os.strerror(errno.EISDIR), str(path)
        )
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def flush_tree(directory: pathlib.Path) -> None:
    """Flush a directory and everything in it to the disk."""
    for folder, _, files in os.walk(directory):
        for name in files:
            _flush_file(pathlib.Path(folder, name))
        flush_directory(pathlib.Path(folder))


def flush_directory(path: pathlib.Path) -> None:
    """Flush the names in a directory to the disk."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows opens no directories.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_file(path: pathlib.Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
