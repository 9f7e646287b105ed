"""A runtime in a process of its own: the process, and the class that starts it.

    python benchmarks/portable_worker.py JSON

Libraries in one process would share threads and settings. The process says in
a line of JSON whether the runtime is there. Then each line on stdin is a
request, and each answer a line of JSON.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from portable_runtimes import RUNTIMES


class Worker:
    """Starts a runtime, and sends it requests.

    Args:
        name: str. A key of `RUNTIMES`.
        folder: path. What `portable_network.py` has filled.
        arguments: dict. More arguments of the runtime's function.

    Attributes:
        name: str. The runtime.
        skipped: None or str. Why the runtime is not there.
    """

    def __init__(self, name, folder, arguments):
        self.name = name
        given = {"name": name, "folder": str(folder), "arguments": arguments}
        self._log = (pathlib.Path(folder) / f"{name}.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                **RUNTIMES[name].environment,
            },
        )
        self.skipped = self._answer()["skipped"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def forward(self, batch, images, to, part=(None, None)):
        """Run images forward.

        Args:
            batch: int. How many at a time.
            images: str. The images, a path in the folder without the units.
            to: str. Where in the folder to write `features` and `logits`.
            part: pair of ints or None. Which of the images, as in a slice.

        Returns:
            str. A digest of the representation.
        """
        return self._ask(
            task="forward", batch=batch, images=images, to=to, part=part
        )

    def inverse(self, batch, features, expected, part=(None, None)):
        """Run a representation back.

        Args:
            batch: int. How many images at a time.
            features: str. The path of the representation in the folder.
            expected: str. The images that are to come back, a path without
                the units.
            part: pair of ints or None. Which of these.

        Returns:
            int array (N,): of each image, how many bits are not what they are
            to be.
        """
        found = self._ask(
            task="inverse",
            batch=batch,
            features=features,
            expected=expected,
            part=part,
        )
        return np.array(found)

    def _ask(self, **request):
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()["found"]

    def _answer(self):
        # Libraries print, too.
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self._log.seek(0)
        raise RuntimeError(
            "Every runtime that is installed must run the network. Received: "
            f"{self.name}, which ended with {self._process.wait()}: "
            f"{self._log.read()[-3000:]}"
        )


def differing_bits(found, expected) -> np.ndarray:
    """Return how many bits differ in each of N float32 arrays.

    The sign of a zero is a bit like any other.
    """
    if found.shape != expected.shape or found.dtype != np.float32:
        raise ValueError(
            f"`found` must be float32 {expected.shape}. Received: found of "
            f"{found.dtype} {found.shape}"
        )
    words = (np.ascontiguousarray(x).view("uint32") for x in (found, expected))
    bits = np.bitwise_count(np.bitwise_xor(*words))
    return bits.reshape(len(bits), -1).sum(1, dtype=int)


def answer(request, directions, folder, units):
    """Return the result of a request, as JSON can hold it."""
    forward, inverse = directions
    part = slice(*request["part"])
    if request["task"] == "inverse":
        features = np.load(folder / request["features"])
        expected = np.load(folder / request["expected"] / f"{units}.npy")[part]
        found = inverse(features, request["batch"])
        return differing_bits(found, expected).tolist()
    images = np.load(folder / request["images"] / f"{units}.npy")[part]
    features, logits = forward(images, request["batch"])
    to = folder / request["to"]
    to.mkdir(parents=True, exist_ok=True)
    np.save(to / "features.npy", features)
    np.save(to / "logits.npy", logits)
    return hashlib.sha256(features.tobytes()).hexdigest()


def main(name, folder, arguments):
    runtime, folder = RUNTIMES[name], pathlib.Path(folder)
    try:
        directions = runtime.start(folder, **arguments)
    except (ImportError, NotImplementedError) as error:
        print(json.dumps({"skipped": str(error)}), flush=True)
        return
    print(json.dumps({"skipped": None}), flush=True)
    for line in sys.stdin:
        found = answer(json.loads(line), directions, folder, runtime.units)
        print(json.dumps({"found": found}), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
