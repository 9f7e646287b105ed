"""Every layer of the package against every guarantee of a layer."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers

each_layer = pytest.mark.parametrize(
    ("create", "shape"), cases.LAYERS.values(), ids=cases.LAYERS.keys()
)


def _built(create, shape):
    layer = create()
    layer.build(shape)
    return layer


def _shapes(tensors):
    return [tuple(x.shape)[1:] for x in tf.nest.flatten(tensors)]


def _spec_shapes(shapes):
    shapes = shapes if cases.is_pair(shapes) else [shapes]
    return [tuple(shape)[1:] for shape in shapes]


@each_layer
def test_inverse_gives_the_input_back(create, shape):
    layer = _built(create, shape)
    x = cases.random_input(shape)
    assert cases.relative_error(_inverse(layer, layer(x)), x) < 1e-6


@pytest.mark.parametrize(
    "name", sorted(cases.LAYERS.keys() - cases.STATEFUL_INVERSE)
)
def test_inverse_in_training_mode_needs_the_same_batch_only(name):
    create, shape = cases.LAYERS[name]
    layer = _built(create, shape)
    x = cases.random_input(shape)
    y = layer(x, training=True)
    before = [variable.numpy() for variable in layer.variables]
    back = _inverse(layer, y, training=True)
    assert cases.relative_error(back, x) < 1e-6
    for value, variable in zip(before, layer.variables, strict=True):
        np.testing.assert_array_equal(value, variable)


def _inverse(layer, outputs, training=False):
    return layers.Inverse(layer)(outputs, training=training)


@each_layer
def test_forward_gives_the_output_back(create, shape):
    layer = _built(create, shape)
    y = layer(cases.random_input(shape))
    again = layer(_inverse(layer, y))
    assert cases.relative_error(again, y) < 1e-6


@each_layer
def test_shapes_are_as_computed(create, shape):
    layer = _built(create, shape)
    y = layer(cases.random_input(shape))
    output_shape = layer.compute_output_shape(shape)
    assert _shapes(y) == _spec_shapes(output_shape)
    assert _spec_shapes(layer.compute_inverse_shape(output_shape)) == (
        _spec_shapes(shape)
    )
    symbolic = layer(cases.symbolic_input(shape))
    assert _shapes(symbolic) == _spec_shapes(output_shape)


@each_layer
def test_config_round_trip(create, shape):
    layer = create()
    config = keras.saving.serialize_keras_object(layer)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is type(layer)
    assert keras.saving.serialize_keras_object(twin) == config


@each_layer
def test_keras_file_round_trip(create, shape, tmp_path):
    inputs = cases.symbolic_input(shape)
    model = keras.Model(inputs, create()(inputs))
    x = cases.random_input(shape)
    expected = model(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(
        tf.nest.flatten(loaded(x)), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@each_layer
@pytest.mark.parametrize("policy", cases.POLICIES)
def test_streams_are_float32_under_every_policy(create, shape, policy):
    keras.config.set_dtype_policy(policy)
    layer = _built(create, shape)
    outputs = tf.nest.flatten(layer(cases.random_input(shape)))
    assert {x.dtype for x in outputs} == {tf.float32}


@each_layer
@pytest.mark.parametrize("jit", [False, True])
def test_in_a_graph_with_unknown_batch(create, shape, jit):
    layer = _built(create, shape)
    x = cases.random_input(shape)

    @tf.function(reduce_retracing=True, jit_compile=jit, autograph=False)
    def forward(x):
        return layer(x)

    forward(cases.random_input(shape, batch=3))
    assert cases.relative_error(forward(x), layer(x)) < 1e-5


@pytest.mark.parametrize(
    "name", [n for n, (_, s) in cases.LAYERS.items() if cases.is_pair(s)]
)
def test_one_tensor_for_a_pair(name):
    create, _ = cases.LAYERS[name]
    if isinstance(layer := create(), layers.Inverse):
        layer = layer.layer
    with pytest.raises(ValueError, match="takes a pair of tensors.*Received"):
        layer(tf.zeros((2, 8, 8, 4)))
