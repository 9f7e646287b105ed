"""Values that leave the range in which lossless mode is exact."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.layers.fixed_point import exact_limit

OUT_OF_RANGE = "must stay below 1024 in magnitude"
each_mode = pytest.mark.parametrize("memory_saving", [True, False])


def scaled_up(factor=1e5, **overrides):
    """Return a lossless network whose last residual's output is enlarged."""
    model = cases.build("bijective", lossless=True, **overrides)
    convolution = model.get_layer("stage2").blocks[-1].residual.layers[-1]
    convolution.kernel.assign(factor * convolution.kernel)
    return model


@pytest.fixture
def images():
    return cases.on_grid(cases.digits(8)[0])


@each_mode
def test_forward_passes_raise(memory_saving, images):
    model = scaled_up(memory_saving=memory_saving)
    encoder = irevnet_tf.encoder(model)
    for run in (
        encoder,
        model,
        tf.function(encoder, autograph=False),
        lambda x: encoder.predict(x, verbose=0),
        lambda x: model(x, training=True),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=OUT_OF_RANGE):
            run(images)
    # What comes before the last residual is in range.
    irevnet_tf.encoder(model, 1)(images)


@each_mode
def test_inverses_raise(memory_saving):
    decoder = irevnet_tf.invert(scaled_up(memory_saving=memory_saving))
    z = np.random.default_rng(0).random((2, *decoder.input_shape[1:]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=OUT_OF_RANGE):
        decoder(z)


@each_mode
def test_training_raises(memory_saving, images):
    model = cases.compile(scaled_up(memory_saving=memory_saving))
    with pytest.raises(tf.errors.InvalidArgumentError, match=OUT_OF_RANGE):
        model.fit(images, cases.digits(8)[1], verbose=0)


def test_an_exported_network_raises(images, tmp_path):
    irevnet_tf.encoder(scaled_up()).export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match=OUT_OF_RANGE):
        loaded.serve(images)


def test_compiled_networks_return_nan_for_that_image(images):
    """XLA has no errors."""
    model = cases.build("bijective", lossless=True)
    encoder = irevnet_tf.encoder(model)
    compiled = tf.function(encoder, jit_compile=True, autograph=False)
    expected = compiled(images).numpy()
    images[3] = 2000
    expected[3] = np.nan
    np.testing.assert_array_equal(compiled(images), expected)


@each_mode
@pytest.mark.parametrize("training", [True, False])
def test_compiled_stages_return_nan_for_that_image(memory_saving, training):
    # One stream of the second image leaves the range, between the blocks.
    layer = _shifts(1000.0, -1000.0, memory_saving=memory_saving)
    x = tf.constant([[0.0] * 4, [100.0] * 4]), tf.zeros((2, 4))
    y = tf.function(layer, jit_compile=True)(x, training=training)
    z = tf.zeros((2, 4)), tf.constant([[0.0] * 4, [100.0] * 4])
    back = tf.function(layer.inverse, jit_compile=True)(z)
    for stream in (*y, *back):
        np.testing.assert_array_equal(np.isnan(stream[:, 0]), [False, True])


@each_mode
def test_every_block_is_checked(memory_saving):
    """Not only what comes out of the last."""
    layer = _shifts(3000.0, 0.0, -3000.0, memory_saving=memory_saving)
    x = tf.zeros((2, 4)), tf.zeros((2, 4))
    y = tf.constant([[0.0] * 4]), tf.constant([[0.0] * 4])
    for run in (layer, layer.inverse):
        with pytest.raises(tf.errors.InvalidArgumentError, match=OUT_OF_RANGE):
            run(x if run is layer else y)


@pytest.mark.parametrize("value", [1025.0, -1025.0, np.inf, np.nan])
def test_images_out_of_range(value, images):
    images[5, 2, 3, 1] = value
    encoder = irevnet_tf.encoder(cases.build("bijective", lossless=True))
    with pytest.raises(tf.errors.InvalidArgumentError, match=OUT_OF_RANGE):
        encoder(images)


def test_message_names_the_largest_magnitude():
    layer = _shifts(3000.0)
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"Received: fraction_bits=14, largest magnitude=\D*3000",
    ):
        layer((tf.zeros((2, 4)), tf.zeros((2, 4))))


def test_everything_below_the_limit_is_exact():
    limit = exact_limit("float32", 14)
    step = 2.0**-14
    layer = _shifts(limit / 2)
    x = tf.constant([[0.0, step, 1.0, limit / 2 - step]])
    y = layer((x, x))
    np.testing.assert_array_equal(y[1], x + limit / 2)
    np.testing.assert_array_equal(layer.inverse(y)[0], x)
    # The sum of the second is rounded to the limit itself.
    for value in (limit / 2, limit / 2 + step):
        with pytest.raises(tf.errors.InvalidArgumentError, match=OUT_OF_RANGE):
            layer((tf.fill((1, 4), value), x))


def test_fewer_fraction_bits_widen_the_range(images):
    model = scaled_up(fraction_bits=4)
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    x = cases.on_grid(images, 4)
    z = encoder(x)
    assert np.abs(z).max() > 1024
    np.testing.assert_array_equal(decoder(z), x)


def test_ordinary_networks_have_no_range(images):
    model = cases.build("bijective")
    assert np.isfinite(irevnet_tf.encoder(model)(images * 1e6)).all()


def _shifts(*values, memory_saving=True):
    """Return a sequence of blocks each of which adds a constant."""
    blocks = []
    for value in values:
        residual = keras.layers.Dense(
            4,
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(value),
        )
        blocks.append(layers.AdditiveCoupling(residual, fraction_bits=14))
    return layers.ReversibleSequence(blocks, memory_saving=memory_saving)
