"""Round trips of images between runtimes, for `portable_matrix.py`."""

import collections
import sys
import time

import numpy as np
from portable_report import RoundTrip
from portable_worker import Worker
from portable_worker import differing_bits

# Seconds between lines of progress.
INTERVAL = 10
# How many images there are at a time, where there are many.
PART = 1000


class Matrix:
    """All runtimes with one network.

    Args:
        folder: path. What `portable_network.py` has filled.
        runtimes: {name: dict}. The runtimes, and the arguments that each has.
        batches: list of ints. Sizes of batches.

    Attributes:
        skipped: {runtime: why it is not there}.
        trips: list of `RoundTrip`.
        differences: as `portable_report.outputs_table` takes it.
    """

    def __init__(self, folder, runtimes, batches):
        self._folder, self._runtimes = folder, runtimes
        self._batches = batches
        # {(runtime, batch): (path, digest)} of representations.
        self._encoded = {}
        self.skipped, self.trips, self.differences = {}, [], {}

    def encode(self):
        """Run the images forward in all runtimes."""
        for name, worker in self._workers("forward"):
            for batch in self._batches:
                to = f"encoded/{name}/{batch}"
                digest = worker.forward(batch, "images", to)
                self._encoded[name, batch] = to, digest
        self._compare()

    def decode(self, again):
        """Run all representations back in all runtimes.

        Args:
            again: bool. Whether to decode those with equal bits again.
        """
        for back, worker in self._workers("inverse"):
            known = {}
            progress = Progress(back, len(self._encoded) * len(self._batches))
            for (there, batch_there), (path, digest) in self._encoded.items():
                for batch in self._batches:
                    key = path if again else digest, batch
                    if key not in known:
                        known[key] = worker.inverse(
                            batch, f"{path}/features.npy", "expected"
                        )
                    self.trips.append(
                        RoundTrip(there, batch_there, back, batch, known[key])
                    )
                    progress.step()

    def _workers(self, task):
        """Yield the runtimes that are there, one after the other."""
        for index, (name, given) in enumerate(self._runtimes.items(), start=1):
            if name in self.skipped:
                continue
            begin = time.perf_counter()
            with Worker(name, self._folder, given) as worker:
                if worker.skipped:
                    self.skipped[name] = worker.skipped
                    say(f"{name} is skipped: {worker.skipped}")
                    continue
                yield name, worker
            seconds = time.perf_counter() - begin
            total = len(self._runtimes)
            say(f"{task}, {index} of {total}, {name}: {seconds:.0f} s")

    def _compare(self):
        """Compare what forward passes returned with the first of them."""
        first, _ = next(iter(self._encoded.values()))
        for output in ("features", "logits"):
            expected = np.load(self._folder / first / f"{output}.npy")
            for (name, _), (path, _) in self._encoded.items():
                found = np.load(self._folder / path / f"{output}.npy")
                row = self.differences.setdefault(
                    name, collections.defaultdict(list)
                )
                row[output].append(differing_bits(found, expected))


def round_trips(folder, pair, count, batch) -> np.ndarray:
    """Run many images from one runtime to another.

    Args:
        folder: path. What `portable_network.py` has filled.
        pair: dict of two runtimes, there and back, and their arguments.
        count: int. How many images there are.
        batch: int. How many at a time.

    Returns:
        int array (count,): of each image, how many bits came back wrong.

    Raises:
        ValueError: if one is not installed.
    """
    (there, given_there), (back, given_back) = pair.items()
    bits = []
    with (
        Worker(there, folder, given_there) as encode,
        Worker(back, folder, given_back) as decode,
    ):
        for worker in (encode, decode):
            if worker.skipped:
                raise ValueError(
                    "Both runtimes must be installed. "
                    f"Received: {worker.name}: {worker.skipped}"
                )
        progress = Progress(f"{there}, {back}", count)
        for start in range(0, count, PART):
            part = start, min(start + PART, count)
            encode.forward(batch, "images", "encoded/part", part)
            bits.append(
                decode.inverse(
                    batch, "encoded/part/features.npy", "expected", part
                )
            )
            progress.step(len(bits[-1]))
    return np.concatenate(bits)


class Progress:
    """Says every few seconds how much is done."""

    def __init__(self, title, total):
        self._title, self._total, self._done = title, total, 0
        self._last = time.perf_counter()

    def step(self, count=1):
        self._done += count
        if time.perf_counter() - self._last > INTERVAL:
            self._last = time.perf_counter()
            say(f"  {self._title}: {self._done} of {self._total}")


def say(line):
    print(line, file=sys.stderr, flush=True)
