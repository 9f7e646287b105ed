"""Many requests at once: is every answer right, and does the server grow?

    python benchmarks/serving_load.py

Exports `IRevNet28(weights="digits", lossless=True)`, starts a `LocalServer`
with it in a process of its own, and sends 10,000 requests from 8 threads:
classify (arrays and files), encode, decode and reconstruct, over REST and
gRPC in turns, 1 to 8 images each. One in ten is malformed in some way, and
must be refused as such. Every other answer is compared, bit for bit, with
that of the same SavedModel without a server. Needs the extra `serving`. Takes
about two minutes on two cores, and Linux, for the memory.

What it measures is this package's client and server in Python: it says nothing
about the speed of TensorFlow Serving.
"""

import concurrent.futures
import contextlib
import io
import itertools
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

import measure

REQUESTS = 10_000
CLIENTS = 8
MALFORMED_EVERY = 10
CASES = 64  # Different batches.
LARGEST_BATCH = 8
SHARES = (0.1, 0.5, 1.0)
MODEL = "digits"
METHODS = ("classify", "classify files", "encode", "decode", "reconstruct")


def child(directory):
    """Serve until the standard input ends."""
    from irevnet_tf.serving import LocalServer

    with LocalServer(directory, MODEL) as server:
        addresses = [server.rest_address, server.grpc_address]
        print(json.dumps(addresses), flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def serving(directory):
    """Start the server; yield its process's number and its addresses."""
    arguments = json.dumps({"directory": str(directory)})
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process.pid, json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


def resident_memory(pid):
    """Return the resident memory of a process in MB (Linux)."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+) kB", status)[1]) / 1024


def export(directory):
    import irevnet_tf
    from irevnet_tf.export import export_saved_model

    export_saved_model(
        irevnet_tf.IRevNet28(weights="digits", lossless=True),
        directory,
        class_names=[f"digit {i}" for i in range(10)],
        image_bytes=True,
        reconstruct_from=1,
    )


def expected_answers(directory):
    """Return (method, argument, list of arrays) for all methods and cases."""
    import matplotlib.image
    import numpy as np
    import tensorflow as tf
    from sklearn.datasets import load_digits

    loaded = tf.saved_model.load(str(directory / "1"))
    digits = np.rint(load_digits().images[..., None] * (255 / 16))
    rng = np.random.default_rng(0)
    answers = []
    for case in range(CASES):
        rows = rng.integers(0, len(digits), case % LARGEST_BATCH + 1)
        images = digits[rows].astype("float32")
        files = []
        for image in images[..., 0].astype("uint8"):
            file = io.BytesIO()
            rgb = np.stack([image] * 3, -1)
            matplotlib.image.imsave(file, rgb, format="png")
            files.append(file.getvalue())
        run = loaded.signatures
        forward = run["forward"](images=images)
        of_files = run["forward_bytes"](image_bytes=tf.constant(files))
        features = forward["features"].numpy()
        results = [
            (images, _classification(forward)),
            (files, _classification(of_files)),
            (images, [features]),
            (features, [run["inverse"](features=features)["images"].numpy()]),
            (images, [run["reconstruct"](images=images)["images"].numpy()]),
        ]
        for method, (argument, arrays) in zip(METHODS, results, strict=True):
            answers.append((method.split()[0], argument, arrays))
    return answers


def _classification(outputs):
    classes = [name.decode() for name in outputs["classes"].numpy()]
    return [outputs["probabilities"].numpy(), classes]


def is_right(answer, expected):
    """Compare an answer of a client with what it has to be."""
    import numpy as np

    from irevnet_tf.serving import Classification

    if isinstance(answer, Classification):
        probabilities, classes = expected
        if answer.classes != classes:
            return False
        answer, expected = answer.probabilities, [probabilities]
    same_type = answer.dtype == np.float32
    return same_type and answer.tobytes() == expected[0].tobytes()


def malformed_requests(addresses):
    """Return pairs of a function and the error that it must end with."""
    import numpy as np
    import requests

    from irevnet_tf import serving

    rest_address, _ = addresses
    url = f"{rest_address}/v1/models/{MODEL}:predict"

    def post(body):
        reply = requests.post(url, data=body, timeout=60)
        if reply.status_code == 400 and list(reply.json()) == ["error"]:
            raise serving.InvalidRequestError(reply.json()["error"])

    image = np.zeros((1, 8, 8, 1), "float32")
    stack = contextlib.ExitStack()
    calls = []
    for address in addresses:
        client = stack.enter_context(serving.Client(address, MODEL))
        other = stack.enter_context(serving.Client(address, "letters"))
        old = stack.enter_context(serving.Client(address, MODEL, version=9))
        for function, error in (
            (lambda c=client: c.encode(image[:, :5]), "InvalidRequestError"),
            (lambda c=client: c.decode(image), "InvalidRequestError"),
            (lambda c=client: c.encode(image + 1e9), "InvalidRequestError"),
            (lambda c=client: c.classify([b"GIF8"]), "InvalidRequestError"),
            (lambda c=client: c.encode(image[0]), "ValueError"),
            (lambda c=other: c.encode(image), "ModelNotFoundError"),
            (lambda c=old: c.encode(image), "ModelNotFoundError"),
        ):
            calls.append((function, error))
    for body in (b"", b"{", b"[[", b'{"inputs": [[1], [2, 3]]}', b"\xff" * 99):
        calls.append((lambda b=body: post(b), "InvalidRequestError"))
    return stack, calls


class Load:
    """Sends the requests and keeps the score."""

    def __init__(self, pid, addresses, answers):
        from irevnet_tf.serving import Client

        self._pid = pid
        self._answers = answers
        self._stack, self._malformed = malformed_requests(addresses)
        self._clients = [
            self._stack.enter_context(Client(address, MODEL))
            for address in addresses
        ]
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._done = 0
        self._start = time.perf_counter()
        self.measured = []
        self.wrong = self.refused = 0
        self.unexpected = []

    def run(self):
        """Send all requests; `self.measured` has a row for each share."""
        self._start = time.perf_counter()
        with (
            self._stack,
            concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool,
        ):
            for future in [
                pool.submit(self._work, seed) for seed in range(CLIENTS)
            ]:
                future.result()

    def _work(self, seed):
        choice = random.Random(seed).choice
        while (number := next(self._numbers)) <= REQUESTS:
            if number % MALFORMED_EVERY == 0:
                self._send_malformed(*choice(self._malformed))
            else:
                self._send(choice(self._clients), *choice(self._answers))
            self._count()

    def _send(self, client, method, argument, expected):
        try:
            answer = getattr(client, method)(argument)
        except Exception as error:
            self._note(f"{method}: {error!r}")
            return
        if not is_right(answer, expected):
            with self._lock:
                self.wrong += 1

    def _send_malformed(self, function, expected):
        try:
            function()
        except Exception as error:
            if type(error).__name__ == expected:
                with self._lock:
                    self.refused += 1
            else:
                self._note(f"malformed, not {expected}: {error!r}")
        else:
            self._note(f"malformed, but answered, not {expected}")

    def _note(self, message):
        with self._lock:
            self.unexpected.append(message)

    def _count(self):
        with self._lock:
            self._done += 1
            if self._done in [share * REQUESTS for share in SHARES]:
                seconds = time.perf_counter() - self._start
                memory = resident_memory(self._pid)
                self.measured.append((self._done, seconds, memory))


def main():
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary) / MODEL
        export(directory)
        answers = expected_answers(directory)
        with serving(directory) as (pid, addresses):
            fresh = resident_memory(pid)
            load = Load(pid, addresses, answers)
            load.run()
    first = load.measured[0][2]
    measure.print_table(
        ["requests", "seconds", "requests/s", "server, MB", "growth, MB"],
        [["0", "", "", f"{fresh:.0f}", ""]]
        + [
            [
                str(done),
                f"{seconds:.1f}",
                f"{done / seconds:.0f}",
                f"{memory:.0f}",
                f"{memory - first:+.0f}",
            ]
            for done, seconds, memory in load.measured
        ],
    )
    print(f"wrong answers: {load.wrong}")
    print(f"malformed requests, refused as such: {load.refused}")
    print(f"unexpected errors: {len(load.unexpected)}")
    for message in sorted(set(load.unexpected))[:10]:
        print(f"  {message[:300]}")


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments is None:
        main()
    else:
        child(**arguments)
