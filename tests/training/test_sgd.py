"""training.SGD and AdamW do what Keras' do, whatever users set on them.

After what was reported of optimizers elsewhere: momentum that is forgotten
between steps (keras #7502), momentum=0 (keras-adamw #43), rates that are set
between fits or by callbacks (keras #888, #9655), accumulation in mixed
precision (keras #14829), models that are compiled again (tensorflow #27120).
"""

import keras
import numpy as np
import pytest

from irevnet_tf.training import SGD
from irevnet_tf.training import AdamW

schedules = keras.optimizers.schedules
OPTIONS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "clipnorm": {"momentum": 0.9, "clipnorm": 0.01},
    "global_clipnorm": {"global_clipnorm": 0.01},
    "clipvalue": {"momentum": 0.5, "clipvalue": 1e-3},
    "weight_decay": {"momentum": 0.9, "weight_decay": 0.1},
    "average": {
        "momentum": 0.9,
        "use_ema": True,
        "ema_momentum": 0.5,
        "ema_overwrite_frequency": 2,
    },
    "accumulation": {"momentum": 0.9, "gradient_accumulation_steps": 2},
    "schedule": {
        "momentum": 0.9,
        "learning_rate": schedules.PiecewiseConstantDecay(
            [2, 4], [0.1, 0.05, 0.0]
        ),
    },
}


def trained(optimizer, *, wrap=lambda x: x, callbacks=(), later=None, **how):
    """Return the weights of a small network, trained in two calls of `fit`."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, "tanh"), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((5,)), *layers])
    x = np.random.default_rng(0).normal(size=(24, 5)).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(wrap(optimizer), loss, **how)
    for rate in (None, later):
        if rate is not None:
            model.optimizer.learning_rate = rate
        model.fit(
            x,
            np.arange(24) % 3,
            batch_size=8,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )
    return model.get_weights()


OF_ADAMW = {
    "plain": {},
    "global_clipnorm": {"global_clipnorm": 0.01},
    "weight_decay": {"weight_decay": 0.1, "learning_rate": 0.01},
    "accumulation": {"gradient_accumulation_steps": 2},
}


def require_equal(
    options, kinds=(SGD, keras.optimizers.SGD), rate=0.1, **kwargs
):
    ours, theirs = (
        trained(kind(**{"learning_rate": rate, **options}), **kwargs)
        for kind in kinds
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    require_equal(OPTIONS[name])


@pytest.mark.parametrize("name", OF_ADAMW)
def test_options_of_adamw(name):
    kinds = AdamW, keras.optimizers.AdamW
    require_equal(OF_ADAMW[name], kinds, rate=1e-3)


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_gradients_are_clipped_by_their_norm_over_all_weights(kind):
    few = 1e-6  # So little that all gradients have this norm.
    # Adam's steps do not depend on the size of gradients, but for epsilon.
    more = {"epsilon": 1e-3} if kind is AdamW else {}
    start = trained(kind(0.0))
    free, clipped = (
        trained(kind(0.1, clip_norm=norm, **more)) for norm in (0.0, few)
    )
    moved = [
        np.sqrt(
            sum(np.sum((a - b) ** 2) for a, b in zip(x, start, strict=True))
        )
        for x in (free, clipped)
    ]
    assert moved[1] < 1e-2 * moved[0]
    copy = kind.from_config(kind(0.1, clip_norm=few).get_config())
    assert copy.clip_norm == few


WAYS = {
    "eagerly": {"run_eagerly": True},
    "three steps at a time": {"steps_per_execution": 3},
    "XLA": {"jit_compile": True},
    "loss scale": {"wrap": keras.optimizers.LossScaleOptimizer},
    "another rate later": {"later": 0.01},
    "no rate later": {"later": 0.0},
    "rates by a callback": {
        "callbacks": [
            keras.callbacks.LearningRateScheduler(lambda e, rate: 0.1 / 2**e)
        ]
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_train(way):
    require_equal({"momentum": 0.9}, **WAYS[way])


def test_a_model_is_compiled_again():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    x = np.ones((8, 5), "float32")
    for optimizer in (SGD(0.1), SGD(0.1, momentum=0.9), "adam", SGD(0.1)):
        model.compile(optimizer, "mse")
        before = model.get_weights()[0]
        model.fit(x, np.zeros((8, 3)), verbose=0)
        assert np.any(model.get_weights()[0] != before)
