"""A chain of couplings in Keras: ours, plain, and with `keras.remat`."""

import functools

import couplings
import keras
import numpy as np
import tensorflow as tf

import irevnet_tf
from irevnet_tf.training import SGD


def warm_up():
    """Start TensorFlow."""
    keras.layers.Dense(1)(np.zeros((1, 1)))


def start(
    mode, depth=100, channels=24, pixels=32, size=64, jit=False, stock=False
):
    """Build a network and return what trains it one step.

    Args:
        mode: "memory saving", "plain" or "remat" (each block by itself).
        depth: int, how many couplings.
        channels: int, those of each stream.
        pixels: int, height and width.
        size: int, images in a batch.
        jit: whether XLA compiles the step.
        stock: whether BatchNorm and optimizer are Keras' own.

    Returns:
        A function that trains one step and returns its loss.
    """
    images, labels = map(tf.constant, couplings.batch(size, pixels, channels))
    norm = keras.layers if stock else irevnet_tf.layers
    model = network(mode, depth, channels, pixels, norm.BatchNormalization)
    optimizer = keras.optimizers.SGD if stock else SGD
    model.compile(
        optimizer(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    model.optimizer.build(model.trainable_variables)

    return lambda: [float(model.train_on_batch(images, labels))]


def network(mode, depth, channels, pixels, norm):
    """Return the Keras model with the weights of `couplings`.

    Args:
        mode: as in `start`.
        depth: int.
        channels: int.
        pixels: int.
        norm: class of BatchNorms.
    """
    residuals = [_residual(channels, norm) for _ in range(depth)]
    inputs = keras.Input((pixels, pixels, 2 * channels))
    streams = irevnet_tf.layers.ChannelSplit()(inputs)
    if mode == "remat":
        for residual in residuals:
            streams = RematCoupling(residual)(streams)
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


def _residual(channels, norm):
    layers = []
    for _ in range(2):
        layers += [
            norm(epsilon=1e-5, momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Conv2D(channels, 3, padding="same", use_bias=False),
        ]
    return keras.Sequential(layers)


class RematCoupling(keras.layers.Layer):
    """An additive coupling that keeps its inputs and computes F twice.

    Args:
        residual: F.
    """

    def __init__(self, residual):
        super().__init__()
        self.residual = residual

    def call(self, inputs, training=None):
        x1, x2 = inputs
        # `tf.recompute_grad`, which `keras.remat` is, takes no keywords in a
        # graph.
        run = functools.partial(self.residual, training=training)
        return x2, x1 + keras.remat(lambda x: run(x))(x2)
