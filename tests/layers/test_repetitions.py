"""Blocks of several kinds that take turns, and what one loop stands for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf.layers.repetitions import repetition


@pytest.mark.parametrize(
    "kinds,expected",
    [
        ("a", (1, 1)),
        ("ab", (1, 1)),
        ("aab", (1, 2)),
        ("abab", (2, 2)),
        ("ababac", (2, 2)),
        ("aaaa", (1, 4)),
        ("aabaab", (3, 2)),
        ("abcdabcd", (4, 2)),
        ("baaa", (1, 1)),
    ],
)
def test_the_run_that_repeats_for_the_longest(kinds, expected):
    assert repetition(kinds, lambda length: True) == expected


def test_runs_that_do_not_fit_are_left_out():
    assert repetition("aaaa", lambda length: length > 1) == (2, 2)
    assert repetition("abab", lambda length: length > 2) == (1, 1)
    assert repetition("abab", lambda length: True, longest=1) == (1, 1)


def _attention():
    inputs = keras.Input((8, 16))
    x = keras.layers.LayerNormalization()(inputs)
    return keras.Model(inputs, keras.layers.MultiHeadAttention(2, 8)(x, x))


def _mlp():
    return keras.Sequential(
        [
            keras.layers.LayerNormalization(),
            keras.layers.Dense(32, "gelu"),
            keras.layers.Dense(16),
        ]
    )


def _gradients(layer):
    x = tf.random.stateless_normal((2, 8, 16), (1, 2))
    x = tf.round(x * 2**14) * 2**-14

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y1, y2 = layer((x, 2 * x), training=True)
            loss = tf.reduce_sum(y1**2 + tf.sin(y2))
        sources = [x, *(v.value for v in layer.trainable_variables)]
        return tape.gradient(loss, sources)

    return gradients


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_lossless_gradients_of_attention_and_mlp_in_turns(policy):
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    try:
        blocks = [
            layers.reversible_block(_attention(), _mlp(), fraction_bits=14)
            for _ in range(3)
        ]
    finally:
        keras.config.set_dtype_policy("float32")
    layer = layers.ReversibleSequence(blocks)
    x = tf.zeros((2, 8, 16))
    layer((x, x))
    saving = _gradients(layer)()
    layer.memory_saving = False
    for found, expected in zip(saving, _gradients(layer)(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["Erfc", "Softmax", "Erf", "While"])
def test_lossless_graphs_of_blocks_in_turns_do_not_grow(kind):
    counts = []
    for depth in (2, 4):
        layer = layers.ReversibleSequence(
            [
                layers.reversible_block(_attention(), _mlp(), fraction_bits=14)
                for _ in range(depth)
            ]
        )
        layer.build(((2, 8, 16), (2, 8, 16)))
        graph = _gradients(layer).get_concrete_function().graph.as_graph_def()
        nodes = [
            *graph.node,
            *(n for f in graph.library.function for n in f.node_def),
        ]
        counts.append(sum(kind in node.op for node in nodes))
    assert counts[0] == counts[1]
