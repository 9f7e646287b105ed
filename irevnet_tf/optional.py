"""Optional libraries, and how to install them."""

import contextlib
from collections.abc import Iterator


def install_command(extra: str) -> str:
    """Return the command that installs the libraries of an extra.

    Args:
        extra: str. One of `extras_require` in setup.py.
    """
    return f'pip install "irevnet_tf[{extra}]"'


@contextlib.contextmanager
def optional_import(needed: str, extra: str) -> Iterator[None]:
    """Say how to install what cannot be imported inside the block.

    Args:
        needed: str. What is needed, and for what.
        extra: str. The extra of this package that installs it.

    Raises:
        ImportError: if an import in the block fails, with the command that
            installs the library.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{needed}: {install_command(extra)}") from error
