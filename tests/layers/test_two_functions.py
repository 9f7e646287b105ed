"""Blocks of two functions: every guarantee of a sequence, and bad input."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf
import two_functions
from two_functions import BLOCKS
from two_functions import DropPath
from two_functions import SelfAttention
from two_functions import chain
from two_functions import mlp
from two_functions import network
from two_functions import pair

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf import testing

each_block = pytest.mark.parametrize("name", BLOCKS)


def _dense(units=4):
    return keras.layers.Dense(units)


def _block(**kwargs):
    return layers.reversible_block(_dense(), _dense(), **kwargs)


def test_the_formula():
    f, g = _dense(), _dense()
    x1, x2 = tf.random.normal((3, 4), seed=1), tf.random.normal((3, 4), seed=2)
    y1, y2 = layers.reversible_block(f, g)((x1, x2))
    np.testing.assert_allclose(y1, x1 + f(x2), rtol=1e-6)
    np.testing.assert_allclose(y2, x2 + g(y1), rtol=1e-6)


@each_block
def test_training_is_plain_training(name):
    report = testing.check_invertible(
        chain(name), pair(name), checks=["inverse", "gradients", "state"]
    )
    assert report, str(report)


def test_everything_else_that_is_promised():
    """Files, checkpoints, frozen parts, half precision, models and more."""
    checks = set(testing.CHECKS) - {"inverse", "gradients", "state"}
    report = testing.check_invertible(
        chain("dropout", 1), pair("dropout"), checks=sorted(checks)
    )
    assert report, str(report)


def test_convolutions_are_exported():
    report = testing.check_invertible(
        chain("convolution"),
        pair("convolution"),
        checks=["files", "checkpoint", "company", "export"],
    )
    assert report, str(report)


def _lossless_bits(name):
    return testing.check_invertible(
        chain(name, fraction_bits=14), pair(name), checks=["lossless"]
    )


@pytest.mark.parametrize("name", ["causal", "convolution"])
def test_lossless_bits(name):
    report = _lossless_bits(name)
    assert report, str(report)


@pytest.mark.usefixtures("no_arithmetic_optimization")
def test_lossless_bits_of_attention_alone_need_no_arithmetic_optimizer():
    """Where neither dropout nor a mask follows the product with the keys.

    Grappler reorders the products in the gradient of its softmax.
    """
    report = _lossless_bits("transformer")
    assert report, str(report)


def _weights_after_fit(name, policy="float32", **kwargs):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    model = network(name, classes=3, **kwargs)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9), cases.LOSS, jit_compile=False
    )
    x = tf.concat(pair(name, batch=16), -1)
    model.fit(x, np.arange(16) % 3, batch_size=8, epochs=2, verbose=0)
    return [v.numpy() for v in model.variables]


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("dropout", "float32"),
        ("convolution", "mixed_bfloat16"),
        ("window", "mixed_float16"),
    ],
)
def test_lossless_fit_ends_with_the_bits_of_plain_fit(name, policy):
    saving, plain = (
        _weights_after_fit(
            name, policy, fraction_bits=14, memory_saving=memory_saving
        )
        for memory_saving in (True, False)
    )
    for ours, theirs in zip(saving, plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("way", ["eager", "predict"])
@pytest.mark.parametrize("fraction_bits", [None, 14])
def test_a_network_is_inverted(way, fraction_bits):
    """In batches of another size, too."""
    model = network("transformer", fraction_bits=fraction_bits)
    decoder = irevnet_tf.invert(model)
    x = tf.concat(pair("transformer", batch=9), -1)
    if way == "predict":
        z = model.predict(x, batch_size=9, verbose=0)
        found = decoder.predict(z, batch_size=4, verbose=0)
    else:
        z = model(x)
        found = tf.concat([decoder(z[:1]), decoder(z[1:])], 0)
    if fraction_bits is None:
        assert cases.relative_error(found, x) < 1e-6
    else:
        np.testing.assert_array_equal(found, x)


def _gradients(layer, streams, jit=None):
    def step():
        with tf.GradientTape() as tape:
            tape.watch(streams)
            y1, y2 = layer(streams, training=True)
            loss = tf.reduce_mean(tf.sin(y1)) + tf.reduce_mean(y2**2)
        weights = [v.value for v in layer.trainable_variables]
        return tape.gradient(loss, [*streams, *weights])

    return tf.function(step, jit_compile=jit, autograph=False)()


def _assert_as_plain(layer, streams, tolerance, **kwargs):
    """Compare gradients and all variables with and without memory saving."""
    layer(streams)
    start = [v.numpy() for v in layer.variables]
    found = []
    for layer.memory_saving in (True, False):
        for variable, value in zip(layer.variables, start, strict=True):
            variable.assign(value)
        gradients = _gradients(layer, streams, **kwargs)
        found.append((gradients, [v.numpy() for v in layer.variables]))
    (ours, variables), (plain, expected) = found
    assert cases.relative_error(ours, plain) < tolerance
    for a, b in zip(variables, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["dropout", "convolution"])
def test_gradients_under_xla(name):
    _assert_as_plain(chain(name, 1), pair(name), 1e-5, jit=True)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("causal", "mixed_float16"),
        ("drop_path", "mixed_bfloat16"),
        ("convolution", "mixed_float16"),
    ],
)
def test_gradients_in_half_precision(name, policy):
    keras.config.set_dtype_policy(policy)
    streams = pair(name)
    layer = chain(name)
    assert {x.dtype for x in layer(streams)} == {tf.float32}
    _assert_as_plain(layer, streams, 5e-2)
    assert cases.relative_error(layer.inverse(layer(streams)), streams) < 1e-6


def test_sequences_of_any_length():
    streams = keras.Input((None, 4)), keras.Input((None, 4))
    layer = chain("dropout")
    model = keras.Model(streams, layer(streams))
    for length in (5, 8):
        x = tuple(tf.random.normal((2, length, 4), seed=i) for i in (1, 2))
        _assert_as_plain(layer, x, 1e-5)
        assert cases.relative_error(layer.inverse(model(x)), x) < 1e-6


def test_saved_and_loaded_in_the_midst_of_training(tmp_path):
    x = tf.concat(pair("dropout"), -1)
    results = []
    for interrupted in (False, True):
        keras.utils.set_random_seed(0)
        model = network("dropout", classes=3)
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), cases.LOSS)
        model.train_on_batch(x, np.arange(4) % 3)
        if interrupted:
            model.save(tmp_path / "model.keras")
            loaded = keras.saving.load_model(tmp_path / "model.keras")
            # Keras' files hold no seeds of dropout.
            for ours, theirs in zip(
                loaded.variables, model.variables, strict=True
            ):
                if "seed" in theirs.path:
                    ours.assign(theirs)
            model = loaded
        model.train_on_batch(x, np.arange(4) % 3)
        results.append([v.numpy() for v in model.variables])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("training", [True, False])
def test_keras_masks_do_not_make_f_another(training):
    """With them in one direction only, the inverse would be another one."""
    x = pair("causal")
    layer = chain("causal")
    expected = layer(x)
    first = layers.AdditiveCoupling(layer.blocks[0].residual)
    masked = tuple(keras.layers.Masking(-9.0)(s) for s in x)
    seen = keras.layers.Masking(mask_value=float(x[1][0, 0, 0]))(x[1][..., :1])
    masked[1]._keras_mask = seen._keras_mask
    with pytest.warns(UserWarning, match="does not support masking"):
        y = layer(masked, training=training)
        y1, y2 = first(masked, training=training)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal((y1, y2), first(x))
    for stream in y:
        stream._keras_mask = seen._keras_mask
    np.testing.assert_array_equal(layer.inverse(y), layer.inverse(expected))
    np.testing.assert_array_equal(
        first.inverse((y1, y2)), first.inverse(first(x))
    )


class AddsLoss(keras.layers.Dense):
    def call(self, inputs):
        self.add_loss(tf.reduce_sum(inputs))
        return super().call(inputs)


@pytest.mark.parametrize(
    ("f", "g", "message"),
    [
        (keras.layers.Dense, _dense(), "`f` must be a Keras layer, an instanc"),
        (_dense(), lambda x: x, "`g` must be a Keras.*Received: g=<function"),
        (_dense(), None, "`g` must be a Keras layer.*Received: g=None"),
        (_dense(), "Dense", "`g` must be a Keras layer.*Received: g='Dense'"),
    ],
    ids=["class", "lambda", "none", "name"],
)
def test_what_is_no_layer_is_refused(f, g, message):
    with pytest.raises(ValueError, match=message):
        layers.reversible_block(f, g)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_layer_that_f_and_g_share_is_refused(depth):
    f = g = shared = keras.layers.Dense(4, name="shared")
    for _ in range(depth):
        f, g = keras.Sequential([f]), keras.Sequential([g])
    message = "`f and g` must not share layers.*the shared layer"
    with pytest.raises(ValueError, match=message) as caught:
        layers.reversible_block(f, g)
    assert str(caught.value).endswith(shared.name)


def test_a_layer_that_blocks_share_is_refused():
    block = _block()
    with pytest.raises(ValueError, match="must not share.*additive_coupling"):
        layers.ReversibleSequence([block, block])
    inner = keras.Sequential([block.blocks[0].residual])
    with pytest.raises(ValueError, match="must not share.*the shared layer de"):
        layers.ReversibleSequence(
            [block, layers.reversible_block(_dense(), inner)]
        )


@pytest.mark.parametrize("graph", [True, False])
def test_random_numbers_of_one_generator_for_two_functions(graph):
    """Both would draw the same ones, unlike in plain training."""

    def block(memory_saving):
        generator = keras.random.SeedGenerator(1)
        return layers.reversible_block(
            *(DropPath(generator=generator) for _ in "fg"),
            memory_saving=memory_saving,
        )

    x = pair("causal")

    def run(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            return layer(x, training=True)

    run(block(False))
    run = tf.function(run, autograph=False) if graph else run
    with pytest.raises(
        ValueError, match="share a variable.*SeedGenerator.*assigns to seed_gen"
    ):
        run(block(True))


def test_a_weight_that_two_functions_read_is_trained():
    """As tied weights are: nothing assigns to it in a step."""

    class Tied(keras.layers.Layer):
        def __init__(self, kernel):
            super().__init__()
            self.kernel = kernel

        def call(self, inputs):
            return tf.tanh(inputs @ self.kernel)

    kernel = keras.Variable(np.eye(4)[::-1], dtype="float32")
    layer = layers.reversible_block(Tied(kernel), Tied(kernel))
    _assert_as_plain(layer, pair("causal"), 1e-5)


@pytest.mark.parametrize("which", ["f", "g"])
def test_another_shape_is_refused_when_it_is_built(which):
    functions = {"f": _dense(), "g": _dense(), which: _dense(5)}
    block = layers.reversible_block(**functions)
    name = functions[which].name
    with pytest.raises(
        ValueError, match=rf"\(3, 4\).*Received: residual={name},.*\(3, 5\)"
    ):
        block.build(((3, 4), (3, 4)))


def test_streams_of_different_width():
    block = layers.reversible_block(_dense(4), _dense(6))
    x = tf.random.normal((3, 4), seed=1), tf.random.normal((3, 6), seed=2)
    assert [y.shape[-1] for y in block(x)] == [4, 6]
    assert cases.relative_error(block.inverse(block(x)), x) < 1e-6
    _assert_as_plain(block, x, 1e-5)
    with pytest.raises(ValueError, match=r"\(3, 4\).*output shape is \(3, 6\)"):
        layers.reversible_block(_dense(6), _dense(4))(x)


@pytest.mark.parametrize("which", ["f", "g"])
def test_losses_are_refused(which):
    functions = {"f": _dense(), "g": _dense(), which: AddsLoss(4)}
    block = layers.reversible_block(**functions)
    with pytest.raises(
        ValueError, match="must not add losses.*Received: block"
    ):
        _gradients(block, pair("causal"))


def test_sequences_of_sequences_are_one_sequence(tmp_path):
    """Whatever is nested, built, called or trained before."""
    x = pair("transformer")
    called = layers.reversible_block(SelfAttention(), mlp(), name="called")
    called(x)
    trained = layers.reversible_block(SelfAttention(), mlp(), name="trained")
    inputs = [keras.Input(s.shape[1:]) for s in x]
    model = keras.Model(inputs, trained(inputs))
    model.compile("sgd", "mse")
    model.fit(list(x), list(x), verbose=0)
    frozen = _block(memory_saving=False)
    frozen.trainable = False
    blocks = [
        called,
        layers.AdditiveCoupling(_dense()),
        layers.ReversibleSequence([layers.ReversibleSequence([trained])]),
        frozen,
    ]
    sequence = layers.ReversibleSequence(blocks, name="all")
    names = [block.name for block in sequence.blocks]
    assert names[:2] == ["called_f", "called_g"]
    assert names[3:5] == ["trained_f", "trained_g"]
    assert len(names) == 7
    expected = x
    for part in blocks:
        expected = part(expected)
    assert cases.relative_error(sequence(x), expected) < 1e-6
    _assert_as_plain(sequence, x, 1e-5)
    assert not any(
        variable.trainable
        for block in sequence.blocks[-2:]
        for variable in block.variables
    )
    # The parts go on to be layers of their own, with the same weights.
    assert cases.relative_error(called.inverse(called(x)), x) < 1e-6
    inputs = tuple(keras.Input(s.shape[1:]) for s in x)
    model = keras.Model(inputs, sequence(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    kept = loaded.get_layer("all")
    assert [block.name for block in kept.blocks] == names
    assert len(kept.trainable_variables) == len(sequence.trainable_variables)


def test_what_cannot_be_flattened_is_refused():
    class Own(layers.ReversibleSequence):
        pass

    block = _block()
    with pytest.raises(ValueError, match="list of Coupling layers.*<Own name="):
        layers.ReversibleSequence([block, Own(_block().blocks)])
    with pytest.raises(ValueError, match="the same `fraction_bits`. Received"):
        layers.ReversibleSequence([block, _block(fraction_bits=14)])
    with pytest.raises(ValueError, match="`dtype`.*Received: dtype=float32"):
        layers.ReversibleSequence([block, _block(dtype="float64")])
    regularized = layers.ReversibleSequence(
        [_block()], activity_regularizer="l2", name="inner"
    )
    with pytest.raises(
        ValueError, match="no `activity_regularizer`.*Received: inner with"
    ):
        layers.ReversibleSequence([block, regularized])


def test_the_helpers_are_what_they_say():
    """The rows of these tables do draw, mask and normalise."""
    x = pair("noise_shape", batch=64)
    path = DropPath(0.5)
    dropped = np.all(path(x[0], training=True) == 0, axis=(1, 2))
    assert 10 < dropped.sum() < 54
    causal, window = SelfAttention(causal=True), SelfAttention(window=1)
    changed = tf.concat([x[0][:, :4], x[1][:, 4:]], 1)
    for attention, same in ((causal, 4), (window, 3)):
        before, after = attention(x[0]), attention(changed)
        np.testing.assert_allclose(before[:, :same], after[:, :same], atol=1e-5)
        assert not np.allclose(before, after, atol=1e-3)
    assert two_functions.chain("dropout").blocks[0].residual.dropout == 0.3
