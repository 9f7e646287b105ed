"""Reversible transformer blocks in Keras: ours, plain, `keras.remat`."""

import functools

import keras
import numpy as np
import tensorflow as tf
import transformers

import irevnet_tf
from irevnet_tf.training import SGD


def warm_up():
    """Start TensorFlow."""
    keras.layers.Dense(1)(np.zeros((1, 1)))


def start(
    mode,
    depth=24,
    width=192,
    heads=3,
    size=16,
    fraction_bits=None,
    foreign=False,
    stock=False,
    jit=False,
):
    """Build a network and return what trains it one step.

    Args:
        mode: "memory saving", "plain" or "remat" (each residual by itself).
        depth: int, how many blocks of attention and MLP.
        width: int, channels of each stream.
        heads: int.
        size: int, images in a batch.
        fraction_bits: None or int, for a lossless network.
        foreign: whether residuals are of a class of the user's own.
        stock: whether the optimizer is Keras' own.
        jit: whether XLA compiles the step.

    Returns:
        A function that trains one step and returns its loss.
    """
    images, labels = map(tf.constant, transformers.batch(size))
    model = network(mode, depth, width, heads, fraction_bits, foreign)
    model.compile(
        (keras.optimizers.SGD if stock else SGD)(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    model.optimizer.build(model.trainable_variables)

    return lambda: [float(model.train_on_batch(images, labels))]


def network(mode, depth, width, heads, fraction_bits=None, foreign=False):
    """Return the Keras model with the weights of `transformers`."""
    inputs = keras.Input(transformers.IMAGE)
    patches = keras.layers.Conv2D(
        width, transformers.PATCH, strides=transformers.PATCH
    )
    positions = Positions()
    x = positions(keras.layers.Reshape((-1, width))(patches(inputs)))
    if fraction_bits is not None:
        x = irevnet_tf.layers.FixedPointRounding(fraction_bits)(x)
    residuals = [
        (attention(width, heads, foreign), mlp(width, foreign))
        for _ in range(depth)
    ]
    streams = x, x
    if mode == "remat":
        for f, g in residuals:
            streams = RematBlock(f, g)(streams)
    else:
        streams = irevnet_tf.layers.ReversibleSequence(
            [
                irevnet_tf.layers.reversible_block(
                    f, g, fraction_bits=fraction_bits
                )
                for f, g in residuals
            ],
            memory_saving=mode == "memory saving",
        )(streams)
    x = keras.layers.Concatenate()(streams)
    x = keras.layers.GlobalAveragePooling1D()(x)
    x = keras.layers.LayerNormalization(epsilon=transformers.EPSILON)(x)
    classifier = keras.layers.Dense(transformers.CLASSES)
    model = keras.Model(inputs, classifier(x))
    ends = transformers.ends(width)
    patches.kernel.assign(ends["patches"])
    positions.table.assign(ends["positions"])
    classifier.kernel.assign(ends["classifier"])
    for (f, g), kernels in zip(
        residuals, transformers.blocks(depth, width), strict=True
    ):
        _set(f, kernels, ("query", "key", "value", "output"))
        _set(g, kernels, ("expand", "reduce"))
    return model


def _set(residual, kernels, names):
    variables = (v for v in residual.variables if v.name == "kernel")
    for variable, name in zip(variables, names, strict=True):
        variable.assign(kernels[name].reshape(variable.shape))


class Positions(keras.layers.Layer):
    """Adds a trainable value to each token."""

    def build(self, input_shape):
        self.table = self.add_weight(shape=(1, *input_shape[1:]))

    def call(self, inputs):
        return inputs + self.table


def attention(width, heads, foreign):
    """Return the residual of norm and attention."""
    layers = (
        keras.layers.LayerNormalization(epsilon=transformers.ATTENTION_EPSILON),
        keras.layers.MultiHeadAttention(heads, width // heads),
    )
    if foreign:
        return ForeignAttention(*layers)
    inputs = keras.Input((transformers.TOKENS, width))
    x = layers[0](inputs)
    return keras.Model(inputs, layers[1](x, x))


def mlp(width, foreign):
    """Return the residual of norm and two dense layers."""
    layers = [
        keras.layers.LayerNormalization(epsilon=transformers.EPSILON),
        keras.layers.Dense(transformers.MLP_RATIO * width, "gelu"),
        keras.layers.Dense(width),
    ]
    return ForeignSequential(layers) if foreign else keras.Sequential(layers)


class ForeignAttention(keras.layers.Layer):
    """Norm and attention, as a class that the package does not know."""

    def __init__(self, norm, attend):
        super().__init__()
        self.norm, self.attend = norm, attend

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.attend.build(input_shape, input_shape)

    def call(self, inputs):
        x = self.norm(inputs)
        return self.attend(x, x)


class ForeignSequential(keras.Sequential):
    """As `keras.Sequential`, but not that class."""


class RematBlock(keras.layers.Layer):
    """A block that keeps its inputs and computes F and G twice.

    Args:
        f: F.
        g: G.
    """

    def __init__(self, f, g):
        super().__init__()
        self.f, self.g = f, g

    def call(self, inputs, training=None):
        x1, x2 = inputs
        # `tf.recompute_grad`, which `keras.remat` is, takes no keywords in a
        # graph.
        f, g = (
            functools.partial(residual, training=training)
            for residual in (self.f, self.g)
        )
        y1 = x1 + keras.remat(lambda x: f(x))(x2)
        return y1, x2 + keras.remat(lambda x: g(x))(y1)
