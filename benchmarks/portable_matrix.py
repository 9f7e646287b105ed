"""Encode in one runtime, decode in another: which bits come back?

    python benchmarks/portable_matrix.py --weights=digits
    python benchmarks/portable_matrix.py --weights=fashion_mnist --portable
    python benchmarks/portable_matrix.py --keras_file=net.keras \\
        --onnxruntime_web=DIR --output=matrix.md
    python benchmarks/portable_matrix.py --weights=fashion_mnist --all_images

Images go forward in every runtime and back in every runtime, in batches of
every size. An image has come back if all of its bits have, that of a zero's
sign included: it is expected as it is on the grid of the network's entrance.
Representations and logits are compared with those of the first runtime, too.
Representations that have the same bits are decoded once, unless with
--decode_equal.

Each runtime is in a process of its own. Needs the extras `onnx`, `litert` and
`convert`; a runtime that is not installed is skipped, and named. DIR is where
`npm install onnxruntime-web` has been run, for the one in a browser. The
network's preprocessing must be exact: without mean, and with a deviation of 1.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import portable_report
from absl import app
from absl import flags
from portable_runtimes import RUNTIMES
from portable_trips import Matrix
from portable_trips import round_trips

_WEIGHTS = flags.DEFINE_string(
    "weights", "digits", "Of IRevNet28: digits or fashion_mnist."
)
_KERAS_FILE = flags.DEFINE_string(
    "keras_file", None, "A .keras file of a network instead of weights."
)
_PORTABLE = flags.DEFINE_bool(
    "portable", False, "Take the portable weights of this name."
)
_IMAGES = flags.DEFINE_integer(
    "images", 64, "Test images; of each kind of noise, a quarter of it.", 0
)
_BATCHES = flags.DEFINE_list("batches", ["1", "3", "32"], "Sizes of batches.")
_RUNTIMES = flags.DEFINE_list(
    "runtimes", list(RUNTIMES), "Which of them, separated by commas."
)
_DECODE_EQUAL = flags.DEFINE_bool(
    "decode_equal", False, "Decode representations with equal bits again."
)
_ALL_IMAGES = flags.DEFINE_bool(
    "all_images",
    False,
    "All test images instead, from TensorFlow to ONNX Runtime alone.",
)
_OUTPUT = flags.DEFINE_string("output", None, "File for the tables.")
_ONNXRUNTIME_WEB = flags.DEFINE_string(
    "onnxruntime_web", None, "Where onnxruntime-web was installed by npm."
)
_CHROMIUM = flags.DEFINE_string("chromium", "chromium", "The browser.")

# Of --all_images: there and back, and how many images at a time.
PAIR = ("TensorFlow graph", "ONNX Runtime")
BATCH = 100


def write_network(folder):
    """Write the network in all formats; return {name: number of images}."""
    arguments = {
        "folder": str(folder),
        "weights": _WEIGHTS.value,
        "keras_file": _KERAS_FILE.value,
        "portable": _PORTABLE.value,
        "images": _IMAGES.value,
        "all_images": _ALL_IMAGES.value,
    }
    script = pathlib.Path(__file__).with_name("portable_network.py")
    result = subprocess.run(
        [sys.executable, script, json.dumps(arguments)],
        capture_output=True,
        text=True,
    )
    if result.returncode:
        sys.exit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def runtimes(names):
    """Return {name: the arguments that the runtime has}."""
    unknown = sorted(set(names) - set(RUNTIMES))
    if unknown:
        raise app.UsageError(
            f"--runtimes must be some of {', '.join(RUNTIMES)}. "
            f"Received: {', '.join(unknown)}"
        )
    page = {
        "onnxruntime_web": _ONNXRUNTIME_WEB.value,
        "chromium": _CHROMIUM.value,
    }
    return {n: page if n == "ONNX Runtime Web" else {} for n in names}


def network_name():
    if _KERAS_FILE.value:
        name = pathlib.Path(_KERAS_FILE.value).name
    else:
        name = f"IRevNet28, {_WEIGHTS.value}"
    return f"{name}, portable" if _PORTABLE.value else name


def measure_all(folder, sets):
    """Return the report of all test images, from one runtime to another."""
    (count,) = sets.values()
    bits = round_trips(folder, runtimes(PAIR), count, BATCH)
    return (
        f"{network_name()}: {count} test images, forward in {PAIR[0]}, back "
        f"in {PAIR[1]}; images that did not come back, and bits: "
        f"{portable_report.cell([bits])}\n"
    )


def measure_matrix(folder, sets):
    """Return the report of all runtimes with all."""
    batches = list(map(int, _BATCHES.value))
    matrix = Matrix(folder, runtimes(_RUNTIMES.value), batches)
    matrix.encode()
    matrix.decode(_DECODE_EQUAL.value)
    return portable_report.report(network_name(), matrix, batches, sets)


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sets = write_network(folder)
        measure = measure_all if _ALL_IMAGES.value else measure_matrix
        text = measure(folder, sets)
    print(text)
    if _OUTPUT.value:
        pathlib.Path(_OUTPUT.value).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
