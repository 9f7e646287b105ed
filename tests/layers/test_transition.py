"""RevNet's residual function of two convolutions, and its transitions."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers


def transition(**kwargs):
    return layers.StreamTransition(
        layers.BasicResidual(6, stride=2, name="f"),
        layers.BasicResidual(6, name="g"),
        [layers.PooledShortcut(6, 2), keras.layers.Conv2D(6, 1, strides=2)],
        **kwargs,
    )


@pytest.mark.parametrize("preactivation", [True, False])
def test_basic_residual_by_hand(preactivation):
    residual = layers.BasicResidual(
        5, stride=2, dropout_rate=0.5, preactivation=preactivation
    )
    x = cases.random_input((None, 7, 6, 3))
    assert residual.compute_output_shape((2, 7, 6, 3)) == (2, 4, 3, 5)
    found = residual(x)
    cases.stir(residual)
    found = residual(x)
    kernels = [v for v in residual.weights if v.name == "kernel"]
    assert [k.shape for k in kernels] == [(3, 3, 3, 5), (3, 3, 5, 5)]
    norms = [
        layer
        for layer in residual.layers
        if isinstance(layer, layers.BatchNormalization)
    ]
    if preactivation:
        x = tf.nn.relu(norms.pop(0)(x))
    x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    x = tf.nn.conv2d(x, kernels[0].value, 2, "VALID")
    x = tf.nn.relu(norms.pop(0)(x))
    x = tf.nn.conv2d(x, kernels[1].value, 1, "SAME")
    assert not norms
    np.testing.assert_allclose(found, x, rtol=1e-4, atol=1e-5)


def test_basic_residual_drops_in_front_of_the_second_convolution():
    residual = layers.BasicResidual(5, dropout_rate=0.25)
    names = [layer.__class__.__name__ for layer in residual.layers]
    assert names[-2:] == ["Dropout", "Conv2D"]
    assert residual.layers[-2].rate == 0.25


def test_shortcut_averages_and_pads_both_ends():
    x = tf.reshape(tf.range(9.0), (1, 3, 3, 1))
    y = layers.PooledShortcut(4, stride=2)(x)
    np.testing.assert_array_equal(y[0, :, :, 1], [[2.0, 3.5], [6.5, 8.0]])
    np.testing.assert_array_equal(y[..., 0], tf.zeros((1, 2, 2)))
    np.testing.assert_array_equal(y[..., 2:], tf.zeros((1, 2, 2, 2)))
    shape = layers.PooledShortcut(4, stride=2).compute_output_shape(
        (None, None, 3, 1)
    )
    assert shape == (None, None, 2, 4)
    same = layers.PooledShortcut(1)(x)
    np.testing.assert_array_equal(same, x)


@pytest.mark.parametrize("policy", cases.POLICIES)
def test_transition_by_hand_in_every_precision(policy):
    keras.config.set_dtype_policy(policy)
    layer = transition()
    x = cases.random_input((None, 5, 6, 8))
    y = layer(x)
    assert y.shape == layer.compute_output_shape(x.shape) == (2, 3, 3, 12)
    assert y.dtype == tf.float32
    x1, x2 = tf.split(x, 2, -1)
    first, second = layer.shortcuts
    y1 = first(x1) + tf.cast(layer.f(x2), "float32")
    y2 = tf.cast(second(x2), "float32") + tf.cast(layer.g(y1), "float32")
    np.testing.assert_array_equal(y, tf.concat((y1, y2), -1))
    assert layer.f(x2).dtype == keras.config.dtype_policy().compute_dtype


def test_transition_keeps_what_was_changed_on_its_parts():
    layer = transition(name="own")
    x = cases.random_input((None, 6, 6, 8))
    layer(x)
    layer.f.layers[0].momentum = 0.5
    layer.g.trainable = False
    layer.shortcuts[1].trainable = False
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), layer(x))
    assert again.name == "own"
    assert again.f.layers[0].momentum == 0.5
    for ours, theirs in zip(layer.weights, again.weights, strict=True):
        assert ours.trainable == theirs.trainable
    assert len(again.trainable_variables) == len(layer.trainable_variables)
    assert not again.g.trainable_variables


def test_bad_arguments():
    residual = layers.BasicResidual(6)
    shortcut = layers.PooledShortcut(6)
    with pytest.raises(ValueError, match="two layers, one for each.*Received"):
        layers.StreamTransition(residual, residual, [shortcut])
    layer = layers.StreamTransition(
        residual, layers.BasicResidual(5), [shortcut] * 2
    )
    with pytest.raises(ValueError, match="same shape. Received: .*4, 4, 5"):
        layer(tf.zeros((1, 4, 4, 8)))
    with pytest.raises(ValueError, match="even.*Received: channels=7"):
        transition()(tf.zeros((1, 4, 4, 7)))
    with pytest.raises(ValueError, match="incoming.*filters=6, channels=7"):
        layers.PooledShortcut(6)(tf.zeros((1, 4, 4, 7)))
    for make in (layers.PooledShortcut, layers.BasicResidual):
        with pytest.raises(ValueError, match="positive integer.*filters=0"):
            make(0)
        with pytest.raises(ValueError, match="positive integer.*stride=1.5"):
            make(6, stride=1.5)
