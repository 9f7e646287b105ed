"""A process that runs training steps and prints their peaks of memory.

    python peak_process.py STEPS JSON DIRECTORY...

Each directory holds a SavedModel with one function, `step`; the JSON has the
shapes and dtypes of its inputs. For each, it prints a line with the peak in
bytes. It imports TensorFlow only, so that layers of any class are welcome.
"""

import gc
import json
import pathlib
import re
import sys

# The folder of this file has modules that are not for TensorFlow. It must go
# before TensorFlow is imported, so imports below are not at the top.
del sys.path[0]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402


def memory(key):
    """Return a line of the process' status in bytes."""
    # Not getrusage, whose peak starts at the size of the parent process.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(rf"{key}:\s*(\d+) kB", status)[1]) * 1024


def peak(directory, inputs, steps):
    """Return how far the resident memory rises in steps, and falls again.

    The first step is not counted: its kernels, its optimized graph and the
    random numbers of its operations stay.
    """
    module = tf.saved_model.load(directory)
    module.step(*inputs)
    gc.collect()
    before = memory("VmRSS")
    # Forgets the peak of the process so far.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    for _ in range(steps):
        module.step(*inputs)
    return memory("VmHWM") - before


def main():
    steps, specs, *directories = sys.argv[1:]
    rng = np.random.default_rng(0)
    inputs = [
        tf.cast(rng.random(shape, "float32"), dtype)
        for shape, dtype in json.loads(specs)
    ]
    for directory in directories:
        print(json.dumps(peak(directory, inputs, int(steps))), flush=True)


if __name__ == "__main__":
    main()
