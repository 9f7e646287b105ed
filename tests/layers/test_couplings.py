"""An open set of couplings: a user's own, beside the package's."""

import cases
import foreign
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers

PAIR = tuple(foreign.image((4, 6, 6, 3), seed) for seed in (1, 2))


def _residual(channels):
    return keras.Sequential(
        [
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Conv2D(channels, 3, padding="same"),
        ]
    )


def _affine():
    return foreign.AffineCoupling(_residual(6))


def _rescaled():
    return foreign.RescaledAffineCoupling(_residual(6))


def _subtractive():
    return foreign.SubtractiveCoupling(_residual(3))


def _additive():
    return layers.AdditiveCoupling(_residual(3))


MIXES = {
    "affine": [_affine, _affine, _affine],
    "own weight": [_rescaled, _rescaled],
    "subtractive": [_subtractive, _subtractive],
    "mixed": [_additive, _subtractive, _affine, _additive],
}
each_mix = pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())


def _step(layer, eager):
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(PAIR)
            y1, y2 = layer(PAIR, training=True)
            loss = tf.reduce_mean(tf.sin(y1)) + tf.reduce_mean(y2**2)
        weights = [v.value for v in layer.trainable_variables]
        return loss, tape.gradient(loss, [*PAIR, *weights])

    return gradients() if eager else tf.function(gradients, autograph=False)()


@each_mix
@pytest.mark.parametrize("eager", [True, False])
def test_gradients_and_state_are_those_of_plain_training(mix, eager):
    layer = layers.ReversibleSequence([create() for create in mix])
    layer(PAIR)
    start = [v.numpy() for v in layer.variables]
    results = []
    for layer.memory_saving in (True, False):
        for variable, value in zip(layer.variables, start, strict=True):
            variable.assign(value)
        loss, gradients = _step(layer, eager)
        assert all(g is not None for g in gradients)
        state = [v.numpy() for v in layer.non_trainable_variables]
        results.append((loss, gradients, state))
    (loss, gradients, state), (plain_loss, plain_gradients, plain) = results
    np.testing.assert_allclose(loss, plain_loss, rtol=1e-6)
    assert cases.relative_error(gradients, plain_gradients) < 1e-5
    for ours, theirs in zip(state, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@each_mix
def test_the_inverse_is_the_inverse(mix):
    layer = layers.ReversibleSequence([create() for create in mix])
    y = layer(PAIR)
    assert cases.relative_error(layer.inverse(y), PAIR) < 1e-5
    plain = layers.ReversibleSequence(layer.blocks, memory_saving=False)
    assert cases.relative_error(plain(PAIR), y) < 1e-6


def _network(mix):
    image = keras.Input((6, 6, 6))
    streams = layers.ChannelSplit()(image)
    streams = layers.ReversibleSequence(
        [create() for create in mix], name="blocks"
    )(streams)
    return keras.Model(image, layers.ChannelMerge()(streams))


@each_mix
def test_networks_are_trained_saved_inverted_and_exported(mix, tmp_path):
    model = _network(mix)
    model.compile("sgd", "mse")
    x = foreign.image((8, 6, 6, 6))
    model.fit(x, x, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    z = model(x)
    np.testing.assert_array_equal(loaded(x), z)
    assert cases.relative_error(irevnet_tf.invert(loaded)(z), x) < 1e-5
    point = "blocks_block1"
    found = irevnet_tf.features(model, [point])(x)[point]
    assert cases.relative_error(irevnet_tf.invert(model, point)(found), x) < (
        1e-5
    )
    first = model.get_layer("blocks").blocks[0]
    expected = tf.concat(first(tf.split(x, 2, -1)), -1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    path = irevnet_tf.export_saved_model(
        model, tmp_path / "export", preprocessing="unit"
    )
    signatures = tf.saved_model.load(str(path)).signatures
    images = tf.round(127 + 30 * x)
    found = signatures["forward"](images=images)["features"]
    np.testing.assert_allclose(found, model(images / 255), atol=1e-5)
    back = signatures["inverse"](features=found)["images"]
    assert cases.relative_error(back, images) < 1e-5


def test_a_subclass_computes_as_itself_beside_its_base():
    """With F = 1: the streams tell which coupling was run."""

    def one():
        return keras.layers.Dense(
            1, kernel_initializer="zeros", bias_initializer="ones"
        )

    blocks = [
        layers.AdditiveCoupling(one()),
        foreign.SubtractiveCoupling(one()),
    ]
    zeros = tf.zeros((1, 1)), tf.zeros((1, 1))
    for memory_saving in (True, False):
        layer = layers.ReversibleSequence(blocks, memory_saving=memory_saving)
        run = tf.function(layer, autograph=False)
        for y in (layer(zeros), run(zeros, training=True)):
            assert [float(x[0, 0]) for x in y] == [1.0, -1.0]


def test_alone_in_a_graph_a_coupling_is_followed():
    image = keras.Input((6, 6, 6))
    coupling = foreign.SubtractiveCoupling(_residual(3), name="own")
    streams = coupling(layers.ChannelSplit()(image))
    model = keras.Model(image, layers.ChannelMerge(name="end")(streams))
    x = foreign.image((2, 6, 6, 6))
    z = irevnet_tf.features(model, ["end"])(x)["end"]
    np.testing.assert_allclose(z, model(x), rtol=1e-6)
    assert cases.relative_error(irevnet_tf.invert(model)(z), x) < 1e-5


def test_lossless_is_refused_where_sums_are_not_exact():
    with pytest.raises(ValueError, match="can be lossless.*Affine.*Received"):
        foreign.AffineCoupling(keras.layers.Dense(8), fraction_bits=14)
    coupling = foreign.SubtractiveCoupling(
        keras.layers.Dense(3), fraction_bits=14
    )
    assert coupling.fraction_bits == 14
