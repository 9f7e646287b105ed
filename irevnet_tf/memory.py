"""Memory: what variables take, and what Linux tells about this process.

This module imports nothing but the standard library, for processes that do not
import the package.
"""

import math
import pathlib
import re
from collections.abc import Iterable

_CLEAR_REFS = pathlib.Path("/proc/self/clear_refs")


def bytes_of(variables: Iterable) -> int:
    """Return the memory that variables take, on one device.

    Args:
        variables: iterable of `keras.Variable`. The variables.
    """
    return sum(math.prod(v.shape) * v.value.dtype.size for v in variables)


def resident_memory() -> int:
    """Return the bytes of memory that this process has now."""
    return _read("self/status", "VmRSS")


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had so far."""
    # Not getrusage, whose peak starts at the size of the parent process.
    return _read("self/status", "VmHWM")


def available_memory() -> int:
    """Return how many bytes a new process can have."""
    return _read("meminfo", "MemAvailable")


def can_measure() -> bool:
    """Return whether this system tells a process its memory, as Linux."""
    return _CLEAR_REFS.exists()


def forget_peak() -> None:
    """Let the peak of this process begin anew, at what it has now."""
    _CLEAR_REFS.write_text("5")


def _read(file, key):
    text = pathlib.Path("/proc", file).read_text(encoding="utf-8")
    return int(re.search(rf"^{key}:\s*(\d+) kB", text, re.M)[1]) * 1024
