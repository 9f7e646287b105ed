"""Portable networks have the bits that their formulas have."""

import integer_reference
import keras
import numpy as np
import portable_networks
import pytest
import tensorflow as tf
from portable_networks import bits
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

import irevnet_tf
from irevnet_tf import layers

# (a key of NETWORKS, arguments of `portable`)
ROWS = [
    ("injective", {}),
    ("injective", {"overflow": "split", "sum_bits": 14}),
    ("bijective", {"sum_bits": 21}),
    ("kernels_of_1", {"weight_bits": 4, "activation_bits": 5}),
    ("kernels_of_1", {"overflow": "split", "sum_bits": 16}),
    ("padded_twice", {"weight_bits": 10, "activation_bits": 10}),
    ("padded_twice", {"fraction_bits": 10}),
    ("gray", {"weight_bits": 2, "activation_bits": 2}),
    ("gray", {"weight_bits": 12, "activation_bits": 12, "overflow": "split"}),
]


def row_name(row):
    name, options = row
    return "-".join([name, *(f"{k}_{v}" for k, v in options.items())])


each_row = pytest.mark.parametrize("row", ROWS, ids=row_name)


def eager(model):
    return model


def graph(model):
    return tf.function(model, autograph=False)


def jit(model):
    return tf.function(model, autograph=False, jit_compile=True)


def predict(model):
    return lambda x: model.predict(x, batch_size=9, verbose=0)


def frozen(model):
    """Variables as constants, of which Grappler takes the reciprocals."""
    image = tf.TensorSpec([None, *model.input_shape[1:]])
    function = graph(model).get_concrete_function(image)
    constant = convert_variables_to_constants_v2(function)
    return lambda x: constant(tf.convert_to_tensor(x))[0]


def assert_same_bits(actual, expected):
    np.testing.assert_array_equal(bits(actual), bits(expected))


def assert_as_formulas(model, images, way):
    expected, logits = integer_reference.forward(model, images)
    assert_same_bits(way(model)(images), logits)
    z = way(irevnet_tf.encoder(model))(images)
    assert_same_bits(z, expected)
    decoder = way(irevnet_tf.invert(model))
    restored = decoder(z)
    assert_same_bits(restored, integer_reference.inverse(model, expected))
    assert_same_bits(restored, model.layers[1](images))
    negative_zeros = np.where(expected == 0, np.float32(-0.0), expected)
    assert_same_bits(decoder(negative_zeros), restored)


@each_row
def test_as_the_formulas(row):
    name, options = row
    model = portable_networks.portable(name, **options)
    images = portable_networks.images(model.input_shape[1:], 32, seed=1)
    assert_as_formulas(model, images, eager)
    # What images of each size give, alone and in other batches.
    z = irevnet_tf.encoder(model)(images)
    for size in (1, 3):
        assert_same_bits(irevnet_tf.encoder(model)(images[:size]), z[:size])
        restored = irevnet_tf.invert(model)(z[:size])
        assert_same_bits(restored, model.layers[1](images[:size]))


@pytest.mark.parametrize(
    ("way", "row"),
    [
        (graph, ROWS[3]),
        (frozen, ROWS[1]),
        (predict, ROWS[5]),
        (jit, ROWS[4]),
    ],
    ids=lambda x: x.__name__ if callable(x) else row_name(x),
)
def test_in_other_ways(way, row):
    name, options = row
    model = portable_networks.portable(name, **options)
    # Operations on 8 floats at a time, and on what is left.
    images = portable_networks.images(model.input_shape[1:], 17, seed=1)
    assert_as_formulas(model, images, way)


def test_rows_split_convolutions():
    groups = [
        residual.groups
        for name, options in ROWS
        for residual in portable_networks.residuals(
            portable_networks.portable(name, **options)
        ).values()
    ]
    for index in range(3):
        assert any(x[index] > 1 for x in groups)


@pytest.mark.parametrize("seed", range(2))
def test_representations_of_no_image(seed):
    model = portable_networks.portable("bijective")
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    shape = (4, *decoder.input_shape[1:])
    z = np.random.default_rng(seed).normal(size=shape).astype("float32")
    assert_same_bits(decoder(z), integer_reference.inverse(model, z))
    # The images are out of range, so that only the layers take them.
    x = decoder(z)
    for layer in model.layers[2:-2]:
        x = layer(x)
    assert_same_bits(x, encoder.layers[1].inverse(z))


def test_points_within():
    model = portable_networks.portable()
    images = portable_networks.images(model.input_shape[1:], 4)
    expected = model.layers[1](images)
    for point in (1, "stage1_block1", "stage2_block1"):
        z = irevnet_tf.encoder(model, point)(images)
        assert_same_bits(irevnet_tf.invert(model, point)(z), expected)
    found = irevnet_tf.features(model)(images)
    assert_same_bits(found["stage1"], irevnet_tf.encoder(model, 1)(images))


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("way", [eager, jit])
def test_pooled_features(pooling, way):
    overrides = {"include_top": False, "pooling": pooling}
    model = portable_networks.portable("gray", overrides)
    images = portable_networks.images(model.input_shape[1:], 5)
    z = np.array(irevnet_tf.encoder(model)(images), "float64")
    pooled = integer_reference.pooled(model.layers[-1], z)
    assert_same_bits(way(model)(images), pooled)


@pytest.mark.parametrize(
    ("activation_bits", "sides"),
    [(8, (7, 7)), (8, (31, 33)), (10, (15, 17)), (12, (7, 9)), (12, (8, 8))],
)
def test_averages_of_integers(activation_bits, sides):
    """Where n/4 times an average is next to a half, and anywhere."""
    layer = layers.IntegerPooling("avg", activation_bits, scaled=False)
    layer.build((None, *sides, 1))
    layer.scale.assign([1.0])
    pixels, largest = sides[0] * sides[1], 2**activation_bits - 1
    rng = np.random.default_rng(0)
    halves = (rng.integers(0, 4 * largest, 500) + 0.5) * pixels / 4
    sums = np.concatenate(
        [
            np.rint(halves + rng.integers(-1, 2, 500)),
            rng.integers(0, pixels * largest, 500),
        ]
    ).astype(int)
    rest = np.arange(pixels) < sums[:, None] % pixels
    x = (sums[:, None] // pixels + rest).reshape(-1, *sides, 1)
    # In quarters; half of one and more goes up.
    expected = (8 * sums + pixels) // (2 * pixels)
    for way in (eager, jit):
        found = way(layer)(x.astype("float32"))[:, 0]
        assert_same_bits(found, expected / 2 ** (activation_bits + 2))
    assert layer.output_unit == 2.0 ** -(activation_bits + 2)
    assert found.numpy().max() <= layer.largest_output


def test_averages_of_too_many_pixels():
    for bits_, side in ((8, 33), (12, 9)):
        layer = layers.IntegerPooling("avg", bits_)
        with pytest.raises(
            ValueError,
            match=f"exact for up to {2 ** (18 - bits_)} pixels.*Received: ",
        ):
            layer(np.zeros((1, side, side, 2)))
        layers.IntegerPooling("max", bits_)(np.zeros((1, side, side, 2)))


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_what_leaves_no_bit_of_an_image_out_of_range(pooling):
    layer = layers.IntegerPooling(pooling, scaled=False)
    layer.build((None, 2, 2, 3))
    layer.scale.assign(np.ones(3))
    x = np.ones((4, 2, 2, 3), "float32")
    x[1], x[2] = np.nan, np.inf
    for way in (eager, graph, jit):
        found = way(layer)(x).numpy()
        assert np.isnan(found[[1, 2]]).all()
        assert_same_bits(found[[0, 3]], np.full((2, 3), 1 / 256))


def test_training_mode_computes_the_same():
    model = portable_networks.portable()
    images = portable_networks.images(model.input_shape[1:], 4)
    expected = model(images)
    assert_same_bits(model(images, training=True), expected)
    step = tf.function(lambda x: model(x, training=True), autograph=False)
    assert_same_bits(step(images), expected)
    batches = tf.data.Dataset.from_tensor_slices(images).batch(3).map(model)
    assert_same_bits(np.concatenate(list(batches)), expected)


OUTSIDE = "must be in its pixel range"


@pytest.mark.parametrize("value", [1.01, np.nan])
def test_images_out_of_range(value):
    model = portable_networks.portable("gray")
    images = portable_networks.images(model.input_shape[1:], 3)
    images[1, 2, 3, 0] = value
    error = tf.errors.InvalidArgumentError
    for way in (eager, graph, predict):
        with pytest.raises(error, match=f"{OUTSIDE}(.|\n)*Received: pixels fr"):
            way(irevnet_tf.encoder(model))(images)
        with pytest.raises(error, match=OUTSIDE):
            way(model)(images)


@pytest.mark.parametrize("pooling", [None, "max"])
def test_images_out_of_range_under_xla(pooling):
    overrides = {"include_top": pooling is None, "pooling": pooling}
    model = portable_networks.portable("gray", overrides)
    images = portable_networks.images(model.input_shape[1:], 4)
    expected = [f(images).numpy() for f in (model, irevnet_tf.encoder(model))]
    images[1, 2, 3, 0], images[2, 2, 3, 0] = 1.01, np.nan
    for part, values in zip(
        (model, irevnet_tf.encoder(model)), expected, strict=True
    ):
        found = jit(part)(images).numpy()
        assert np.isnan(found[[1, 2]]).all()
        assert_same_bits(found[[0, 3]], values[[0, 3]])


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("unit", [2.0**-7, 1.0, 4.0])
def test_f_has_no_zeros_with_a_sign(groups, unit):
    """They would show where XLA leaves out the zeros of the padding."""
    layer = layers.IntegerResidual(
        2,
        bottleneck_ratio=1,
        kernel_sizes=(1, 1, 1),
        groups=(1, 1, groups),
    )
    layer.build((None, 2, 2, 1))
    layer.kernels[2].assign([[[[-unit, unit]] * 2]])
    layer.set_unit(2, [unit, unit])
    half = layer.sum_unit(2).numpy() / 2
    ways = [way(layer) for way in (eager, graph, jit)]
    x = np.zeros((1, 2, 2, 1), "float32")
    for parts in ([0, 0], [1, 0], [2, 1]):
        layer.shifts[1].assign(np.add(parts, 0.5))
        for shift in (half, -half, 3 * half):
            layer.shifts[2].assign(shift)
            for way in ways:
                found = way(x).numpy()
                expected = integer_reference.residual(layer, x)
                assert_same_bits(found, expected)
                assert not np.any((found == 0) & np.signbit(found))


def test_one_nan_under_xla():
    """Maxima of XLA leave it out."""
    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(keras.layers.Dense(2), fraction_bits=14)]
    )
    x = np.ones((2, 3, 3, 2), "float32")
    wrong = x.copy()
    wrong[1, 2, 1, 0] = np.nan
    for pair in ((x, wrong), (wrong, x)):
        for y in jit(layer)(pair):
            assert np.isfinite(y[0]).all()
            assert np.isnan(y[1]).all()


def test_rounded_in_a_graph_with_zeros_that_are_known():
    model = portable_networks.portable()
    zeros = tf.function(
        lambda: irevnet_tf.encoder(model)(tf.zeros((2, 8, 8, 3))),
        autograph=False,
        jit_compile=True,
    )
    expected = irevnet_tf.encoder(model)(np.zeros((2, 8, 8, 3), "float32"))
    assert_same_bits(zeros(), expected)


def test_softmax_is_behind_the_logits():
    overrides = {"classifier_activation": "softmax"}
    model = portable_networks.portable("gray", overrides)
    images = portable_networks.images(model.input_shape[1:], 4)
    _, logits = integer_reference.forward(model, images)
    np.testing.assert_allclose(
        model(images), keras.ops.softmax(logits), rtol=1e-5
    )
