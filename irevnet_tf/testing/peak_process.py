"""A process that runs training steps and prints their peaks of memory.

    python peak_process.py STEPS JSON DIRECTORY...

Each directory holds a SavedModel with one function, `step`; the JSON has the
shapes and dtypes of its inputs. For each, it prints a line with the peak in
bytes. It imports TensorFlow only, so that layers of any class are welcome.
"""

import gc
import json
import pathlib
import runpy
import sys

# The folder of this file has modules that are not for TensorFlow. It must go
# before TensorFlow is imported, so imports below are not at the top.
del sys.path[0]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

# By its path, since importing the package would import Keras.
memory = runpy.run_path(pathlib.Path(__file__).parents[1] / "memory.py")


def peak(directory, inputs, steps):
    """Return how far the resident memory rises in steps, and falls again.

    The first step is not counted: its kernels, its optimized graph and the
    random numbers of its operations stay.
    """
    module = tf.saved_model.load(directory)
    module.step(*inputs)
    gc.collect()
    before = memory["resident_memory"]()
    memory["forget_peak"]()
    for _ in range(steps):
        module.step(*inputs)
    return memory["peak_memory"]() - before


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
