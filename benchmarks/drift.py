"""Rebuilt inputs and gradients of streams that explode, and what it costs to
notice.

    python benchmarks/drift.py

Chains of single 3x3 convolutions without any normalisation, on random images,
memory saving against plain: how far are the inputs that the backward pass
rebuilds, and how far the gradient? Then the time of a step with the
comparison and without it, in turns. A minute on two cores.
"""

import warnings

import keras
import measure
import numpy as np
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf.layers import rebuilt_inputs

DEPTHS = (10, 20, 30, 40, 60)
CHANNELS = 4
ROUNDS = 8


def chain(depth, channels=CHANNELS, on_drift="warn"):
    keras.utils.set_random_seed(0)
    return layers.ReversibleSequence(
        [
            layers.AdditiveCoupling(
                keras.layers.Conv2D(channels, 3, padding="same")
            )
            for _ in range(depth)
        ],
        on_drift=on_drift,
    )


def step(layer, pair):
    """Return a training step, as a graph."""
    layer(pair)

    @tf.function(autograph=False)
    def run():
        with tf.GradientTape() as tape:
            y1, y2 = layer(pair, training=True)
            loss = tf.reduce_mean(y1**2) + tf.reduce_mean(tf.sin(y2))
        weights = [v.value for v in layer.trainable_variables]
        return tape.gradient(loss, weights)

    return run


def images(batch, size, channels):
    values = np.random.default_rng(0).normal(
        size=(batch, size, size, 2 * channels)
    )
    return tf.split(tf.constant(values, "float32"), 2, -1)


def errors(depth):
    layer, pair, gradients = chain(depth), images(8, 8, CHANNELS), []
    for layer.memory_saving in (True, False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = step(layer, pair)()
        gradients.append(np.concatenate([np.ravel(g) for g in found]))
        if layer.memory_saving:
            (message,) = (
                str(x.message)
                for x in caught
                if x.category is layers.RebuiltInputsWarning
            )
    ours, plain = gradients
    error = np.linalg.norm(ours - plain) / np.linalg.norm(plain)
    return message.split("=")[-1], f"{error:.1e}"


def main():
    limit = rebuilt_inputs.LIMIT
    rebuilt_inputs.LIMIT = -1.0  # Every step tells its number.
    rows = [[depth, *errors(depth)] for depth in DEPTHS]
    rebuilt_inputs.LIMIT = limit
    measure.print_table(
        ["convolutions", "error of rebuilt inputs", "of the gradient"], rows
    )
    pair = images(64, 32, 24)
    found = measure.alternate(
        [
            step(chain(10, 24, on_drift), pair)
            for on_drift in ("ignore", "warn", "raise")
        ],
        ROUNDS,
    )
    ignore, *others = found
    rows = [["ignore", f"{1000 * ignore:.1f}", "1"]] + [
        [name, f"{1000 * seconds:.1f}", f"{seconds / ignore:.3f}"]
        for name, seconds in zip(("warn", "raise"), others, strict=True)
    ]
    measure.print_table(["on_drift", "step, ms", "ratio"], rows)


if __name__ == "__main__":
    main()
