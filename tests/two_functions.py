"""Blocks of two functions, as people write transformers and residual nets."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf import layers

TOKENS, IMAGES = (5, 4), (4, 4, 4)


@keras.saving.register_keras_serializable(package="tests")
class SelfAttention(keras.layers.Layer):
    """LayerNormalization, then attention of the sequence to itself."""

    def __init__(self, dropout=0.0, causal=False, window=None, **kwargs):
        super().__init__(**kwargs)
        self.dropout, self.causal, self.window = dropout, causal, window
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6)
        self.attention = keras.layers.MultiHeadAttention(2, 3, dropout=dropout)

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.attention.build(input_shape, input_shape)

    def call(self, inputs, training=None):
        mask = None
        if self.window is not None:
            place = tf.range(tf.shape(inputs)[1])
            mask = tf.abs(place[:, None] - place) <= self.window
        x = self.norm(inputs)
        return self.attention(
            x,
            x,
            attention_mask=mask if mask is None else mask[None],
            use_causal_mask=self.causal,
            training=training,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "dropout": self.dropout,
            "causal": self.causal,
            "window": self.window,
        }


@keras.saving.register_keras_serializable(package="tests")
class DropPath(keras.layers.Layer):
    """Leaves the whole branch out, for some examples of a batch."""

    def __init__(self, rate=0.5, generator=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = generator or keras.random.SeedGenerator()

    def call(self, inputs, training=None):
        if not training:
            return inputs
        shape = [tf.shape(inputs)[0]] + [1] * (inputs.shape.rank - 1)
        draw = keras.random.uniform(shape, seed=self.seed_generator)
        kept = tf.cast(draw >= self.rate, inputs.dtype)
        return inputs * kept * (1 / (1 - self.rate))

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


def mlp(activation="gelu", dropout=0.0):
    return keras.Sequential(
        [
            keras.layers.LayerNormalization(epsilon=1e-6),
            keras.layers.Dense(8, activation=activation),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(4),
        ]
    )


def convolution():
    return keras.Sequential(
        [
            keras.layers.GroupNormalization(2),
            keras.layers.ReLU(),
            keras.layers.Conv2D(4, 3, padding="same"),
        ]
    )


def _dropping(branch, path):
    return keras.Sequential([branch, path])


def _noise_shape():
    return keras.layers.Dropout(0.5, noise_shape=(None, 1, 1))


# name: (constructor of the pair F, G, shape of an example)
BLOCKS = {
    "transformer": (lambda: (SelfAttention(), mlp()), TOKENS),
    "dropout": (lambda: (SelfAttention(0.3), mlp("relu", 0.3)), TOKENS),
    "causal": (lambda: (SelfAttention(causal=True), mlp()), TOKENS),
    "window": (lambda: (SelfAttention(window=1), mlp("relu")), TOKENS),
    "convolution": (lambda: (convolution(), convolution()), IMAGES),
    "drop_path": (
        lambda: (
            _dropping(SelfAttention(), DropPath()),
            _dropping(mlp(), DropPath()),
        ),
        TOKENS,
    ),
    "noise_shape": (
        lambda: (
            _dropping(SelfAttention(), _noise_shape()),
            _dropping(mlp(), _noise_shape()),
        ),
        TOKENS,
    ),
}


def chain(name, count=2, *, memory_saving=True, **kwargs):
    """Return a sequence of blocks, each of two functions."""
    create, _ = BLOCKS[name]
    return layers.ReversibleSequence(
        [layers.reversible_block(*create(), **kwargs) for _ in range(count)],
        memory_saving=memory_saving,
        name="blocks",
    )


def pair(name, batch=4, fraction_bits=14):
    """Return random streams, which are on the grid of lossless blocks."""
    _, shape = BLOCKS[name]
    rng = np.random.default_rng(0)
    scale = 2.0**fraction_bits
    return tuple(
        tf.constant(
            np.round(rng.normal(size=(batch, *shape)) * scale) / scale,
            "float32",
        )
        for _ in "ab"
    )


def network(name, count=2, *, fraction_bits=None, classes=None, **kwargs):
    """Return a model of tokens or images with a chain of such blocks."""
    *places, channels = BLOCKS[name][1]
    inputs = x = keras.Input((*places, 2 * channels))
    if fraction_bits is not None:
        x = layers.FixedPointRounding(fraction_bits)(x)
    streams = layers.ChannelSplit()(x)
    streams = chain(name, count, fraction_bits=fraction_bits, **kwargs)(streams)
    x = layers.ChannelMerge()(streams)
    if classes is not None:
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(classes, activation="softmax")(x)
    return keras.Model(inputs, x)
