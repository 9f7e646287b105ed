"""Graphs that infer hold plain operations, and leave nothing behind."""

import gc
import weakref

import cases
import foreign
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import evaluation
from irevnet_tf import layers
from irevnet_tf import reconstruction
from irevnet_tf.layers import block_functions

each_mode = pytest.mark.parametrize("lossless", [False, True])
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


def _graph(model):
    function = tf.function(lambda x: model(x, training=False), autograph=False)
    spec = tf.TensorSpec((None, *model.input_shape[1:]))
    return function.get_concrete_function(spec).graph


@each_mode
def test_both_directions_are_plain_operations(lossless):
    model = cases.build("injective_dropout", lossless=lossless)
    for part in (model, irevnet_tf.encoder(model), irevnet_tf.invert(model)):
        types = {op.type for op in _graph(part).get_operations()}
        assert "Conv2D" in types
        assert not types & CALLS


@each_mode
def test_operations_are_as_many_as_of_plain_layers(lossless):
    """What counts operations sees all of them."""
    counts = [
        len(_graph(model).get_operations())
        for model in (
            cases.build(
                "bijective", lossless=lossless, memory_saving=memory_saving
            )
            for memory_saving in (True, False)
        )
    ]
    assert counts[0] == counts[1]


# The converter is what is tried; its successor needs another package.
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter:UserWarning")
@each_mode
def test_litert_converts_the_model_itself(lossless):
    model = cases.build("injective", lossless=lossless)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    image = cases.on_grid(cases.digits(1)[0]).astype("float32")
    interpreter.allocate_tensors()
    (entrance,), (end,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    interpreter.set_tensor(entrance["index"], image)
    interpreter.invoke()
    found = interpreter.get_tensor(end["index"])
    np.testing.assert_allclose(found, model(image), atol=1e-3)


class Served(tf.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    @tf.function(
        input_signature=[tf.TensorSpec((None, *cases.IMAGE_SHAPE), name="x")],
        autograph=False,
    )
    def predict(self, x):
        return self.model(x, training=False)

    @tf.function(
        input_signature=[tf.TensorSpec((None, *cases.IMAGE_SHAPE), name="x")],
        autograph=False,
    )
    def in_training(self, x):
        return self.model(x, training=True)


def test_a_module_around_a_network_with_dropout_is_saved(tmp_path):
    model = cases.stir(cases.build("injective_dropout", blocks=(2, 1)))
    images = tf.constant(cases.digits(3)[0])
    expected = model(images)
    tf.saved_model.save(Served(model), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.predict(images), expected, atol=1e-6)
    gradients = []
    for function in (loaded.predict, model):
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = function(images)[:, 0]
        gradients.append(tape.gradient(score, images))
    assert cases.relative_error(*gradients) < 1e-5
    with tf.GradientTape() as tape:
        tape.watch(images)
        score = loaded.in_training(images)[:, 0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="holds no gradi"):
        tape.gradient(score, images)


def test_numerics_checks_find_nothing_in_a_network_that_is_fine():
    model = cases.build("injective", blocks=(1, 1), lossless=True)
    images = cases.digits(4)[0]
    tf.debugging.enable_check_numerics()
    try:
        model(images)
        cases.compile(model).fit(*cases.digits(4), verbose=0)
        irevnet_tf.invert(model)(irevnet_tf.encoder(model)(images))
    finally:
        tf.debugging.disable_check_numerics()


def test_derivatives_in_forward_mode():
    """They pass no custom gradient, so inference has none."""
    model = cases.stir(cases.build("bijective"))
    images = tf.constant(cases.digits(2)[0])
    direction = tf.ones_like(images)
    with tf.autodiff.ForwardAccumulator(images, direction) as accumulator:
        z = irevnet_tf.encoder(model)(images)
    found = accumulator.jvp(z)
    assert np.linalg.norm(found) > 0.1
    with tf.GradientTape() as tape:
        tape.watch(images)
        z = irevnet_tf.encoder(model)(images)
        total = tf.reduce_sum(z * found)
    along = tf.reduce_sum(tape.gradient(total, images) * direction)
    np.testing.assert_allclose(along, tf.reduce_sum(found**2), rtol=1e-3)


def _alive(use, **kwargs):
    model = cases.build("bijective", blocks=(2, 1), **kwargs)
    use(model)
    weights = [weakref.ref(v) for v in model.weights]
    del model
    keras.utils.clear_session()
    gc.collect()
    return sum(weight() is not None for weight in weights)


def _fit(model):
    cases.compile(model).fit(*cases.digits(8), verbose=0)
    model.evaluate(*cases.digits(8), verbose=0)
    model.predict(cases.digits(2)[0], verbose=0)


def _eager(model):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(cases.digits(2)[0], training=True) ** 2)
    tape.gradient(loss, [v.value for v in model.trainable_variables])


def _parts(model):
    images = cases.digits(2)[0]
    z = irevnet_tf.encoder(model, "stage1_block1")(images)
    irevnet_tf.invert(model, "stage1_block1")(z)
    irevnet_tf.features(model)(images)


@pytest.mark.parametrize(
    ("use", "lossless"),
    [(_fit, False), (_fit, True), (_eager, True), (_parts, False)],
)
def test_a_network_that_is_deleted_is_gone(use, lossless):
    assert _alive(use, lossless=lossless) == 0


def _traces(model):
    return sum(
        len(layer._inbound_nodes) + len(layer._outbound_nodes)
        for layer in model._flatten_layers()
    )


@pytest.fixture(scope="module")
def network():
    return cases.build("bijective")


@pytest.mark.parametrize(
    "use",
    [
        irevnet_tf.encoder,
        irevnet_tf.invert,
        irevnet_tf.features,
        lambda model: irevnet_tf.encoder(model, "stage1_block1"),
        lambda model: irevnet_tf.invert(model, "stage1_block1"),
        lambda model: irevnet_tf.features(model, ["stem", "stage2_block1"]),
        lambda model: reconstruction.reconstruct(model, cases.digits(2)[0]),
        lambda model: evaluation.Evaluator(model).measure(
            [(cases.digits(2)[0], np.eye(2, 10), np.ones(2))]
        ),
    ],
)
def test_a_model_is_left_as_it_was(use, network):
    before = _traces(network)
    use(network)
    assert _traces(network) == before


def test_eager_calls_of_many_sizes_trace_nothing(monkeypatch):
    """Plain Keras runs eager steps as they come; so do these."""
    layer = layers.ReversibleSequence(
        [
            layers.AdditiveCoupling(keras.layers.Conv2D(2, 3, padding="same"))
            for _ in range(3)
        ]
    )
    layer.build([(None, None, None, 2)] * 2)

    def refuse(method):
        raise AssertionError(f"an eager step has traced {method}")

    monkeypatch.setattr(block_functions, "_traced", refuse)
    for size in range(4, 9):
        pair = tf.split(foreign.image((2, size, size, 4)), 2, -1)
        with tf.GradientTape() as tape:
            y1, y2 = layer(pair, training=True)
            loss = tf.reduce_mean(y1) + tf.reduce_mean(y2)
        tape.gradient(loss, [v.value for v in layer.trainable_variables])
        layer(pair)
        layer.inverse(pair)
