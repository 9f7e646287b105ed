"""Which blocks share traced functions, and what a block may hold."""

import gc

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf.layers import memory_saving as passes
from irevnet_tf.layers.block_functions import BlockFunctions
from irevnet_tf.layers.downsampling import psi


@pytest.fixture
def made(monkeypatch):
    """Return the list of all `BlockFunctions` that are made."""
    found = []

    class Recorded(BlockFunctions):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            found.append(self)

    monkeypatch.setattr(passes, "BlockFunctions", Recorded)
    return found


def test_blocks_of_one_kind_share_one_trace(made):
    # Frozen in turns, so that no two alike follow each other.
    layer = _sequence_of_dense(6)
    for block in layer.blocks[::2]:
        block.trainable = False
    _gradient_graph(layer)
    assert len(made) == 2
    for functions in made:
        count = functions.backward.experimental_get_tracing_count()
        assert count == 1


def _sequence_of_dense(depth):
    blocks = [
        layers.AdditiveCoupling(keras.layers.Dense(6, activation="tanh"))
        for _ in range(depth)
    ]
    layer = layers.ReversibleSequence(blocks)
    layer.build(((5, 6), (5, 6)))
    return layer


def _gradient_graph(layer):
    x = tf.random.stateless_normal((5, 6), (1, 2))

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            y1, y2 = layer((x, 2 * x), training=True)
            loss = tf.reduce_sum(y1**2 + tf.sin(y2))
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    return gradients.get_concrete_function().graph.as_graph_def()


@pytest.mark.parametrize("kind", ["Tanh", "MatMul", "While", "StatelessWhile"])
def test_a_deeper_sequence_has_no_more_operations(kind):
    counts = []
    for depth in (3, 9):
        graph = _gradient_graph(_sequence_of_dense(depth))
        nodes = [
            *graph.node,
            *(n for f in graph.library.function for n in f.node_def),
        ]
        counts.append(sum(node.op == kind for node in nodes))
    assert counts[0] == counts[1]


def _functional():
    inputs = keras.Input((6,))
    x = keras.layers.Dense(12, activation="tanh")(inputs)
    x = keras.layers.LayerNormalization()(x)
    return keras.Model(inputs, keras.layers.Dense(6)(x))


@pytest.mark.parametrize("eager", [True, False])
def test_residuals_of_any_kind_with_names_of_their_own(eager, made):
    x = tf.random.stateless_normal((5, 6), (1, 2))
    blocks = [layers.AdditiveCoupling(_functional()) for _ in range(4)]
    layer = layers.ReversibleSequence(blocks)
    layer((x, x))

    def gradients():
        with tf.GradientTape() as tape:
            y1, y2 = layer((x, 2 * x))
            loss = tf.reduce_sum(y1**2 + tf.sin(y2))
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    results = []
    for layer.memory_saving in (True, False):
        step = gradients if eager else tf.function(gradients, autograph=False)
        results.append(step())
    assert cases.relative_error(*results) < 1e-5
    assert eager or len(made) == 1


class Shuffle(keras.layers.Layer):
    """Permutes channels by a seed that is configuration, not state."""

    def __init__(self, seed, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def call(self, inputs):
        order = np.random.default_rng(self.seed).permutation(6)
        return tf.gather(inputs, order, axis=-1)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def _named_like_their_function():
    return [
        keras.layers.Activation("relu", name="relu"),
        keras.layers.Activation("tanh", name="tanh"),
    ]


def _functions_of_one_name():
    def scale(factor):
        def function(x):
            return factor * x

        return function

    return [keras.layers.Activation(scale(factor)) for factor in (2.0, -3.0)]


def _seeds_as_configuration():
    return [Shuffle(seed) for seed in (1, 2, 3)]


def _changed_afterwards():
    residuals = [layers.BottleneckResidual(6, 1, (1, 1, 1), 2) for _ in "ab"]
    residuals[1].layers[0].epsilon = 0.5
    return residuals


@pytest.mark.parametrize(
    "create",
    [
        _named_like_their_function,
        _functions_of_one_name,
        _seeds_as_configuration,
        _changed_afterwards,
    ],
)
def test_blocks_that_compute_differently_share_nothing(create):
    residuals = create()
    x = tf.random.stateless_normal((2, 4, 4, 6), (1, 2))
    outputs = []
    for memory_saving in (True, False):
        layer = layers.ReversibleSequence(
            [layers.AdditiveCoupling(residual) for residual in residuals],
            memory_saving=memory_saving,
        )
        run = tf.function(layer, autograph=False)
        outputs.append(run((x, 2 * x), training=True))
    assert cases.relative_error(*outputs) < 1e-6


def _step(layer, pair):
    def gradients():
        with tf.GradientTape() as tape:
            y1, y2 = layer(pair, training=True)
            loss = tf.reduce_sum(tf.sin(y1) + y2**2)
        weights = [v for x in layer.blocks for v in x.trainable_variables]
        return tape.gradient(loss, [v.value for v in weights])

    return tf.function(gradients, autograph=False)()


@pytest.mark.parametrize("change", ["changed", "replaced"])
def test_traces_do_not_outlive_the_block_that_they_were_made_of(change):
    """Later graphs may have other shapes, and are traced anew."""

    def residual():
        return layers.BottleneckResidual(6, 1, (1, 1, 1), 2)

    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(residual()) for _ in range(3)]
    )
    small, large = (
        (tf.random.stateless_normal((2, size, size, 6), (1, size)),) * 2
        for size in (4, 5)
    )
    layer.build([tuple(small[0].shape)] * 2)
    _step(layer, small)
    if change == "changed":
        layer.blocks[0].residual.layers[0].epsilon = 0.5
    else:
        layer.blocks[0] = layers.AdditiveCoupling(residual())
        layer.blocks[0].build([tuple(small[0].shape)] * 2)
        gc.collect()
    found = []
    for layer.memory_saving in (True, False):
        found.append(_step(layer, large))
    assert cases.relative_error(*found) < 1e-5


class Custom(keras.layers.Layer):
    """Has sublayers and `call`, and relies on Keras for the rest."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(6)

    def call(self, inputs):
        return tf.sin(self.dense(inputs))


def test_residuals_that_only_define_call():
    blocks = [layers.AdditiveCoupling(Custom()) for _ in range(3)]
    layer = layers.ReversibleSequence(blocks)
    x = tf.random.stateless_normal((2, 6), (1, 2))
    y = layer((x, 2 * x))
    assert cases.relative_error(layer.inverse(y), (x, 2 * x)) < 1e-6


def test_shared_layers_are_refused():
    dense = keras.layers.Dense(4)
    blocks = [layers.AdditiveCoupling(dense) for _ in range(2)]
    with pytest.raises(ValueError, match="must not share.*Received: .*dense"):
        layers.ReversibleSequence(blocks)


@pytest.mark.parametrize("count", [-1, 5])
def test_impossible_zero_channels(count):
    with pytest.raises(ValueError, match=f"Received: zero_channels={count}"):
        layer = layers.AdditiveCoupling(
            keras.layers.Dense(4), zero_channels=count
        )
        layer.build(((None, 4), (None, 4)))


class AddsLoss(keras.layers.Dense):
    def call(self, inputs):
        self.add_loss(tf.reduce_sum(inputs))
        return super().call(inputs)


@pytest.mark.parametrize(
    "residual",
    [keras.layers.Dense(4, activity_regularizer="l2"), AddsLoss(4)],
)
def test_losses_of_residuals_are_refused(residual):
    x = tf.ones((2, 4)), tf.ones((2, 4))
    layer = layers.ReversibleSequence([layers.AdditiveCoupling(residual)])
    layer.build([(2, 4), (2, 4)])
    with pytest.raises(ValueError, match="must not add losses.*Received"):
        tf.function(layer)(x, training=True)
    with pytest.raises(ValueError, match="must not add losses.*Received"):
        with tf.GradientTape() as tape:
            tape.watch(x)
            layer(x)
    layer.memory_saving = False
    layer(x)
    assert len(layer.losses) == 1


def test_foreign_residuals_can_be_frozen_between_steps():
    x = tf.random.stateless_normal((8, 6), (1, 2))

    class Normalized(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            # No weights to train: only the layer tells whether it is frozen.
            self.norm = keras.layers.BatchNormalization(
                center=False, scale=False
            )

        def call(self, inputs, training=None):
            return self.norm(inputs, training=training)

    outputs = []
    for memory_saving in (True, False):
        layer = layers.ReversibleSequence(
            [layers.AdditiveCoupling(Normalized())],
            memory_saving=memory_saving,
        )
        layer((x, x), training=True)
        layer.trainable = False
        outputs.append(layer((x, x), training=True))
    assert cases.relative_error(*outputs) < 1e-6


@pytest.mark.parametrize("stride", [1, 2])
def test_known_zeros_are_put_back_before_f_sees_them(stride):
    """In the inverse and in the backward pass, whatever noise is there."""
    residual = layers.BottleneckResidual(4 * stride**2, stride=stride)
    block = layers.AdditiveCoupling(residual, stride=stride, zero_channels=3)
    x1, x2, noise = (
        tf.random.stateless_normal((2, 8, 8, 4), (seed, 0))
        for seed in (1, 2, 3)
    )
    is_zero = tf.constant([0.0, 1.0, 1.0, 1.0])
    x = x1, x2 * (1 - is_zero)
    block.build([tuple(tensor.shape) for tensor in x])
    y1, y2 = block(x)
    noisy = psi(x[1] + noise * is_zero, stride), y2
    restored = block.inverse(noisy)
    assert cases.relative_error(restored, x) < 1e-6
    np.testing.assert_array_equal(restored[1], x[1])

    functions = BlockFunctions(block, traced=False)
    weights = [v.value for v in residual.trainable_variables]
    state = [v.value for v in residual.non_trainable_variables]
    dy = tf.ones_like(y1), tf.sin(y2)
    results = [
        functions.backward(outputs, dy, weights, state, True)
        for outputs in ((y1, y2), noisy)
    ]
    for clean, result in zip(*map(tf.nest.flatten, results), strict=True):
        np.testing.assert_array_equal(clean, result)


def test_residual_of_the_wrong_shape():
    coupling = layers.AdditiveCoupling(keras.layers.Dense(5))
    with pytest.raises(ValueError, match=r"needs.*4.*Received: .*5"):
        coupling.build(((None, 4), (None, 4)))
    with pytest.raises(ValueError, match="Keras layer. Received: residual=7"):
        layers.AdditiveCoupling(7)
    with pytest.raises(ValueError, match="non-empty list.*Received"):
        layers.ReversibleSequence([])
    with pytest.raises(ValueError, match="method `inverse`. Received"):
        layers.Inverse(keras.layers.Dense(3))


@pytest.mark.parametrize("streams", [(0,), (1,), (0, 1)])
def test_sparse_gradients_of_outputs(streams):
    layer = _sequence_of_dense(3)
    x = tf.random.stateless_normal((5, 6), (1, 2))

    def gradients():
        with tf.GradientTape() as tape:
            y = layer((x, 2 * x), training=True)
            loss = sum(tf.reduce_sum(tf.gather(y[i], [0, 2])) for i in streams)
        weights = [v.value for v in layer.trainable_variables]
        return tape.gradient(loss, weights, unconnected_gradients="zero")

    results = []
    for layer.memory_saving in (True, False):
        results.append(tf.function(gradients, autograph=False)())
    assert cases.relative_error(*results) < 1e-5


def test_streams_whose_shapes_swap():
    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(keras.layers.Permute((2, 1))) for _ in "ab"]
    )
    x = tf.ones((5, 4, 6)), tf.ones((5, 6, 4))

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = sum(map(tf.reduce_sum, layer(x, training=True)))
        return tape.gradient(loss, x)

    for dx, expected in zip(gradients(), (2, 3), strict=True):
        np.testing.assert_array_equal(dx, expected * tf.ones_like(dx))


@pytest.mark.parametrize("depth", [1, 3])
def test_second_derivatives_with_batch_norm(depth):
    layer = layers.ReversibleSequence(
        [
            layers.AdditiveCoupling(layers.BatchNormalization())
            for _ in range(depth)
        ]
    )
    x = [tf.random.stateless_normal((4, 3, 5, 3), (1, i)) for i in range(2)]

    @tf.function(autograph=False)
    def derivatives():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y1, y2 = layer(x, training=True)
                loss = tf.reduce_sum(tf.sin(y1) + y2**3)
            first = inner.gradient(loss, x)
            total = tf.reduce_sum(tf.sin(first[0]) + tf.cos(first[1]))
        return outer.gradient(total, x)

    layer(x)
    results = []
    for layer.memory_saving in (True, False):
        results.append(tf.function(derivatives.python_function)())
    assert cases.relative_error(*results) < 1e-4
