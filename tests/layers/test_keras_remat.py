"""What Keras' own rematerialisation does: why this package does not use it."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers


class RematCoupling(keras.layers.Layer):
    """An additive coupling that rematerialises its residual as a whole."""

    def __init__(self, residual):
        super().__init__()
        self.residual = residual

    def call(self, inputs, training=None):
        x1, x2 = inputs
        run = keras.remat(lambda x: self.residual(x, training=training))
        return x2, x1 + run(x2)


def _step(coupling):
    """Return the gradients of one training step in a graph."""
    x = [tf.random.stateless_normal((8, 4), (1, seed)) for seed in (1, 2)]
    coupling(x)

    @tf.function(autograph=False)
    def gradients():
        weights = [v.value for v in coupling.trainable_variables]
        with tf.GradientTape() as tape:
            y1, y2 = coupling(x, training=True)
            loss = tf.reduce_sum(y1 + tf.sin(y2))
        return tape.gradient(loss, weights)

    return gradients()


def _coupling(saves_by, residual):
    if saves_by == "remat":
        return RematCoupling(residual)
    return layers.ReversibleSequence([layers.AdditiveCoupling(residual)])


# How often statistics move in a step.
@pytest.mark.parametrize(
    ("saves_by", "updates"), [("remat", 2), ("inverse", 1)]
)
def test_updates_of_batch_statistics_in_a_step(saves_by, updates):
    norm = keras.layers.BatchNormalization(momentum=0.5)
    _step(_coupling(saves_by, norm))
    # From 1 towards the variance of the batch, by half of the way each time.
    variance = np.var(tf.random.stateless_normal((8, 4), (1, 2)), axis=0)
    expected = variance + (1 - variance) * 0.5**updates
    np.testing.assert_allclose(norm.moving_variance, expected, rtol=1e-4)


@pytest.mark.parametrize(("saves_by", "draws"), [("remat", 2), ("inverse", 1)])
def test_random_numbers_in_a_step(saves_by, draws):
    dropout = keras.layers.Dropout(0.5, seed=1)
    residual = keras.Sequential([keras.layers.Dense(4), dropout])
    coupling = _coupling(saves_by, residual)
    coupling([tf.zeros((8, 4))] * 2)
    before = dropout.seed_generator.state.numpy()
    _step(coupling)
    after = dropout.seed_generator.state.numpy()
    assert (after - before).sum() == draws


def test_the_scope_does_not_survive_fit():
    """keras-team/keras#21207. If this fails, Keras has repaired it: measure
    `keras.RematScope` in the benchmarks, too.
    """
    with keras.RematScope("full"):
        model = cases.build("bijective", memory_saving=False)
    cases.compile(model)
    with pytest.raises(ValueError, match="keyword"):
        model.fit(*cases.digits(8), verbose=0)
