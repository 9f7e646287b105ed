"""Memory-saving training on two mirrored replicas against plain training."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf
import two_functions

from irevnet_tf import distribution
from irevnet_tf import layers
from irevnet_tf.evaluation import Evaluator

IMAGES, LABELS = cases.digits(16)
# Enough for rounding errors to come back to the first block.
BLOCKS = (3, 1)


@pytest.fixture(scope="module")
def weights():
    model = cases.build("injective_dropout", blocks=BLOCKS)
    return cases.stir(model).get_weights()


def gradients_of_a_step(strategy, weights, policy="float32", **kwargs):
    """Return what one step of SGD with rate 1 takes off the weights.

    Also returns the moving statistics behind it.
    """
    keras.config.set_dtype_policy(policy)
    with strategy.scope():
        model = cases.build("injective_dropout", blocks=BLOCKS, **kwargs)
        model.set_weights(weights)
        model.compile(keras.optimizers.SGD(1.0), cases.LOSS)
        seeds = [v for v in model.variables if "seed" in v.path]
        for seed in seeds:
            seed.assign([7, 0])
        data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(16)
        before = [v.numpy() for v in model.trainable_variables]
        model.fit(data, shuffle=False, verbose=0)
    after = [v.numpy() for v in model.trainable_variables]
    statistics = [v.numpy() for v in model.non_trainable_variables]
    return [a - b for a, b in zip(before, after, strict=True)], statistics


def test_gradients(strategy, weights):
    saving, plain = (
        gradients_of_a_step(strategy, weights, memory_saving=memory_saving)
        for memory_saving in (True, False)
    )
    assert cases.relative_error(saving[0], plain[0]) < cases.GRADIENTS
    assert cases.relative_error(saving[1], plain[1]) < 1e-5


def test_lossless_gradients(strategy, weights):
    """Equal to the last bit, in half precision, too."""
    results = [
        gradients_of_a_step(
            strategy,
            weights,
            "mixed_float16",
            memory_saving=memory_saving,
            lossless=True,
        )
        for memory_saving in (True, False)
    ]
    for saving, plain in zip(*map(tf.nest.flatten, results), strict=True):
        np.testing.assert_array_equal(saving, plain)


@pytest.mark.parametrize("fraction_bits", [None, 14])
def test_blocks_of_two_functions(strategy, fraction_bits):
    """Attention with dropout, and seeds that each replica has its own of."""

    def train(memory_saving):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = two_functions.network(
                "dropout",
                1,
                classes=3,
                fraction_bits=fraction_bits,
                memory_saving=memory_saving,
            )
            model.compile(keras.optimizers.SGD(0.1), cases.LOSS)
        x = tf.concat(two_functions.pair("dropout", batch=8), -1)
        data = tf.data.Dataset.from_tensor_slices((x, np.arange(8) % 3))
        model.fit(data.batch(8), epochs=2, shuffle=False, verbose=0)
        return [v.numpy() for v in model.variables]

    saving, plain = train(True), train(False)
    if fraction_bits is None:
        assert cases.relative_error(saving, plain) < 1e-5
    else:
        for ours, theirs in zip(saving, plain, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_synchronized_batch_norm(strategy):
    """Its exchange between replicas cannot happen in a traced function."""

    def step(memory_saving):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            blocks = []
            for _ in range(3):
                norm = keras.layers.BatchNormalization(synchronized=True)
                convolution = keras.layers.Conv2D(3, 3, padding="same")
                residual = keras.Sequential([norm, convolution])
                blocks.append(layers.AdditiveCoupling(residual))
            inputs = keras.Input((8, 8, 6))
            x = layers.ChannelSplit()(inputs)
            x = layers.ReversibleSequence(blocks, memory_saving=memory_saving)(
                x
            )
            x = layers.ChannelMerge()(x)
            x = keras.layers.GlobalAveragePooling2D()(x)
            model = keras.Model(inputs, keras.layers.Dense(4)(x))
            model.compile(keras.optimizers.SGD(1.0), "mse")
            x = tf.random.stateless_normal((16, 8, 8, 6), (1, 2))
            y = tf.random.stateless_normal((16, 4), (3, 4))
            data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
            model.fit(data, epochs=2, shuffle=False, verbose=0)
        return [v.numpy() for v in model.weights]

    assert cases.relative_error(step(True), step(False)) < 1e-5


def train_synchronized(strategy, **kwargs):
    """Return all variables after a few steps with synchronized BatchNorm."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = cases.build("injective", blocks=(2, 1), **kwargs)
        distribution.synchronize_batch_norm(model)
        # Off ReLU's kink, where constant channels of a new network lie: there
        # the last bit decides on whether a gradient passes.
        for variable in model.trainable_variables:
            if variable.name == "beta":
                variable.assign(keras.random.normal(variable.shape, seed=1))
        cases.compile(model)
        data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(16)
        model.fit(data, epochs=3, shuffle=False, verbose=0)
    return [v.numpy() for v in model.weights]


def test_synchronized_replicas_equal_one_replica(strategy):
    """Of an ordinary network, ../test_distribution.py compares them.

    In double precision, where rounding cannot hide a mistake.

    In float32, the gradients of a trained network's step differ by 4e-6, or
    1e-3 if it is lossless, as sums in another order fall on another grid point.
    """
    keras.config.set_dtype_policy("float64")
    two, one = (
        train_synchronized(one_or_two, lossless=True)
        for one_or_two in (strategy, tf.distribute.get_strategy())
    )
    assert cases.relative_error(two, one) < 1e-12


def replica_values(strategy, variable):
    return [
        v.numpy() for v in strategy.experimental_local_results(variable.value)
    ]


def test_statistics_are_averaged(strategy):
    with strategy.scope():
        model = cases.build("injective_dropout", blocks=(1, 1))
        cases.compile(model)
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(16)
    model.fit(data, shuffle=False, verbose=0)
    moving = [v for v in model.variables if "moving" in v.path]
    others = [v for v in model.variables if "moving" not in v.path]
    assert moving
    assert any("seed" in v.path for v in others)
    before, kept = (
        [replica_values(strategy, v) for v in variables]
        for variables in (moving, others)
    )
    assert not all(np.array_equal(*values) for values in before)
    distribution.average_statistics(model)
    for variable, (first, second) in zip(moving, before, strict=True):
        for value in replica_values(strategy, variable):
            np.testing.assert_array_equal(value, (first + second) / 2)
    for variable, values in zip(others, kept, strict=True):
        np.testing.assert_array_equal(
            replica_values(strategy, variable), values
        )


def test_plain_arrays_are_evaluated_once(strategy):
    with strategy.scope():
        model = cases.build("injective")
    images, labels = IMAGES, np.asarray(LABELS)
    one_hot = np.eye(model.output_shape[-1])[labels]
    found = Evaluator(model).measure([(images, one_hot, np.ones(len(images)))])
    assert found.images == len(images)
    outputs = model(images, training=False)
    assert found.correct == np.sum(np.argmax(outputs, axis=-1) == labels)
