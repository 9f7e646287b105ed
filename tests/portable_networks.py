"""Small networks with weights as training leaves them, made portable."""

import functools

import keras
import numpy as np

import irevnet_tf

CLASSES = 5
# Every way in which layers are put together.
NETWORKS = {
    "injective": {
        "blocks": (2, 1),
        "strides": (1, 2),
        "channels": (8, 32),
        "initial_downsampling": 1,
        "bottleneck_ratio": 1,
        "input_shape": (8, 8, 3),
    },
    "bijective": {
        "blocks": (2, 1),
        "strides": (2, 2),
        "channels": (24, 96),
        "initial_downsampling": 2,
        "input_shape": (8, 16, 3),
    },
    # With few inputs, all weights of a channel can be even, or zero.
    "kernels_of_1": {
        "blocks": (2, 1),
        "strides": (2, 1),
        "channels": (24, 24),
        "initial_downsampling": 2,
        "kernel_sizes": (1, 1, 1),
        "input_shape": (8, 8, 3),
    },
    "padded_twice": {
        "blocks": (1, 2),
        "strides": (1, 1),
        "channels": (32, 48),
        "initial_downsampling": 4,
        "kernel_sizes": (1, 3, 1),
        "input_shape": (8, 8, 3),
    },
    "gray": {
        "blocks": (2, 1),
        "strides": (1, 2),
        "channels": (8, 32),
        "initial_downsampling": 1,
        "bottleneck_ratio": 2,
        "input_shape": (12, 8, 1),
    },
}


def network(name, seed=0, **overrides):
    """Return an ordinary network, whose BatchNorms are as if trained."""
    keras.utils.set_random_seed(seed)
    arguments = {"classes": CLASSES, "classifier_activation": None}
    arguments |= NETWORKS[name] | overrides
    return trained_looking(irevnet_tf.IRevNet(**arguments), seed)


def trained_looking(model, seed=0):
    """Give BatchNorms all that was seen in trained networks.

    Channels that are turned around, constant, always on or always off, and
    variances of 0, where gammas are tiny; and kernels whose channels died.
    """
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            kind = rng.integers(0, 12, size)
            gamma = rng.normal(1.0, 0.3, size) * np.where(kind == 0, -1, 1)
            gamma = np.where(kind == 1, 0.0, gamma)
            gamma = np.where(kind == 2, 1e-12, gamma)
            gamma = np.where(kind == 3, 1e-3, gamma)
            beta = rng.normal(0.0, 0.3, size)
            beta = np.where(kind == 4, 20.0, np.where(kind == 5, -20.0, beta))
            variance = rng.uniform(0.3, 2.0, size)
            layer.gamma.assign(gamma)
            layer.beta.assign(beta)
            layer.moving_mean.assign(rng.normal(0.0, 0.3, size))
            layer.moving_variance.assign(np.where(kind == 3, 0.0, variance))
        elif isinstance(layer, keras.layers.Conv2D):
            kernel = layer.kernel.numpy()
            layer.kernel.assign(kernel * (rng.random(kernel.shape[-1]) > 0.1))
    return model


def images(shape, count=32, seed=0):
    """Return random images in [0, 1], with zeros of both signs."""
    x = np.random.default_rng(seed).random((count, *shape), "float32")
    x[:, 0], x[:, 1] = 0.0, -0.0
    return x


@functools.cache
def _made(name, overrides, options):
    overrides, options = dict(overrides), dict(options)
    model = network(name, **overrides)
    x = images(model.input_shape[1:])
    return irevnet_tf.portable(model, x, verbose=0, **options)


def portable(name="injective", overrides=(), **options):
    """Return the portable network of one of `NETWORKS`, a new one each time.

    Args:
        name: str. A key of `NETWORKS`.
        overrides: dict. Arguments of `IRevNet`.
        **options: keyword arguments. Those of `irevnet_tf.portable`.
    """
    pairs = (tuple(dict(x).items()) for x in (overrides, options))
    made = _made(name, *pairs)
    copy = keras.models.clone_model(made)
    copy.set_weights(made.get_weights())
    return copy


def residuals(model):
    """Return {place: residual} of all blocks, as certificates name them."""
    return {
        f"{layer.name}/{block.name}": block.residual
        for layer in model.layers
        for block in getattr(layer, "blocks", ())
    }


def bits(values):
    """Return the bits of float32 values, which tell 0 from -0."""
    return np.asarray(values, "float32").view("int32")
