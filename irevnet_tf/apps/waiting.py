"""A line on stderr about what takes its time.

On a terminal it is one line, which counts the seconds and is erased; elsewhere
there is a line every ten seconds. Nothing comes on stdout, which scripts read.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator

# What is faster than this needs no line.
SILENCE = 1.5
SECONDS_BETWEEN_LINES = 1.0
SECONDS_ELSEWHERE = 10.0


@contextlib.contextmanager
def waiting(what: str) -> Iterator[Callable[[float], None]]:
    """Tell what is done, and for how long, while the block runs.

    The block should print nothing else.

    Args:
        what: str. What is done, such as "Loading the network".

    Returns:
        A context manager for a function, which takes the part that is done,
        0 to 1, where the block knows it.
    """
    line = _Line(what)
    thread = threading.Thread(target=line.run, daemon=True)
    thread.start()
    try:
        yield line.tell
    finally:
        line.end()
        thread.join()


class _Line:
    def __init__(self, what):
        self._what = what
        self._part = None
        self._terminal = sys.stderr.isatty()
        self._ended = threading.Event()

    def tell(self, part: float) -> None:
        self._part = part

    def end(self) -> None:
        self._ended.set()

    def run(self):
        start = time.monotonic()
        first, between = SILENCE, SECONDS_BETWEEN_LINES
        if not self._terminal:
            first = between = SECONDS_ELSEWHERE
        if self._ended.wait(first):
            return
        self._show(time.monotonic() - start)
        while not self._ended.wait(between):
            self._show(time.monotonic() - start)
        if self._terminal:
            self._write("\r\x1b[K")

    def _show(self, seconds):
        part = "" if self._part is None else f"  {self._part:.0%}"
        text = f"{self._what}{part}  {seconds:.0f} s"
        if self._terminal:
            # The cursor goes back, so that other lines begin where they should.
            self._write(f"\r{text}\x1b[K\r")
        else:
            self._write(f"{text}\n")

    def _write(self, text):
        # Nobody reads it any more: no reason to stop what is done.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
