"""The rows of the conformance tables: layers and small networks."""

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers

# Networks of each kind that the builder knows, on 16 x 16 RGB images.
FAMILIES = {
    "bijective": {
        "blocks": (2, 2),
        "strides": (2, 2),
        "channels": (24, 96),
        "initial_downsampling": 2,
    },
    "bijective_1x1": {
        "blocks": (2, 1),
        "strides": (2, 1),
        "channels": (24, 24),
        "initial_downsampling": 2,
        "kernel_sizes": (1, 3, 1),
    },
    # With three blocks and more behind the padding, rounding errors come back
    # to the first block, whose F must not see them.
    "injective": {
        "blocks": (3, 2),
        "strides": (1, 2),
        "channels": (8, 32),
        "initial_downsampling": 1,
    },
    "injective_dropout": {
        "blocks": (3, 2),
        "strides": (1, 2),
        "channels": (8, 32),
        "initial_downsampling": 1,
        "dropout_rate": 0.3,
    },
    # Padding after a 4x psi, and once more in the middle.
    "injective_twice": {
        "blocks": (2, 3),
        "strides": (1, 1),
        "channels": (32, 48),
        "initial_downsampling": 4,
    },
}
IMAGE_SHAPE = (16, 16, 3)
CLASSES = 10
LOSS = "sparse_categorical_crossentropy"
# Without the one that differs from another in training only.
INFERENCE_FAMILIES = [name for name in FAMILIES if "dropout" not in name]
# Relative difference of memory-saving gradients in float32, whole gradient of
# a trained network. Mostly 1e-7 to 1e-6; 4e-5 was seen where a channel hardly
# varies and BatchNorm amplifies the rounding of rebuilt inputs 300-fold. Noise
# in an injective network's padding would make it 1 and more.
GRADIENTS = 1e-4
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")

PAIR = ((None, 8, 8, 4), (None, 8, 8, 4))
TOKENS = (None, 4, 8)


# Streams of the lossless networks are multiples of 2**-FRACTION_BITS.
FRACTION_BITS = 14


def _coupling(stride=1, dropout_rate=0.0, fraction_bits=None):
    residual = layers.BottleneckResidual(
        4 * stride**2, stride=stride, dropout_rate=dropout_rate
    )
    return layers.AdditiveCoupling(
        residual, stride=stride, fraction_bits=fraction_bits
    )


def _integer_coupling(stride=1):
    residual = layers.IntegerResidual(
        4 * stride**2,
        stride=stride,
        bottleneck_ratio=2,
        fraction_bits=FRACTION_BITS,
    )
    return layers.AdditiveCoupling(
        residual, stride=stride, fraction_bits=FRACTION_BITS
    )


def _transformer_block():
    return layers.reversible_block(
        layers.AttentionResidual(8, 2), layers.MLPResidual(8, 16)
    )


# name: (constructor, input shape or pair of shapes)
LAYERS = {
    "psi1": (lambda: layers.InvertibleDownsampling(1), (None, 8, 8, 3)),
    "psi2": (lambda: layers.InvertibleDownsampling(2), (None, 8, 8, 3)),
    "psi4": (lambda: layers.InvertibleDownsampling(4, 8), (None, 8, 8, 3)),
    "split": (layers.ChannelSplit, (None, 8, 8, 6)),
    "merge": (layers.ChannelMerge, PAIR),
    "padding": (lambda: layers.InjectivePadding(5), (None, 8, 8, 3)),
    "coupling": (_coupling, PAIR),
    "coupling_stride2": (lambda: _coupling(stride=2), PAIR),
    "coupling_dropout": (lambda: _coupling(dropout_rate=0.2), PAIR),
    "coupling_dense": (
        lambda: layers.AdditiveCoupling(keras.layers.Dense(6)),
        ((None, 6), (None, 6)),
    ),
    "copy": (layers.StreamCopy, TOKENS),
    "sequence_transformer": (_transformer_block, (TOKENS, TOKENS)),
    "sequence": (
        lambda: layers.ReversibleSequence([_coupling() for _ in range(3)]),
        PAIR,
    ),
    "sequence_plain": (
        lambda: layers.ReversibleSequence(
            [_coupling(stride=2)], memory_saving=False
        ),
        PAIR,
    ),
    "fixed_point": (
        lambda: layers.FixedPointRounding(FRACTION_BITS),
        (None, 8, 8, 3),
    ),
    "coupling_lossless": (
        lambda: _coupling(stride=2, fraction_bits=FRACTION_BITS),
        PAIR,
    ),
    "sequence_lossless": (
        lambda: layers.ReversibleSequence(
            [_coupling(fraction_bits=FRACTION_BITS) for _ in range(3)]
        ),
        PAIR,
    ),
    "coupling_integer": (lambda: _integer_coupling(stride=2), PAIR),
    "sequence_integer": (
        lambda: layers.ReversibleSequence(
            [_integer_coupling() for _ in range(3)]
        ),
        PAIR,
    ),
    "inverse_psi": (
        lambda: layers.Inverse(layers.InvertibleDownsampling(2)),
        (None, 4, 4, 12),
    ),
    "inverse_sequence": (
        lambda: layers.Inverse(layers.ReversibleSequence([_coupling()])),
        PAIR,
    ),
}

# In training mode the inverse of these draws a new mask or, being the forward
# direction of another layer, moves statistics.
STATEFUL_INVERSE = {"coupling_dropout", "inverse_sequence"}


def is_pair(shape):
    return isinstance(shape[0], tuple)


def symbolic_input(shape):
    if is_pair(shape):
        return tuple(keras.Input(one[1:]) for one in shape)
    return keras.Input(shape[1:])


def random_input(shape, batch=2):
    rng = np.random.default_rng(0)

    def one(shape):
        values = on_grid(rng.normal(size=(batch, *shape[1:])))
        return tf.constant(values, "float32")

    return tuple(map(one, shape)) if is_pair(shape) else one(shape)


def digits(count=128):
    """Return real digits as 16 x 16 RGB images in [0, 1], and their labels."""
    data = sklearn.datasets.load_digits()
    gray = (data.images[:count, ..., None] / 16).astype("float32")
    images = tf.image.resize(gray, IMAGE_SHAPE[:2]).numpy()
    tint = np.random.default_rng(0).random((count, 1, 1, 3), "float32")
    return images * tint, data.target[:count]


def on_grid(values, fraction_bits=FRACTION_BITS):
    """Round to what a lossless network can give back exactly."""
    return np.round(values * 2**fraction_bits) / 2**fraction_bits


def build(family, **overrides):
    """Build the network of a family for ten classes of small images."""
    arguments = {
        **FAMILIES[family],
        "input_shape": IMAGE_SHAPE,
        "classes": CLASSES,
        **overrides,
    }
    return irevnet_tf.IRevNet(**arguments)


def compile(model, learning_rate=0.05, **kwargs):
    model.compile(
        keras.optimizers.SGD(learning_rate, momentum=0.9),
        LOSS,
        metrics=["accuracy"],
        **kwargs,
    )
    return model


def train(family, epochs=8, **overrides):
    """Return a network that has been trained on digits for some epochs.

    The 128 steps are enough for moving variances to come down from 1 to 1e-6
    where channels are constant.
    """
    keras.utils.set_random_seed(1)
    model = compile(build(family, **overrides))
    images, labels = digits()
    model.fit(images, labels, batch_size=8, epochs=epochs, verbose=0)
    return model


def stir(model):
    """Give every BatchNorm values of its own, quicker than training does.

    Those of a fresh network do next to nothing.
    """
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
    return model


def copy_values(source, target):
    """Copy all variables, seeds of dropout included."""
    pairs = zip(source.variables, target.variables, strict=True)
    for source_variable, target_variable in pairs:
        target_variable.assign(source_variable)


def relative_error(actual, expected):
    """Return |actual - expected| / |expected| of all arrays together."""

    def flat(arrays):
        leaves = tf.nest.flatten(arrays)
        return np.concatenate(
            [np.ravel(leaf).astype("float64") for leaf in leaves]
        )

    difference = flat(actual) - flat(expected)
    return np.linalg.norm(difference) / np.linalg.norm(flat(expected))
