"""A chain of couplings in Keras: ours, plain, and with `keras.remat`."""

import couplings
import keras
import numpy as np
import tensorflow as tf

import irevnet_tf
from irevnet_tf.training.optimizer import SGD


def warm_up():
    """Start TensorFlow."""
    keras.layers.Dense(1)(np.zeros((1, 1)))


def start(mode, depth=100, channels=24, pixels=32, size=64, jit=False):
    """Build a network, train it one step, and return how to go on.

    Args:
        mode: "memory saving", "plain", "remat" (each block), "remat layers"
            (each layer, by `keras.RematScope`).
        depth: int, how many couplings.
        channels: int, those of each stream.
        pixels: int, height and width.
        size: int, images in a batch.
        jit: whether XLA compiles the step.

    Returns:
        A function that trains one step, and the losses of the first two.
    """
    images, labels = map(
        tf.constant, couplings.batch(size, pixels, channels)
    )
    model = network(mode, depth, channels, pixels)
    model.compile(
        SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    model.optimizer.build(model.trainable_variables)

    def step():
        return float(model.train_on_batch(images, labels))

    return step, [step(), step()]


def network(mode, depth, channels, pixels):
    """Return the Keras model with the weights of `couplings`."""
    residuals = [_residual(channels) for _ in range(depth)]
    inputs = keras.Input((pixels, pixels, 2 * channels))
    streams = irevnet_tf.layers.ChannelSplit()(inputs)
    if mode.startswith("remat"):
        for residual in residuals:
            streams = RematCoupling(residual, mode == "remat")(streams)
    else:
        streams = irevnet_tf.layers.ReversibleSequence(
            [irevnet_tf.layers.AdditiveCoupling(f) for f in residuals],
            memory_saving=mode == "memory saving",
        )(streams)
    x = irevnet_tf.layers.ChannelMerge()(streams)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(couplings.CLASSES, use_bias=False)(x)
    model = keras.Model(inputs, x)
    for f, kernels in zip(
        residuals, couplings.weights(depth, channels), strict=True
    ):
        for index, kernel in zip((2, 5), kernels, strict=True):
            f.layers[index].kernel.assign(kernel)
    model.layers[-1].kernel.assign(couplings.classifier(channels))
    return model


def _residual(channels):
    layers = []
    for _ in range(2):
        layers += [
            irevnet_tf.layers.BatchNormalization(epsilon=1e-5, momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Conv2D(channels, 3, padding="same", use_bias=False),
        ]
    return keras.Sequential(layers)


class RematCoupling(keras.layers.Layer):
    """An additive coupling that keeps its inputs and computes F twice.

    Args:
        residual: F.
        is_whole: whether F is rematerialised as a whole, which keeps nothing
            of what is inside.
    """

    def __init__(self, residual, is_whole=True):
        super().__init__()
        self.residual = residual
        self.is_whole = is_whole

    def call(self, inputs, training=None):
        x1, x2 = inputs

        def run(x):
            return self.residual(x, training=training)

        # `tf.recompute_grad`, which this is, takes no keywords in a graph.
        return x2, x1 + (keras.remat(run) if self.is_whole else run)(x2)
