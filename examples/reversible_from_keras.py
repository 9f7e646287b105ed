"""Your own Keras network, made reversible: where memory ran out, it trains.

    python examples/reversible_from_keras.py
    python examples/reversible_from_keras.py --memory_gb=2 --blocks=120

`plain` is a residual network as anybody writes it, `reversible` the same
branches in pairs. Each trains for some steps in a process of its own, to which
Linux gives --memory_gb of memory, beyond what TensorFlow takes to start. With
the defaults, `plain` ends in an out-of-memory error, with 1.75 GB of resident
memory at its peak, and `reversible` trains in 1.20 GB at its peak (on a CPU).
"""

import contextlib
import pathlib
import re
import resource
import subprocess
import sys

import keras
import tensorflow as tf
from absl import app
from absl import flags

from irevnet_tf import layers
from irevnet_tf.data import load_dataset

BLOCKS = flags.DEFINE_integer("blocks", 60, "Branches, an even number.")
WIDTH = flags.DEFINE_integer("width", 32, "Channels.", lower_bound=8)
SIZE = flags.DEFINE_integer("size", 32, "Side of the images.", lower_bound=1)
BATCH = flags.DEFINE_integer("batch", 64, "Images in a step.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 3, "Steps.", lower_bound=1)
MEMORY = flags.DEFINE_float("memory_gb", 1.0, "Memory, in GB.")
NETWORK = flags.DEFINE_enum(
    "network", None, ("plain", "reversible"), "One of the two, not both."
)


def branch(width):
    """Return what a block adds: any Keras layer that keeps the shape."""
    return keras.Sequential(
        [
            keras.layers.GroupNormalization(8),
            keras.layers.Activation("relu"),
            keras.layers.Conv2D(width, 3, padding="same"),
        ]
    )


def plain(x, branches):
    for one in branches:
        x = keras.layers.Add()([x, one(x)])
    return x


def reversible(x, branches):
    pairs = zip(branches[::2], branches[1::2], strict=True)
    blocks = [layers.reversible_block(f, g) for f, g in pairs]
    # Two streams, which begin as the same and end as one.
    return keras.layers.Average()(layers.ReversibleSequence(blocks)((x, x)))


def build(body):
    """Return a classifier around `plain` or `reversible`."""
    image = keras.Input((SIZE.value, SIZE.value, 1))
    x = keras.layers.Conv2D(WIDTH.value, 3, padding="same")(image)
    x = body(x, [branch(WIDTH.value) for _ in range(BLOCKS.value)])
    x = keras.layers.GroupNormalization(8)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax")(x))


@contextlib.contextmanager
def limited_memory():
    """Let this process take some more memory, and no more than that."""
    status = pathlib.Path("/proc/self/status").read_text()
    taken = int(re.search(r"VmData:\s+(\d+) kB", status)[1]) * 2**10
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = int(taken + MEMORY.value * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def train(name):
    """Print the loss of each step, or that memory has run out."""
    keras.utils.set_random_seed(0)
    model = build({"plain": plain, "reversible": reversible}[name])
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = load_dataset("digits").arrays("train", BATCH.value)
    x = keras.ops.image.resize(x, (SIZE.value, SIZE.value))
    try:
        with limited_memory():
            losses = [model.train_on_batch(x, y) for _ in range(STEPS.value)]
        result = f"trained, loss {' '.join(f'{loss:.2f}' for loss in losses)}"
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        result = f"OUT OF MEMORY ({type(error).__name__})"
    print(f"{name:10} {model.count_params():,} weights: {result}", flush=True)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    if NETWORK.value:
        return train(NETWORK.value)
    for name in ("plain", "reversible"):
        command = [sys.executable, *sys.argv, f"--network={name}"]
        status = subprocess.run(command, check=False).returncode
        if status < 0:  # A library that does not expect that memory ends.
            print(f"{name:10} OUT OF MEMORY (signal {-status})", flush=True)
        elif status:
            sys.exit(status)


if __name__ == "__main__":
    app.run(main)
