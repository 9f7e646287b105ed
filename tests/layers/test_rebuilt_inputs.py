"""Streams that explode are noticed, once, with a number and a remedy."""

import warnings

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers

CHANNELS = 4
EXPLODES = 60  # So many convolutions on random images.


def _chain(depth, **kwargs):
    keras.utils.set_random_seed(0)
    blocks = [
        layers.AdditiveCoupling(
            keras.layers.Conv2D(CHANNELS, 3, padding="same"),
            fraction_bits=kwargs.get("bits"),
        )
        for _ in range(depth)
    ]
    kwargs.pop("bits", None)
    return layers.ReversibleSequence(blocks, name="streams", **kwargs)


def _model(depth, size=(8, 8), **kwargs):
    image = keras.Input((*size, 2 * CHANNELS))
    streams = _chain(depth, **kwargs)(layers.ChannelSplit()(image))
    merged = layers.ChannelMerge()(streams)
    pooled = keras.layers.GlobalAveragePooling2D()(merged)
    model = keras.Model(image, keras.layers.Dense(2)(pooled))
    model.compile(keras.optimizers.SGD(1e-30), "mse")
    return model


def _data(count=8):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, 8, 8, 2 * CHANNELS)).astype("float32")
    return images, np.zeros((count, 2), "float32")


@pytest.mark.parametrize(
    ("size", "eager"),
    [((8, 8), False), ((None, None), False), ((8, 8), True)],
    ids=str,
)
def test_fit_warns_once_with_the_number_and_the_remedy(eager, size):
    model = _model(EXPLODES, size)
    model.run_eagerly = eager
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*_data(), batch_size=2, epochs=2, verbose=0)
    found = [x for x in caught if x.category is layers.RebuiltInputsWarning]
    assert len(found) == 1
    message = str(found[0].message)
    assert "streams rebuilds" in message
    assert "`fraction_bits`" in message and "Normalise" in message
    assert float(message.split("=")[-1]) > 1


def test_after_compile_it_is_told_again():
    model = _model(EXPLODES)
    for _ in range(2):
        model.compile(keras.optimizers.SGD(1e-30), "mse")
        with pytest.warns(layers.RebuiltInputsWarning):
            model.fit(*_data(4), verbose=0)


def test_one_warning_for_all_sequences_of_a_model():
    image = keras.Input((8, 8, 2 * CHANNELS))
    streams = layers.ChannelSplit()(image)
    streams = _chain(EXPLODES)(streams)
    streams = layers.ReversibleSequence(_chain(EXPLODES).blocks)(streams)
    merged = layers.ChannelMerge()(streams)
    model = keras.Model(image, keras.layers.GlobalMaxPooling2D()(merged))
    model.compile(keras.optimizers.SGD(1e-38), "mse")
    images, _ = _data(4)
    with pytest.warns(layers.RebuiltInputsWarning) as caught:
        model.fit(images, np.zeros((4, 2 * CHANNELS)), verbose=0)
    assert len(caught) == 1


@pytest.mark.parametrize("eager", [False, True])
def test_an_error_by_choice(eager):
    model = _model(EXPLODES, on_drift="raise")
    model.run_eagerly = eager
    with pytest.raises(tf.errors.InvalidArgumentError, match="streams rebuil"):
        model.fit(*_data(4), verbose=0)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"on_drift": "ignore"},
        {"memory_saving": False},
        {"bits": 4},
    ],
    ids=str,
)
def test_silence(kwargs):
    """Warnings are errors here."""
    depth = 20 if "bits" in kwargs else EXPLODES
    _model(depth, **kwargs).fit(*_data(4), verbose=0)


def test_networks_that_do_not_explode_are_not_blamed():
    _model(10).fit(*_data(4), verbose=0)


def test_a_diverged_network_is_not_blamed():
    model = _model(3, on_drift="raise")
    images, targets = _data(4)
    model.fit(images * np.inf, targets, verbose=0)


def test_compiled_by_xla_there_is_no_check():
    layer = _chain(EXPLODES)
    pair = tf.split(_data(4)[0], 2, -1)
    layer(pair)

    @tf.function(jit_compile=True, autograph=False)
    def step():
        with tf.GradientTape() as tape:
            y1, y2 = layer(pair, training=True)
            loss = tf.reduce_mean(y1) + tf.reduce_mean(y2)
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    step()


def test_the_number_goes_with_the_error_of_the_gradient():
    """Below the limit, gradients are those of plain training to 1e-3."""
    depth, gradients = 20, []
    layer = _chain(depth, on_drift="raise")
    pair = tf.split(_data()[0], 2, -1)
    layer(pair)
    for layer.memory_saving in (True, False):

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                y1, y2 = layer(pair, training=True)
                loss = tf.reduce_mean(y1**2) + tf.reduce_mean(tf.sin(y2))
            weights = [v.value for v in layer.trainable_variables]
            return tape.gradient(loss, weights)

        gradients.append(step())
    error = cases.relative_error(*gradients)
    assert 1e-6 < error < 1e-3


def test_impossible_action():
    with pytest.raises(ValueError, match="`on_drift`.*Received: on_drift='no'"):
        _chain(1, on_drift="no")


def test_the_choice_is_kept_by_files(tmp_path):
    model = _model(2, on_drift="raise")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("streams").on_drift == "raise"
