"""A search for metamers that can be watched, ends in time, or is given up."""

import dataclasses
import threading
import time
from collections.abc import Iterator

import numpy as np

from irevnet_tf.analysis.matching import centred
from irevnet_tf.analysis.metamer_search import MetamerSearch
from irevnet_tf.analysis.metamers import KINDS
from irevnet_tf.analysis.metamers import VISIBLE
from irevnet_tf.apps.page.explorer import Explorer

SECONDS = 60.0
TOLERANCE = 1e-2
_ROWS = 64
_SEED = 0


class GivenUpError(Exception):
    """The time is over, or nobody waits any more."""


class Watch:
    """Counts a search's steps, and ends it.

    Args:
        seconds: float. How long it may take.

    Attributes:
        steps: int. How often the network was asked.
    """

    def __init__(self, seconds: float = SECONDS):
        self._begin, self._seconds = time.monotonic(), seconds
        self._stopped = threading.Event()
        self.steps = 0

    @property
    def elapsed(self) -> float:
        """The seconds since the beginning."""
        return time.monotonic() - self._begin

    def stop(self) -> None:
        """End the search before its next step."""
        self._stopped.set()

    def step(self) -> None:
        """Count a step.

        Raises:
            GivenUpError: if the search is to end.
        """
        self.steps += 1
        if self._stopped.is_set() or self.elapsed > self._seconds:
            raise GivenUpError


class _Watched:
    """Passes everything on to an object, and tells a watch each time."""

    def __init__(self, watched, watch):
        self._watched, self._watch = watched, watch

    def __getattr__(self, name):
        self._watch.step()
        return getattr(self._watched, name)


class _WatchedNetwork(_Watched):
    @property
    def head(self):
        return _Watched(self._watched.head, self._watch)


@dataclasses.dataclass(frozen=True, eq=False)
class Metamer:
    """An image that was made to have the logits of another.

    Attributes:
        kind: str. As in `irevnet_tf.analysis.metamers`.
        pixels: uint8 array (height, width, channels). The picture.
        found: bool. Whether it is a metamer: of the target's class, with its
            logits, and visibly another picture.
        sentence: str. What it is, with its numbers.
    """

    kind: str
    pixels: np.ndarray
    found: bool
    sentence: str


def search_metamers(
    explorer: Explorer, start: np.ndarray, target: np.ndarray, watch: Watch
) -> Iterator[Metamer]:
    """Make images that have the logits of another one.

    Args:
        explorer: `Explorer`. The network, which has a classifier.
        start: float array (1, height, width, channels). What the second image
            is to look like.
        target: float array of the same shape. The image whose logits are
            wanted.
        watch: `Watch`. Ends the search.

    Yields:
        A `Metamer` of each kind.

    Raises:
        GivenUpError: if the watch says so.
    """
    network = _WatchedNetwork(explorer.network, watch)
    search = MetamerSearch(network, start[0], TOLERANCE, _ROWS, _SEED)
    yield _metamer(explorer, KINDS[0], search.exchanged(target[0]), target)
    found = search.moved(start[0], target[0])
    yield _metamer(explorer, KINDS[1], found, target)


def _metamer(explorer, kind, image, target):
    image = image[None]
    logits, wanted = (
        centred(explorer.head.logits(x))[0] for x in (image, target)
    )
    missing = float(np.max(np.abs(logits - wanted)))
    pixels, others = map(explorer.network.pixels, (image, target))
    apart = float(np.sqrt(np.mean((pixels - others) ** 2)))
    beyond = float(max(np.max(-pixels), np.max(pixels - 1.0), 0.0))
    same = np.argmax(logits) == np.argmax(wanted)
    found = bool(same and missing <= TOLERANCE and apart >= VISIBLE)
    name = explorer.class_names[np.argmax(logits)]
    what = "A metamer" if found else "No metamer was found; the closest"
    sentence = (
        f"{what}: classified as {name}, logits off by {missing:.2g} at most, "
        f"pixels off by {apart:.2g} (root mean square, white is 1)."
    )
    if beyond > 0.0:
        sentence += (
            f" Some pixels are beyond black or white, by {beyond:.2g} at most; "
            "they are cut off in this picture."
        )
    return Metamer(kind, explorer.drawn(image), found, sentence)
