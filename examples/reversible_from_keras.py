"""Your own Keras network, made reversible: out of memory before, not after.

    python examples/reversible_from_keras.py
    python examples/reversible_from_keras.py --memory_gb=3 --blocks=80

`plain` is a residual network as anybody writes it, `reversible` the same
branches in pairs. Each trains for some steps in a process of its own, which
may take --memory_gb of memory and no more (Linux keeps to that).
"""

import resource
import subprocess
import sys

import keras
import tensorflow as tf
from absl import app
from absl import flags

from irevnet_tf import layers
from irevnet_tf.data import load_dataset

BLOCKS = flags.DEFINE_integer("blocks", 80, "Branches.", lower_bound=2)
WIDTH = flags.DEFINE_integer("width", 32, "Channels.", lower_bound=2)
SIZE = flags.DEFINE_integer("size", 32, "Side of the images.", lower_bound=1)
BATCH = flags.DEFINE_integer("batch", 64, "Images in a step.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 4, "Steps.", lower_bound=1)
MEMORY = flags.DEFINE_float("memory_gb", 2.0, "Memory of a process, in GB.")
NETWORK = flags.DEFINE_enum(
    "network", None, ("plain", "reversible"), "One of the two, without a limit."
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
    blocks = [
        layers.reversible_block(f, g)
        for f, g in zip(branches[::2], branches[1::2], strict=True)
    ]
    # Two streams, which begin as the same and end as one.
    return keras.layers.Average()(layers.ReversibleSequence(blocks)((x, x)))


def build(body):
    """Return a classifier around `plain` or `reversible`."""
    image = keras.Input((SIZE.value, SIZE.value, 1))
    x = keras.layers.Conv2D(WIDTH.value, 3, padding="same")(image)
    x = body(x, [branch(WIDTH.value) for _ in range(BLOCKS.value)])
    x = keras.layers.LayerNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax")(x))


def train(name):
    """Print the loss of each step, or that memory has run out."""
    keras.utils.set_random_seed(0)
    model = build({"plain": plain, "reversible": reversible}[name])
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = load_dataset("digits").arrays("train", BATCH.value)
    x = keras.ops.image.resize(x, (SIZE.value, SIZE.value))
    try:
        losses = [model.train_on_batch(x, y) for _ in range(STEPS.value)]
    except tf.errors.ResourceExhaustedError as error:
        result = f"out of memory: {str(error).splitlines()[0]}"
    else:
        result = f"trained, losses {' '.join(f'{x:.3f}' for x in losses)}"
    # What a process may take includes what it had at its start.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name}, {model.count_params():,} parameters: {result}")
    print(f"    peak {peak:.2f} GB", flush=True)


def limit():
    size = int(MEMORY.value * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def main(argv):
    if NETWORK.value:
        return train(NETWORK.value)
    for name in ("plain", "reversible"):
        command = [sys.executable, *sys.argv, f"--network={name}"]
        subprocess.run(command, check=True, preexec_fn=limit)


if __name__ == "__main__":
    app.run(main)
