"""Lossless mode: every bit comes back, or there is an error."""

import json
import os
import pathlib
import platform
import subprocess
import sys

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port

import irevnet_tf
from irevnet_tf import layers

each_family = pytest.mark.parametrize("family", cases.INFERENCE_FAMILIES)


@pytest.fixture
def images():
    return cases.on_grid(cases.digits(32)[0])


@pytest.fixture
def trained(trained_weights):
    """Return a function that builds a lossless network of trained weights.

    They come from ordinary training, as a user's existing ones would.
    """

    def get(family, **overrides):
        model = cases.build(family, lossless=True, **overrides)
        model.set_weights(trained_weights(family))
        return model

    return get


def eager(encoder, decoder):
    return encoder, decoder


def predict(encoder, decoder):
    def of(model):
        return lambda x: model.predict(x, batch_size=32, verbose=0)

    return of(encoder), of(decoder)


def jit(encoder, decoder):
    return (
        tf.function(encoder, jit_compile=True, autograph=False),
        tf.function(decoder, jit_compile=True, autograph=False),
    )


# Exports are in tests/export. XLA takes long: with kernels of 1x1, and with
# padding at both places.
each_way_and_family = pytest.mark.parametrize(
    ("way", "family"),
    [
        *((eager, family) for family in cases.INFERENCE_FAMILIES),
        *((predict, family) for family in ("bijective", "injective_twice")),
        *((jit, family) for family in ("bijective_1x1", "injective_twice")),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)


def assert_exact(model, images, point=None, way=eager):
    """Check both round trips, from images and from representations."""
    encode, decode = way(
        irevnet_tf.encoder(model, point), irevnet_tf.invert(model, point)
    )
    z = encode(images)
    restored = decode(z)
    np.testing.assert_array_equal(restored, images)
    np.testing.assert_array_equal(encode(restored), z)


@each_way_and_family
def test_trained_network_is_exact(family, way, images, trained):
    assert_exact(trained(family), images, way=way)


@pytest.mark.parametrize(
    ("family", "policy", "memory_saving"),
    [
        ("bijective", "float32", False),
        ("bijective", "mixed_bfloat16", True),
        ("bijective_1x1", "float32", True),
        ("bijective_1x1", "mixed_float16", True),
        ("injective", "float32", True),
        ("injective", "mixed_bfloat16", False),
        ("injective", "mixed_float16", True),
        ("injective_twice", "float32", False),
        ("injective_twice", "mixed_bfloat16", True),
    ],
)
def test_every_stage_is_exact_under_every_policy(
    family, policy, memory_saving, images, trained
):
    keras.config.set_dtype_policy(policy)
    model = trained(family, memory_saving=memory_saving)
    for stage in (1, 2):
        assert_exact(model, images, stage)


@each_family
def test_fresh_network_is_exact(family, images):
    assert_exact(cases.build(family, lossless=True), images)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_under_xla(policy, images, trained):
    keras.config.set_dtype_policy(policy)
    model = trained("injective_dropout")
    assert_exact(model, images, way=jit)


@pytest.mark.skipif(
    # It knows the variable TF_ENABLE_ONEDNN_OPTS and TensorFlow's default.
    not _pywrap_util_port.IsMklEnabled(),
    reason="TensorFlow computes without oneDNN",
)
@each_family
def test_batches_of_any_size_agree(family, images, trained):
    model = trained(family)
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)

    def in_batches(of, function, x):
        parts = [function(x[i : i + of]) for i in range(0, len(x), of)]
        return np.concatenate(parts)

    # Of small batches a few.
    counts = {1: 9, 3: 9, 32: 32}
    for forward, count in counts.items():
        z = in_batches(forward, encoder, images[:count])
        for inverse, count in counts.items():
            restored = in_batches(inverse, decoder, z[:count])
            np.testing.assert_array_equal(restored, images[: len(restored)])


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="TensorFlow has other kernels without oneDNN here",
)
@pytest.mark.parametrize("threads", [1, 2])
def test_batches_without_onednn(threads):
    """Of one size, or by one thread of any size, they go there and back."""
    script = pathlib.Path(__file__).parents[1] / "lossless_batches.py"
    result = subprocess.run(
        [sys.executable, script, str(threads), "64"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
    )
    found = json.loads(result.stdout)
    assert len(found) == 9
    for forward, inverse, lost in found:
        if threads == 1 or forward == inverse:
            assert not lost, f"{forward} -> {inverse}: {lost} images"


def test_single_images_agree_with_batches():
    """Of a wide 1x1 convolution, which has a kernel for single images."""
    residual = layers.BottleneckResidual(1024, kernel_sizes=(1, 1, 1))
    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(residual, fraction_bits=20)]
    )
    x = cases.random_input(((None, 5, 5, 1024),) * 2, batch=3)
    y = layer(x)
    for i in range(3):
        y1, y2 = layer([stream[i : i + 1] for stream in x])
        np.testing.assert_array_equal(y1, y[0][i : i + 1])
        np.testing.assert_array_equal(y2, y[1][i : i + 1])
        back = layer.inverse((y1, y2))
        np.testing.assert_array_equal(back[0], x[0][i : i + 1])


@pytest.mark.parametrize("family", ["bijective", "bijective_1x1"])
def test_bijective_networks_give_any_representation_back(family, trained):
    model = trained(family)
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    shape = (4, *decoder.input_shape[1:])
    z = cases.on_grid(np.random.default_rng(0).normal(size=shape))
    np.testing.assert_array_equal(encoder(decoder(z)), z)


def test_images_and_representations_off_the_grid_are_rounded(images, trained):
    model = trained("bijective")
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    z = encoder(images)
    off_grid = 0.3 * 2.0**-cases.FRACTION_BITS
    np.testing.assert_array_equal(encoder(images + off_grid), z)
    np.testing.assert_array_equal(decoder(z + off_grid), images)


def test_training_mode_is_inverted_by_training_mode():
    for name in ("coupling_lossless", "sequence_lossless"):
        create, shape = cases.LAYERS[name]
        layer = create()
        x = cases.random_input(shape)
        y = layer(x, training=True)
        back = layer.inverse(y, training=True)
        np.testing.assert_array_equal(back, x)


def test_double_precision(images):
    keras.config.set_dtype_policy("float64")
    model = cases.build("injective", lossless=True, fraction_bits=40)
    noise = np.random.default_rng(0).random(images.shape) / 100
    assert_exact(model, cases.on_grid(images + noise, 40))


def own_network(entrance_bits, coupling_bits):
    image = keras.Input((8, 6))
    x = image
    if entrance_bits is not None:
        x = layers.FixedPointRounding(entrance_bits)(x)
    streams = layers.ChannelSplit()(x)
    streams = layers.ReversibleSequence(
        [
            layers.AdditiveCoupling(
                keras.layers.Dense(3, activation="tanh"),
                fraction_bits=coupling_bits,
            )
            for _ in range(10)
        ]
    )(streams)
    return keras.Model(image, layers.ChannelMerge()(streams))


def test_own_network_of_any_residual():
    x = cases.on_grid(np.random.default_rng(0).normal(size=(4, 8, 6)), 12)
    assert_exact(own_network(12, 12), x.astype("float32"))


@pytest.mark.parametrize("bits", [(None, 14), (14, None), (10, 14), (14, 10)])
def test_own_network_that_is_lossless_in_part(bits):
    model = own_network(*bits)
    for function in (irevnet_tf.encoder, irevnet_tf.invert):
        with pytest.raises(
            ValueError, match="begin with a FixedPointRounding.*Rec"
        ):
            function(model)


def test_files_keep_the_mode(images, trained, tmp_path):
    model = trained("injective_dropout", fraction_bits=13)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("fixed_point").fraction_bits == 13
    assert loaded.get_layer("stage2").fraction_bits == 13
    np.testing.assert_array_equal(loaded(images), model(images))
    assert_exact(loaded, cases.on_grid(images, 13))
    irevnet_tf.invert(loaded).save(tmp_path / "decoder.keras")
    decoder = keras.saving.load_model(tmp_path / "decoder.keras")
    z = irevnet_tf.encoder(loaded)(images)
    np.testing.assert_array_equal(decoder(z), cases.on_grid(images, 13))


@each_family
def test_weights_files_fit_both_modes(family, images, trained, tmp_path):
    path = tmp_path / "model.weights.h5"
    lossless = trained(family)
    ordinary = cases.build(family)
    for source, target in ((lossless, ordinary), (ordinary, lossless)):
        source.save_weights(path)
        target.set_weights([np.zeros(w.shape) for w in target.weights])
        target.load_weights(path)
        for a, b in zip(source.weights, target.weights, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(
        lossless(images), ordinary(images), rtol=0, atol=5e-3
    )


def test_keras_does_not_compile_what_a_call_would_not(monkeypatch, tmp_path):
    """As it does on a GPU, by itself."""
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda *_: [tf.config.PhysicalDevice("/gpu:0", "GPU")],
    )
    for lossless in (True, False):
        model = cases.build("bijective", lossless=lossless)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        parts = [irevnet_tf.encoder(loaded), irevnet_tf.invert(loaded)]
        for part in (cases.compile(loaded), *parts):
            assert part.jit_compile is not lossless


@pytest.mark.parametrize("bits", [10, 24, None])
def test_fraction_bits_of_an_ordinary_network(bits):
    message = (
        "only with `lossless` or `portable`. "
        f"Received: fraction_bits={bits}, lossless=False"
    )
    with pytest.raises(ValueError, match=message):
        cases.build("bijective", fraction_bits=bits)
    with pytest.raises(ValueError, match=message):
        irevnet_tf.IRevNet28(fraction_bits=bits)
    # The default may be named.
    cases.build("bijective", fraction_bits=14)


@pytest.mark.parametrize("bits", [-1, 24, 1.5, True, None, "14"])
def test_impossible_fraction_bits(bits):
    with pytest.raises(ValueError, match="from 0 to 23.*Received: fraction_b"):
        cases.build("bijective", lossless=True, fraction_bits=bits)
    if bits is not None:
        with pytest.raises(ValueError, match="Received: fraction_bits="):
            layers.AdditiveCoupling(keras.layers.Dense(4), fraction_bits=bits)


def test_streams_must_be_float32_or_wider():
    with pytest.raises(ValueError, match="or float64.*Received: dtype=float16"):
        layers.FixedPointRounding(4, dtype="float16")


def test_blocks_of_different_grids():
    blocks = [
        layers.AdditiveCoupling(keras.layers.Dense(4), fraction_bits=bits)
        for bits in (None, 14)
    ]
    with pytest.raises(ValueError, match="the same `fraction_bits`. Received"):
        layers.ReversibleSequence(blocks)
