"""Memory-saving training in lossless mode: equal to plain, bit for bit."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf.layers.block_functions import BlockFunctions

each_policy = pytest.mark.parametrize("policy", cases.POLICIES)


def _sequence(depth, memory_saving=True):
    keras.utils.set_random_seed(0)
    shape = (None, 4, 4, 4)
    layer = layers.ReversibleSequence(
        [
            layers.AdditiveCoupling(
                layers.BottleneckResidual(4, dropout_rate=0.2),
                fraction_bits=cases.FRACTION_BITS,
            )
            for _ in range(depth)
        ],
        memory_saving=memory_saving,
    )
    layer.build((shape, shape))
    x = cases.random_input((shape, shape), batch=8)
    return layer, x


@each_policy
def test_rebuilt_inputs_are_the_inputs(policy):
    keras.config.set_dtype_policy(policy)
    layer, x = _sequence(40)
    functions = BlockFunctions(layer.blocks[0])
    arguments = []
    for block in layer.blocks:
        residual = block.residual
        weights = [v.value for v in residual.trainable_variables]
        state = [v.value for v in residual.non_trainable_variables]
        arguments.append((weights, state, True))

    inputs = [x]
    for block_arguments in arguments:
        y, _ = functions.forward(inputs[-1], *block_arguments)
        inputs.append(y)
    y, dy = inputs[-1], tf.nest.map_structure(tf.sin, inputs[-1])
    for expected, block_arguments in zip(
        inputs[-2::-1], arguments[::-1], strict=True
    ):
        y, dy, _ = functions.backward(y, dy, *block_arguments)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("policy", "jit"),
    [*((policy, False) for policy in cases.POLICIES), ("float32", True)],
)
def test_gradients_are_those_of_plain_training(policy, jit):
    keras.config.set_dtype_policy(policy)

    def gradients(memory_saving):
        layer, x = _sequence(4 if jit else 8, memory_saving)
        weights = [v.value for v in layer.trainable_variables]

        @tf.function(jit_compile=jit, autograph=False)
        def step():
            with tf.GradientTape() as tape:
                tape.watch(x)
                y1, y2 = layer(x, training=True)
                loss = tf.reduce_sum(tf.sin(y1) + tf.cos(y2))
            return tape.gradient(loss, [*x, *weights])

        return step()

    for ours, plain in zip(gradients(True), gradients(False), strict=True):
        assert np.any(ours)
        np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_fit_ends_with_the_weights_of_plain_fit(policy):
    """Several steps with dropout, and what BatchNorm keeps of them."""
    keras.config.set_dtype_policy(policy)
    twins = [
        cases.build(
            "injective_dropout",
            blocks=(2, 1),
            lossless=True,
            memory_saving=memory_saving,
        )
        for memory_saving in (True, False)
    ]
    cases.copy_values(*twins)
    for model in twins:
        cases.compile(model)
        model.fit(
            *cases.digits(32),
            batch_size=8,
            epochs=4,
            shuffle=False,
            verbose=0,
        )
    for ours, plain in zip(*(m.variables for m in twins), strict=True):
        np.testing.assert_array_equal(ours, plain)
