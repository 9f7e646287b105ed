"""What went wrong for users of the like elsewhere, tried here.

Each test names the thread that it is modelled on.
"""

import cases
import foreign
import keras
import numpy as np
import pytest
import tensorflow as tf
import two_functions

import irevnet_tf
from irevnet_tf import layers

CHANNELS = 3
PAIR = tuple(foreign.image((4, 5, 5, CHANNELS), seed) for seed in (1, 2))


@keras.saving.register_keras_serializable(package="tests")
class DataDependentActNorm(layers.InvertibleLayer):
    """Takes scale and shift from the first batch that it is trained on."""

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.scale = self.add_weight(shape=shape, initializer="ones")
        self.shift = self.add_weight(shape=shape, initializer="zeros")
        self.is_set = self.add_weight(
            shape=(), initializer="zeros", trainable=False
        )

    def call(self, inputs, training=None):
        if training:
            axes = list(range(inputs.shape.rank - 1))
            mean, variance = tf.nn.moments(inputs, axes)
            is_new = tf.convert_to_tensor(self.is_set) == 0
            self.scale.assign(tf.where(is_new, variance**-0.5, self.scale))
            self.shift.assign(tf.where(is_new, -mean, self.shift))
            self.is_set.assign(1.0)
        return (inputs + self.shift) * self.scale

    def inverse(self, outputs):
        return outputs / self.scale - self.shift


def _gradients(layer, pair=PAIR, training=True):
    with tf.GradientTape() as tape:
        tape.watch(pair)
        y1, y2 = layer(pair, training=training)
        loss = tf.reduce_mean(tf.sin(y1)) + tf.reduce_mean(y2**2)
    weights = [v.value for v in layer.trainable_variables]
    return tape.gradient(loss, [*pair, *weights])


def _assert_as_plain(layer, run=_gradients, graph=True, tolerance=1e-5):
    """Compare results and all variables with and without memory saving."""
    if not layer.built:
        layer(PAIR)
    start = [v.numpy() for v in layer.variables]
    found = []
    for layer.memory_saving in (True, False):
        for variable, value in zip(layer.variables, start, strict=True):
            variable.assign(value)

        def step():
            return run(layer)

        step = tf.function(step, autograph=False) if graph else step
        found.append((step(), [v.numpy() for v in layer.variables]))
    (ours, variables), (plain, expected) = found
    assert cases.relative_error(ours, plain) < tolerance
    for a, b in zip(variables, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def _sequence(create, count=3, **kwargs):
    blocks = [layers.AdditiveCoupling(create()) for _ in range(count)]
    return layers.ReversibleSequence(blocks, **kwargs)


def _conv(**kwargs):
    return keras.layers.Conv2D(CHANNELS, 3, padding="same", **kwargs)


each_mode = pytest.mark.parametrize("graph", [True, False])


def test_actnorm_is_not_initialised_again_after_loading(tmp_path):
    """vislearn/FrEIA#33, bayesiains/nflows#4, rosinality/glow-pytorch#6."""
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, DataDependentActNorm()(image))
    model.compile("sgd", "mse")
    x = 3 + 2 * foreign.image((8, 8, 8, 4))
    model.fit(x, x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    other = 100 * foreign.image((8, 8, 8, 4), 1)
    loaded(other, training=True)
    np.testing.assert_array_equal(loaded(x), model(x))
    restored = irevnet_tf.invert(loaded)(loaded(x))
    assert cases.relative_error(restored, x) < 1e-5


@each_mode
def test_actnorm_inside_of_a_residual(graph):
    def residual():
        return keras.Sequential([_conv(), DataDependentActNorm()])

    _assert_as_plain(_sequence(residual), graph=graph)


@each_mode
def test_statistics_and_masks_of_the_backward_pass(graph):
    """silvandeleemput/memcnn#12 and #56."""

    def residual():
        return keras.Sequential(
            [
                _conv(),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.5),
                _conv(),
            ]
        )

    _assert_as_plain(_sequence(residual), graph=graph)


def test_a_relu_in_front_of_the_blocks():
    """silvandeleemput/memcnn#70: it changed its output in place."""
    layer = _sequence(_conv)

    def run(layer):
        with tf.GradientTape() as tape:
            tape.watch(PAIR)
            y1, y2 = layer([tf.nn.relu(x) for x in PAIR], training=True)
            loss = tf.reduce_sum(y1 * y2)
        return tape.gradient(loss, PAIR)

    _assert_as_plain(layer, run)


class DictOfLayers(keras.layers.Layer):
    """keras-team/keras#18398: lists and dicts are not tracked."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = {"a": [_conv()], "b": _conv()}

    def call(self, inputs):
        return self.parts["b"](tf.nn.relu(self.parts["a"][0](inputs)))


def test_layers_in_dicts_are_trained_and_in_checkpoints(tmp_path):
    layer = _sequence(DictOfLayers)
    _assert_as_plain(layer)
    assert len(layer.weights) == 12
    checkpoint = tf.train.Checkpoint(layer=layer)
    path = checkpoint.save(str(tmp_path / "one"))
    expected = [v.numpy() for v in layer.weights]
    for variable in layer.weights:
        variable.assign(tf.zeros_like(variable))
    checkpoint.restore(path).assert_consumed()
    for variable, value in zip(layer.weights, expected, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("training", [True, False])
def test_spectral_normalization_gets_its_gradient(training):
    """pytorch/pytorch#12737: in evaluation it had none."""
    layer = _sequence(lambda: keras.layers.SpectralNormalization(_conv()))

    def run(layer):
        gradients = _gradients(layer, training=training)
        assert all(g is not None for g in gradients)
        return gradients

    _assert_as_plain(layer, run)


def test_several_steps_in_one_execution():
    """keras-team/keras#21207: rematerialisation broke in fit.

    Other ways to fit are in test_memory_saving.py.
    """
    weights = []
    for memory_saving in (True, False):
        keras.utils.set_random_seed(3)
        model = cases.build(
            "bijective", memory_saving=memory_saving, dropout_rate=0.3
        )
        model.compile(
            keras.optimizers.SGD(0.01), cases.LOSS, steps_per_execution=2
        )
        images, labels = cases.digits(16)
        model.fit(images, labels, batch_size=4, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert cases.relative_error(*weights) < 1e-5


def test_gradients_that_are_accumulated():
    weights = []
    for memory_saving in (True, False):
        keras.utils.set_random_seed(3)
        model = cases.build("bijective", memory_saving=memory_saving)
        optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=2)
        model.compile(optimizer, cases.LOSS)
        images, labels = cases.digits(16)
        model.fit(images, labels, batch_size=4, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert cases.relative_error(*weights) < 1e-5


def _attention(name, graph=True, tolerance=1e-5, **kwargs):
    pair = two_functions.pair(name)
    layer = two_functions.chain(name)
    layer(pair)

    def run(layer):
        return _gradients(layer, pair, **kwargs)

    _assert_as_plain(layer, run, graph, tolerance)


@each_mode
@pytest.mark.parametrize("name", ["dropout", "drop_path"])
def test_attention_draws_the_same_again(name, graph):
    """RobinBruegger/RevTorch#3, allenai/OLMo-core#828."""
    _attention(name, graph)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_attention_is_rebuilt_in_the_precision_of_the_forward_pass(policy):
    """RobinBruegger/RevTorch#15, HomebrewML/revlib#7,
    silvandeleemput/memcnn#57.

    Functions of half-precision layers met float32 weights, or were run again
    in float32.
    """
    keras.config.set_dtype_policy(policy)
    _attention("dropout", tolerance=5e-2)


@each_mode
@pytest.mark.parametrize("name", ["causal", "window"])
def test_attention_is_masked_in_both_passes(name, graph):
    """lightly-ai/lightly#2049: with recomputation, masks were ignored."""
    _attention(name, graph)


@each_mode
def test_two_losses_of_blocks_of_two_functions(graph):
    """RobinBruegger/RevTorch#7: nothing could be differentiated twice."""
    pair = two_functions.pair("dropout")
    layer = two_functions.chain("dropout")
    layer(pair)

    def run(layer):
        weights = [v.value for v in layer.trainable_variables]
        with tf.GradientTape(persistent=True) as tape:
            y1, y2 = layer(pair, training=True)
            losses = tf.reduce_mean(y1**2), tf.reduce_mean(tf.sin(y2))
        return [
            tape.gradient(loss, weights, unconnected_gradients="zero")
            for loss in losses
        ]

    _assert_as_plain(layer, run, graph)


def test_inputs_of_blocks_of_two_functions_stay_as_they_are():
    """osmr/imgclsmob#102: rebuilt inputs were written into the outputs."""
    pair = two_functions.pair("convolution")
    before = [x.numpy() for x in pair]
    layer = two_functions.chain("convolution")
    with tf.GradientTape() as tape:
        tape.watch(pair)
        outputs = layer(pair, training=True)
        loss = tf.add_n(list(map(tf.reduce_sum, outputs)))
    kept = [y.numpy() for y in outputs]
    tape.gradient(loss, pair)
    np.testing.assert_array_equal([y.numpy() for y in outputs], kept)
    np.testing.assert_array_equal([x.numpy() for x in pair], before)


@each_mode
def test_called_twice_in_a_step(graph):
    """A siamese network: statistics move twice, gradients add up."""

    def residual():
        return keras.Sequential([_conv(), keras.layers.BatchNormalization()])

    def run(layer):
        weights = [v.value for v in layer.trainable_variables]
        with tf.GradientTape() as tape:
            first = layer(PAIR, training=True)
            second = layer(PAIR[::-1], training=True)
            loss = tf.reduce_mean((first[0] - second[1]) ** 2)
        return tape.gradient(loss, weights)

    _assert_as_plain(_sequence(residual), run, graph)


@each_mode
def test_a_tape_that_is_used_twice(graph):
    def run(layer):
        weights = [v.value for v in layer.trainable_variables]
        with tf.GradientTape(persistent=True) as tape:
            y1, y2 = layer(PAIR, training=True)
            losses = tf.reduce_mean(y1**2), tf.reduce_mean(tf.sin(y2))
        # With y1 alone, nothing flows through the last residual.
        return [
            tape.gradient(loss, weights, unconnected_gradients="zero")
            for loss in losses
        ]

    _assert_as_plain(_sequence(_conv), run, graph)


def test_gradients_through_a_loop_and_a_branch():
    """Of a function's caller: the graph is differentiated by operations."""
    layer = _sequence(_conv)

    def run(layer):
        @tf.function(autograph=False)
        def inner(x1, x2):
            def twice():
                return layer(layer((x1, x2), training=True), training=True)

            return tf.cond(
                tf.reduce_sum(x1) > -1e9,
                twice,
                lambda: layer((x1, x2), training=True),
            )

        weights = [v.value for v in layer.trainable_variables]
        with tf.GradientTape() as tape:
            y1, y2 = inner(*PAIR)
            loss = tf.reduce_mean(tf.sin(y1)) + tf.reduce_mean(y2)
        return tape.gradient(loss, weights)

    _assert_as_plain(layer, run)
    _assert_as_plain(layer, run, graph=False)


def test_the_gradient_of_a_function_that_another_tape_takes():
    layer = _sequence(_conv)

    def run(layer):
        forward = tf.function(
            lambda pair: layer(pair, training=True), autograph=False
        )
        weights = [v.value for v in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(PAIR)
            y1, y2 = forward(PAIR)
            loss = tf.reduce_mean(tf.sin(y1)) + tf.reduce_mean(y2**2)
        return tape.gradient(loss, [*PAIR, *weights])

    _assert_as_plain(layer, run, graph=False)


@pytest.mark.parametrize("training", [True, False])
def test_jacobians(training):
    layer = _sequence(lambda: keras.layers.Dense(2, activation="tanh"))
    pair = tuple(foreign.image((1, 2), seed) for seed in (1, 2))

    def run(layer):
        with tf.GradientTape() as tape:
            tape.watch(pair)
            merged = tf.concat(layer(pair, training=training), -1)
        return tape.jacobian(merged, pair)

    layer(pair)
    _assert_as_plain(layer, run)


def test_weight_decay_of_all_weights_of_a_frozen_part():
    """keras-team/keras#7085: what is frozen must not move."""
    model = cases.build("injective")
    model.get_layer("stage1").trainable = False
    model.compile(keras.optimizers.AdamW(0.1), cases.LOSS)
    before = [v.numpy() for v in model.get_layer("stage1").weights]
    model.fit(*cases.digits(8), verbose=0)
    after = model.get_layer("stage1").weights
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_other_batch_sizes_and_sizes_after_training():
    model = cases.compile(cases.build("injective", input_shape=(None, None, 3)))
    model.fit(*cases.digits(10), batch_size=4, verbose=0)
    decoder, encoder = irevnet_tf.invert(model), irevnet_tf.encoder(model)
    for shape in ((1, 16, 16, 3), (5, 8, 24, 3)):
        x = np.random.default_rng(0).random(shape, "float32")
        assert cases.relative_error(decoder(encoder(x)), x) < 5e-6
