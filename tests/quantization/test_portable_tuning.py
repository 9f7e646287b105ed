"""Fine-tuning: what is trained is what comes out, and it is certified."""

import functools

import cases
import keras
import numpy as np
import portable_networks
import pytest
import tensorflow as tf
from portable_networks import bits

import irevnet_tf
from irevnet_tf.layers.straight_through import quantized
from irevnet_tf.quantization.sums import convolution_sums

LOSS = "sparse_categorical_crossentropy"
DIGITS = {
    "blocks": (2, 1),
    "strides": (2, 1),
    "channels": (8, 8),
    "initial_downsampling": 2,
    "input_shape": (8, 8, 1),
    "classes": 10,
}


@functools.cache
def digits():
    images, labels = cases.digits(256)
    return images[:, ::2, ::2, :1] * 0.999, labels


@functools.cache
def trained():
    """Return a network of digits, trained a little, and made portable."""
    keras.utils.set_random_seed(0)
    model = irevnet_tf.IRevNet(**DIGITS, memory_saving=False)
    cases.compile(model)
    images, labels = digits()
    model.fit(images, labels, batch_size=32, epochs=2, verbose=0)
    made = irevnet_tf.portable(model, images, verbose=0, weight_bits=4)
    return made


def assert_same_bits(actual, expected):
    np.testing.assert_array_equal(bits(actual), bits(expected))


def representation(model, images):
    return irevnet_tf.encoder(model)(images)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("injective", {}),
        ("injective", {"overflow": "split", "sum_bits": 14}),
        ("kernels_of_1", {}),
        ("kernels_of_1", {"overflow": "split", "sum_bits": 16}),
        # With so few bits, whole channels of the classifier become 0.
        ("padded_twice", {"sum_bits": 12}),
    ],
)
def test_it_computes_the_same_at_first(name, options):
    model = portable_networks.portable(name, **options)
    images = portable_networks.images(model.input_shape[1:], 4, seed=1)
    tuned = irevnet_tf.fine_tunable(model)
    for training in (False, True):
        assert_same_bits(tuned(images, training=training), model(images))
    settled = irevnet_tf.portable(tuned)
    assert_same_bits(settled(images), model(images))
    assert irevnet_tf.certify(settled).weights == (
        irevnet_tf.certify(model).weights
    )


@pytest.mark.parametrize("memory_saving", [True, False])
def test_loss_goes_down_and_bits_come_out(memory_saving):
    images, labels = digits()
    tuned = irevnet_tf.fine_tunable(trained())
    for layer in tuned.layers:
        if hasattr(layer, "memory_saving"):
            layer.memory_saving = memory_saving
    # The classifier's inputs are integers, up to 1020.
    tuned.compile(keras.optimizers.SGD(1e-4), LOSS)
    before = tuned.evaluate(images, labels, verbose=0)
    tuned.fit(images, labels, batch_size=64, epochs=2, verbose=0)
    assert tuned.evaluate(images, labels, verbose=0) < before
    settled = irevnet_tf.portable(tuned)
    irevnet_tf.certify(settled)
    assert not settled.trainable_variables
    expected = representation(settled, images[:8])
    assert_same_bits(representation(tuned, images[:8]), expected)
    in_training = tf.function(
        lambda x: irevnet_tf.encoder(tuned)(x, training=True), autograph=False
    )
    assert_same_bits(in_training(images[:8]), expected)
    again = irevnet_tf.fine_tunable(settled)
    assert_same_bits(again(images[:8]), settled(images[:8]))


def gradients(model, images, labels, graph):
    def step():
        with tf.GradientTape() as tape:
            loss = keras.losses.sparse_categorical_crossentropy(
                labels, model(images, training=True)
            )
        return tape.gradient(loss, [x.value for x in model.trainable_weights])

    return (tf.function(step, autograph=False) if graph else step)()


@pytest.mark.parametrize("graph", [True, False])
def test_memory_saving_has_the_same_gradients(graph):
    images, labels = (x[:16] for x in digits())
    tuned = irevnet_tf.fine_tunable(trained())
    found = []
    for memory_saving in (True, False):
        for layer in tuned.layers:
            if hasattr(layer, "memory_saving"):
                layer.memory_saving = memory_saving
        found.append(gradients(tuned, images, labels, graph))
    assert any(np.any(x) for x in found[0])
    for a, b in zip(*found, strict=True):
        if graph:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


OPTIONS = [
    {},
    {"sum_bits": 12},
    {"overflow": "split", "sum_bits": 12},
    {"weight_bits": 12, "activation_bits": 12, "overflow": "split"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda x: "-".join(x))
@pytest.mark.parametrize("name", ["injective", "kernels_of_1"])
def test_no_training_leaves_the_bound(name, options):
    """Whatever the weights become, sums are as before."""
    tuned = irevnet_tf.fine_tunable(portable_networks.portable(name, **options))
    rng = np.random.default_rng(0)
    for size in (1e-3, 1.0, 1e3, 1e8):
        for variable in tuned.trainable_variables:
            change = rng.normal(0.0, size, variable.shape)
            variable.assign(
                np.where(rng.random(variable.shape) < 0.5, change, variable)
            )
        for place, residual in portable_networks.residuals(tuned).items():
            residual.reach.assign(3e38)
            found = convolution_sums(place, residual)
            limit = options.get("sum_bits", 23)
            for sums in found:
                sums.check()
                # Where a step of F has several units, the last one is in halves
                # of these, for which there is other room.
                assert sums.bits <= limit or sums.name.endswith("conv3")


def test_no_rounding_leaves_the_bound():
    """Of the scale of weights that would add up to just more than they may."""
    inputs, largest, weight = 255, 2047, 9
    sums = inputs * largest * weight
    excess = 10.0 ** np.linspace(-8, 0, 256)
    kernel = np.full((1, 1, inputs, 1), weight) * (1 + excess)
    ones = tf.ones(256)
    for rest in range(-3, 3):
        found, shift = quantized(
            tf.constant(kernel, "float32"),
            ones * (2**23 - 1 - sums + rest),
            largest_weight=127,
            largest_input=largest,
            is_symmetric=False,
            groups=1,
            limit=2.0**23,
        )
        total = largest * found.numpy().astype("float64").sum((0, 1, 2))
        assert np.all(total + np.abs(shift) < 2**23)


def test_a_large_learning_rate():
    images, labels = digits()
    tuned = irevnet_tf.fine_tunable(trained())
    tuned.compile(keras.optimizers.SGD(1e-1, momentum=0.9), LOSS)
    tuned.fit(images, labels, batch_size=32, verbose=0)
    settled = irevnet_tf.portable(tuned)
    z = representation(settled, images)
    assert_same_bits(z, representation(tuned, images))
    restored = irevnet_tf.invert(settled)(z)
    assert_same_bits(restored, settled.layers[1](images))


def test_weights_that_broke():
    tuned = irevnet_tf.fine_tunable(portable_networks.portable("gray"))
    kernel = portable_networks.residuals(tuned)["stage1/block2"].kernels[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    message = "must be finite. Received: NaN .* in stage1/block2/conv1, channel"
    with pytest.raises(ValueError, match=message):
        irevnet_tf.portable(tuned)


def test_streams_that_grew():
    tuned = irevnet_tf.fine_tunable(portable_networks.portable("gray"))
    for residual in portable_networks.residuals(tuned).values():
        residual.set_unit(2, residual.units[2].numpy() * 2.0**12)
    with pytest.raises(ValueError, match="^The streams in stage. must stay be"):
        irevnet_tf.portable(tuned)


def test_what_is_trained(tmp_path):
    model = portable_networks.portable("gray")
    tuned = irevnet_tf.fine_tunable(model)
    names = {x.name for x in tuned.trainable_variables}
    assert names == {
        *(f"{x}{i}" for x in ("kernel", "shift") for i in (1, 2, 3)),
        *("kernel", "bias"),
    }
    images = portable_networks.images(model.input_shape[1:], 4)
    tuned.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same_bits(loaded(images), model(images))
    assert len(loaded.trainable_variables) == len(tuned.trainable_variables)
    assert_same_bits(irevnet_tf.portable(loaded)(images), model(images))


def test_what_cannot_be_tuned():
    message = "`model` must be a portable network.*Received: model=irevnet"
    with pytest.raises(ValueError, match=message):
        irevnet_tf.fine_tunable(portable_networks.network("gray"))
    model = portable_networks.portable("gray")
    tuned = irevnet_tf.fine_tunable(model)
    with pytest.raises(ValueError, match="must not be in fine-tuning.*Receiv"):
        irevnet_tf.fine_tunable(tuned)
    around = keras.Sequential([model, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must be an i-RevNet itself.*Receiv"):
        irevnet_tf.fine_tunable(around)
