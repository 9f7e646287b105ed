"""Reversible transformer blocks in Keras: ours, plain, `keras.remat`."""

import functools

import keras
import numpy as np
import tensorflow as tf
import transformers

import irevnet_tf
from irevnet_tf.layers import AttentionResidual
from irevnet_tf.layers import MLPResidual
from irevnet_tf.layers import PatchEmbedding
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
    return lambda: [float(model.train_on_batch(images, labels))]


def network(mode, depth, width, heads, fraction_bits=None, foreign=False):
    """Return the Keras model with the weights of `transformers`."""
    if mode == "remat" or foreign:
        model, residuals = by_hand(mode, depth, width, heads, foreign)
    else:
        lossless = {"lossless": True, "fraction_bits": fraction_bits}
        model = irevnet_tf.RevViT(
            depth,
            width,
            heads,
            patch_size=transformers.PATCH,
            mlp_ratio=transformers.MLP_RATIO,
            pool_first=True,
            norm_epsilons=(
                transformers.ATTENTION_EPSILON,
                transformers.EPSILON,
                transformers.EPSILON,
            ),
            memory_saving=mode == "memory saving",
            input_shape=transformers.IMAGE,
            classes=transformers.CLASSES,
            classifier_activation=None,
            **(lossless if fraction_bits is not None else {}),
        )
        blocks = model.get_layer("stage1").blocks
        residuals = [block.residual for block in blocks]
    for variable in model.trainable_variables:
        if variable.name in ("beta", "bias"):
            variable.assign(tf.zeros(variable.shape))
    ends = transformers.ends(width)
    model.get_layer("stem").kernel.assign(ends["patches"])
    position = model.get_layer("stem").position
    position.assign(ends["positions"].reshape(position.shape))
    model.get_layer("predictions").kernel.assign(ends["classifier"])
    kernels = transformers.blocks(depth, width)
    for f, g, of_block in zip(
        residuals[::2], residuals[1::2], kernels, strict=True
    ):
        _set(f, of_block, ("query", "key", "value", "output"))
        _set(g, of_block, ("expand", "reduce"))
    return model


def by_hand(mode, depth, width, heads, foreign):
    """Return the model with `keras.remat`, or with residuals of users."""
    attention, mlp = AttentionResidual, MLPResidual
    if foreign:
        attention, mlp = ForeignAttention, ForeignMLP
    residuals = []
    for _ in range(depth):
        residuals += [
            attention(width, heads, epsilon=transformers.ATTENTION_EPSILON),
            mlp(
                width,
                transformers.MLP_RATIO * width,
                epsilon=transformers.EPSILON,
            ),
        ]
    pairs = list(zip(residuals[::2], residuals[1::2], strict=True))
    image = keras.Input(transformers.IMAGE)
    x = PatchEmbedding(width, transformers.PATCH, name="stem")(image)
    streams = x, x
    if mode == "remat":
        for f, g in pairs:
            streams = RematBlock(f, g)(streams)
    else:
        streams = irevnet_tf.layers.ReversibleSequence(
            [irevnet_tf.layers.reversible_block(f, g) for f, g in pairs],
            memory_saving=mode == "memory saving",
        )(streams)
    x = keras.layers.Concatenate()(streams)
    x = keras.layers.GlobalAveragePooling1D()(x)
    x = keras.layers.LayerNormalization(epsilon=transformers.EPSILON)(x)
    x = keras.layers.Dense(transformers.CLASSES, name="predictions")(x)
    return keras.Model(image, x), residuals


def _set(residual, kernels, names):
    variables = (v for v in residual.variables if v.name == "kernel")
    for variable, name in zip(variables, names, strict=True):
        variable.assign(kernels[name].reshape(variable.shape))


class ForeignAttention(AttentionResidual):
    """A class that the package does not know."""


class ForeignMLP(MLPResidual):
    """A class that the package does not know."""


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
