"""Small networks and data for the studies."""

import functools

import cases
import foreign
import keras
import numpy as np

import irevnet_tf
from irevnet_tf import analysis
from irevnet_tf import layers

SHAPE = (8, 8, 3)


def images(count=3, shape=SHAPE, seed=0):
    values = np.random.default_rng(seed).uniform(size=(count, *shape))
    return np.rint(values * 255).astype("float32") / np.float32(255)


def labelled(classes=3, each=8, shape=SHAPE, seed=0):
    """Return images whose colours tell their classes, and the labels."""
    labels = np.repeat(np.arange(classes), each)
    noise = 0.1 * images(len(labels), shape, seed)
    colours = np.eye(classes, shape[-1])
    x = noise + 0.7 * colours[labels][:, None, None]
    return x.astype("float32"), labels


def irevnet(family="bijective", shape=SHAPE, **kwargs):
    """Return a network whose statistics have seen images."""
    kwargs = {"classes": 3, **kwargs}
    if "input_tensor" not in kwargs:
        kwargs["input_shape"] = shape
    if shape[-1] == 1 and "bijective" in family:
        kwargs["channels"] = (8, 32)
    arguments = {**cases.FAMILIES[family], **kwargs}
    model = irevnet_tf.IRevNet(**arguments)
    # As much as ten steps with these images would move them, in one.
    norms = [x for x in model._flatten_layers() if hasattr(x, "momentum")]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum **= 10
    model(
        images(16, [x or 8 for x in model.inputs[0].shape[1:]]), training=True
    )
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model


def residual(channels):
    return keras.layers.Conv2D(channels, 3, padding="same", activation="tanh")


def by_hand(shape=SHAPE, fraction_bits=None, coupling=None, more=(), **kwargs):
    """Return a network of layers, without a head."""
    image = x = keras.Input(shape)
    if fraction_bits is not None:
        x = layers.FixedPointRounding(fraction_bits)(x)
    x = layers.InvertibleDownsampling(2)(x)
    for layer in more:
        x = layer(x)
    half = x.shape[-1] // 2
    coupling = coupling or functools.partial(
        layers.AdditiveCoupling, fraction_bits=fraction_bits
    )
    streams = layers.ChannelSplit()(x)
    streams = layers.ReversibleSequence(
        [coupling(residual(half), **kwargs) for _ in range(2)], name="blocks"
    )(streams)
    return keras.Model(image, layers.ChannelMerge()(streams))


def affine():
    def coupling(residual):
        doubled = keras.layers.Conv2D(2 * residual.filters, 3, padding="same")
        return foreign.AffineCoupling(doubled)

    return by_hand(coupling=coupling)


def bare_couplings():
    """Return a network without a ReversibleSequence."""
    image = keras.Input(SHAPE)
    streams = layers.ChannelSplit()(layers.InvertibleDownsampling(2)(image))
    for _ in range(2):
        streams = layers.AdditiveCoupling(residual(6))(streams)
    return keras.Model(image, layers.ChannelMerge(name="merged")(streams))


def psi_only(fraction_bits=None):
    image = x = keras.Input(SHAPE)
    if fraction_bits is not None:
        x = layers.FixedPointRounding(fraction_bits)(x)
    return keras.Model(image, layers.InvertibleDownsampling(2)(x))


def nested(**kwargs):
    base = irevnet("injective", include_top=False, pooling="avg", **kwargs)
    return keras.Sequential([base, keras.layers.Dense(3, "softmax")])


def extended():
    base = irevnet(include_top=False)
    x = keras.layers.GlobalMaxPooling2D()(base.output)
    return keras.Model(base.input, keras.layers.Dense(3)(x))


def augmented():
    """Return a network behind a layer that does nothing in inference."""
    base = irevnet(include_top=False, pooling="avg")
    parts = keras.layers.RandomFlip(), base, keras.layers.Dense(3, "softmax")
    return keras.Sequential([keras.Input(SHAPE), *parts])


def rescaled():
    """Return a network whose images another layer has computed."""
    image = keras.Input(SHAPE)
    scaled = keras.layers.Rescaling(0.5, offset=0.1)(image)
    return irevnet(input_tensor=scaled, include_top=False)


# name: (constructor, whether it classifies)
MODELS = {
    "bijective": (irevnet, True),
    "injective": (lambda: irevnet("injective"), True),
    "lossless": (lambda: irevnet("injective", lossless=True), True),
    "any size": (lambda: irevnet(shape=(None, None, 3)), True),
    "gray": (lambda: irevnet(shape=(8, 8, 1)), True),
    "headless": (lambda: irevnet(include_top=False), False),
    "nested": (nested, True),
    "nested lossless": (lambda: nested(lossless=True), True),
    "extended": (extended, True),
    "augmented": (augmented, True),
    "rescaled": (rescaled, False),
    "by hand": (by_hand, False),
    "by hand, lossless": (lambda: by_hand(fraction_bits=14), False),
    "foreign layers": (
        lambda: by_hand(more=[foreign.ActNorm(), foreign.Convolution1x1()]),
        False,
    ),
    "affine": (affine, False),
    "bare couplings": (bare_couplings, False),
    "psi only": (psi_only, False),
}

# Every study with the smallest arguments, of a model and labelled images.
STUDIES = {
    "inversion": lambda model, x, y, **kw: analysis.inversion(
        model, x[:3], photographs=x[3:5], noise_images=2, **kw
    ),
    "spectrum": lambda model, x, y, **kw: analysis.spectrum(
        model, x[:1], window=4, **kw
    ),
    "interpolation": lambda model, x, y, **kw: analysis.interpolation(
        model, x[:2], x[-2:], steps=3, **kw
    ),
    "separation": lambda model, x, y, **kw: analysis.separation(
        model, x, y, x, y, train_size=12, draws=2, **kw
    ),
    "dimensionality": lambda model, x, y, **kw: analysis.dimensionality(
        model, x, y, x, y, **kw
    ),
    "metamers": lambda model, x, y, **kw: analysis.metamers(
        model, x[:1], x[-1:], **kw
    ),
    "depth_gallery": lambda model, x, y, **kw: analysis.depth_gallery(
        model, x, x[:2], **kw
    ),
}
