"""BatchNorm's statistics, against NumPy in double precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf.layers.normalization import BatchNormalization


@pytest.mark.parametrize("axis", [-1, 1])
def test_statistics_of_channels_that_hardly_vary(axis):
    # A standard deviation far below the mean, as behind padding.
    values = np.random.default_rng(0).normal(0.1, 1e-4, (32, 32, 32, 3))
    layer = BatchNormalization(axis=axis, momentum=0.0, epsilon=1e-12)
    values = values.astype("float32")
    inputs = values.transpose(0, 3, 1, 2) if axis == 1 else values
    layer(inputs, training=True)
    exact = values.astype("float64")
    mean, variance = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=3e-7)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("training", [False, True])
def test_agrees_with_keras(axis, training):
    x = tf.random.stateless_normal((4, 3, 5, 3), (1, 2))
    ours = BatchNormalization(axis=axis)
    theirs = keras.layers.BatchNormalization(axis=axis)
    results = []
    for layer in (ours, theirs):
        layer.build(x.shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.sin(y))
        results.append([y, tape.gradient(loss, x), *layer.weights])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_masks_are_left_to_keras():
    x = tf.random.stateless_normal((2, 5, 3), (1, 2))
    mask = tf.constant([[True] * 3 + [False] * 2] * 2)
    ours, theirs = BatchNormalization(), keras.layers.BatchNormalization()
    a, b = (layer(x, training=True, mask=mask) for layer in (ours, theirs))
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_synchronization_of_one_replica_changes_nothing():
    x = tf.random.stateless_normal((4, 3, 5, 3), (1, 2))
    a, b = (
        BatchNormalization(synchronized=synchronized)(x, training=True)
        for synchronized in (False, True)
    )
    np.testing.assert_array_equal(a, b)


class NormalizedTwice(keras.layers.Layer):
    """Uses one BatchNorm for two different tensors."""

    def __init__(self):
        super().__init__()
        self.norm = BatchNormalization()

    def build(self, shape):
        self.norm.build(shape)

    def call(self, inputs, training=None):
        once = self.norm(inputs, training=training)
        return self.norm(tf.square(once), training=training)


@pytest.mark.parametrize(
    "residual", [BatchNormalization, NormalizedTwice], ids=["once", "twice"]
)
@pytest.mark.parametrize("graph", [False, True])
def test_gradients_in_a_sequence_are_those_of_plain_training(residual, graph):
    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(residual()) for _ in range(3)]
    )
    x = [tf.random.stateless_normal((4, 3, 5, 3), (1, i)) for i in range(2)]
    layer(x)
    before = [v.numpy() for v in layer.variables]
    results = []
    for layer.memory_saving in (True, False):
        for variable, value in zip(layer.variables, before, strict=True):
            variable.assign(value)

        def gradients():
            weights = [v.value for v in layer.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.concat(layer(x, training=True), -1)
                loss = tf.reduce_sum(tf.sin(y))
            return tape.gradient(loss, [*x, *weights])

        run = tf.function(gradients, autograph=False) if graph else gradients
        results.append([*run(), *layer.non_trainable_variables])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
