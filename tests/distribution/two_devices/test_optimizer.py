"""The optimizer of irevnet-train on two mirrored replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf.training import RunConfig
from irevnet_tf.training import compile_model
from irevnet_tf.training.optimizer import averaged_weights
from irevnet_tf.training.schedule import Length

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = np.eye(3, dtype="float32")[np.arange(32) % 3]


def fitted(strategy, config, x=X, size=16):
    """Weights and their averages after an epoch of batches of `size`."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        compile_model(model, config, Length(2, 120, config.accumulation_steps))
        data = tf.data.Dataset.from_tensor_slices((x, Y)).batch(size)
        model.fit(data, shuffle=False, verbose=0)
        with averaged_weights(model):
            averages = model.get_weights()
    return model.get_weights() + averages


@pytest.mark.parametrize(
    ("parts", "precision"), [(1, "float32"), (2, "mixed_float16")]
)
def test_two_replicas_take_the_steps_of_one(strategy, parts, precision):
    """With decay, clipping of the sum, averages and accumulated parts."""
    config = RunConfig(
        batch_size=16,
        accumulation_steps=parts,
        warmup_epochs=0,
        clip_norm=0.1,
        ema_decay=0.9,
        mixed_precision=precision,
    )
    two = fitted(strategy, config, size=16 // parts)
    one = fitted(tf.distribute.get_strategy(), config, size=16 // parts)
    for a, b in zip(two, one, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_overflow_on_one_replica_skips_the_step_on_both(strategy):
    config = RunConfig(mixed_precision="mixed_float16", warmup_epochs=0)
    x = X.copy()
    # Of the first batch, what the second replica gets.
    x[8:16] = np.inf
    for value in fitted(strategy, config, x):
        assert np.all(np.isfinite(value))
