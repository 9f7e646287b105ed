"""The progress line of irevnet-analyze."""

import sys
import time

from irevnet_tf.apps.launch import say
from irevnet_tf.training.callbacks import SECONDS_BETWEEN_LINES
from irevnet_tf.training.callbacks import duration

SECONDS_ELSEWHERE = 10.0


class StudyProgress:
    """Callable that shows the part that is done, and the time to go.

    On a terminal it updates one line; elsewhere it prints a line every ten
    seconds.

    Args:
        name: str. What is done, for the line.
    """

    def __init__(self, name: str):
        self.name = name
        self._terminal = sys.stdout.isatty()
        self._between = SECONDS_ELSEWHERE
        self._start = self._shown = time.monotonic()
        if self._terminal:
            self._between = SECONDS_BETWEEN_LINES

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._start

    def __call__(self, part: float) -> None:
        now = time.monotonic()
        if now - self._shown < self._between:
            return
        self._shown = now
        line = f"{self.name}  {part:.0%}"
        if part > 0:
            line += f"  {duration(self.seconds * (1 / part - 1))} to go"
        if self._terminal:
            # \x1b[K: erase what a longer line left.
            print(f"\r{line}\x1b[K", end="", flush=True)
        else:
            say(line)

    def clear(self) -> None:
        """Erase the line before other output."""
        if self._terminal:
            print("\r\x1b[K", end="", flush=True)
