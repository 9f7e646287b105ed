"""Writing files that are there in full or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

TEMPORARY_PREFIX = ".unfinished-"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a temporary name, which becomes `path` when the block succeeds.

    The temporary file lies in the directory of `path`, so that the renaming
    is atomic, and keeps its ending, which tells many writers the format. If
    the block fails, the temporary file is removed and `path` is untouched.

    Args:
        path: The file to write or to replace.

    Yields:
        The path to write to.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
