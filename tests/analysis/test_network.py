"""Tests of irevnet_tf.analysis.network: what all studies stand on."""

import gc
import weakref

import keras
import numpy as np
import pytest
import small

import irevnet_tf
from irevnet_tf.analysis.head import Head
from irevnet_tf.analysis.network import Network


@pytest.mark.parametrize("model", ["lossless", "injective"])
def test_images_do_not_depend_on_their_batch(model):
    network, x = Network(small.MODELS[model][0]()), small.images(7)
    whole = network.averages(x, ["stage1", "stage2"], 7)
    for batch_size in (1, 2, 5):
        parts = network.averages(x, ["stage1", "stage2"], batch_size)
        for name in whole:
            np.testing.assert_allclose(whole[name], parts[name], atol=1e-5)


def test_statistics_do_not_move():
    model, x = small.irevnet(), small.images(4)
    before = model(x, training=False).numpy()
    Network(model).averages(x * 9, ["stage2"], 2)
    np.testing.assert_array_equal(model(x, training=False).numpy(), before)


@pytest.mark.parametrize(
    "model", [name for name, (_, head) in small.MODELS.items() if head]
)
def test_logits_are_those_of_the_model(model):
    model = small.MODELS[model][0]()
    x = small.images(5, (8, 8, model.inputs[0].shape[-1]))
    head = Head(model)
    expected = model(x, training=False).numpy()
    if not np.allclose(np.sum(expected, axis=1), 1):
        np.testing.assert_allclose(head.logits(x, 2), expected, atol=1e-5)
        expected = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    np.testing.assert_allclose(head.probabilities(x, 2), expected, atol=1e-5)


@pytest.mark.parametrize("model", ["gray", "nested lossless"])
def test_derivative_of_logits(model):
    model = small.MODELS[model][0]()
    x = small.images(5, (8, 8, model.inputs[0].shape[-1]))
    head = Head(model)
    logits, jacobian = head.logits_and_jacobian(x[0], 2)
    np.testing.assert_allclose(logits, head.logits(x[:1])[0], atol=1e-5)
    step = np.zeros_like(x[:1])
    step[0, 3, 4, 0] = 1e-2
    moved = head.logits(x[:1] + step) - head.logits(x[:1] - step)
    column = jacobian.reshape(-1, *x.shape[1:])[:, 3, 4, 0]
    np.testing.assert_allclose(moved[0] / 2e-2, column, atol=2e-3)


@pytest.mark.parametrize(
    "top",
    [
        lambda: [keras.layers.Dense(3), keras.layers.Softmax()],
        lambda: [keras.layers.Dense(3), keras.layers.Activation("softmax")],
        lambda: [keras.layers.Dense(3, activation="softmax")],
    ],
)
def test_softmax_in_every_form(top):
    base = small.irevnet(include_top=False, pooling="avg")
    model = keras.Sequential([base, *top()])
    x = small.images(3)
    np.testing.assert_allclose(
        Head(model).probabilities(x),
        model(x, training=False).numpy(),
        atol=1e-5,
    )
    assert np.any(Head(model).logits(x) < 0)


def test_images_of_a_model_with_layers_in_front():
    """What they make of an image is what can be rebuilt."""
    model = small.rescaled()
    network, x = Network(model), small.images(2)
    entered = network.entered(x)
    np.testing.assert_allclose(entered, 0.5 * x + 0.1, atol=1e-6)
    z = network.encode(entered, "stage2")
    np.testing.assert_allclose(z, irevnet_tf.encoder(model)(x), atol=1e-5)
    np.testing.assert_allclose(network.decode(z, "stage2"), entered, atol=1e-5)
    with pytest.raises(ValueError, match="no layers in front"):
        _ = network.head


def test_images_that_other_layers_would_change_are_refused():
    base = small.irevnet(include_top=False, pooling="avg")
    head = keras.layers.Dense(3, "softmax")
    model = keras.Sequential(
        [keras.Input(small.SHAPE), keras.layers.Rescaling(1 / 255), base, head]
    )
    with pytest.raises(ValueError, match="must give images to the model in it"):
        Network(model)


@pytest.mark.parametrize(
    "model", ["bijective", "injective", "lossless", "nested", "augmented"]
)
def test_heads_of_means_are_recognised(model):
    model = small.MODELS[model][0]()
    factor, shift = Head(model).pooling
    x = small.images(3)
    z = irevnet_tf.encoder(model)(x)
    seen = np.maximum(z * factor + shift, 0).mean(axis=(1, 2))
    top = model.layers[-1]
    logits = seen @ top.kernel.numpy() + top.bias.numpy()
    np.testing.assert_allclose(logits, Head(model).logits(x), atol=1e-5)


def test_other_heads_are_not():
    assert Head(small.extended()).pooling is None


@pytest.mark.parametrize(
    "names",
    [
        ("stage1", "stage1_merge"),
        ("stage2_block2", "stage2"),
        ("stem", "stage1_block2", "stage2_block1", "stage2_merge"),
    ],
)
def test_walk_passes_every_point(names):
    model, x = small.irevnet("injective"), small.images(2)
    found = dict(Network(model).walk(x, names))
    assert list(found) == list(names)
    for name, z in found.items():
        expected = irevnet_tf.encoder(model, name)(x)
        np.testing.assert_allclose(z, expected, atol=1e-6)


def test_point_of_another_network_is_refused():
    """And not passed without a word: one that is lossless has one more."""
    with pytest.raises(ValueError, match="Received: 'fixed_point'"):
        list(Network(small.irevnet()).walk(small.images(1), ("fixed_point",)))
    model = small.irevnet(lossless=True)
    with pytest.raises(ValueError, match="Received: 'fixed_point'"):
        irevnet_tf.analysis.inversion(
            model, small.images(1), points=["fixed_point", 1]
        )


def test_models_without_a_graph_have_no_head():
    class Holder(keras.Model):
        def __init__(self):
            super().__init__()
            self.base = small.irevnet(include_top=False, pooling="avg")
            self.top = keras.layers.Dense(3)

        def call(self, x):
            return self.top(self.base(x))

    model, x = Holder(), small.images(2)
    model(x)
    network = Network(model)
    assert network.optional_head() is None
    z = network.encode(x, "stage2")
    np.testing.assert_allclose(network.decode(z, "stage2"), x, atol=1e-5)
    with pytest.raises(ValueError, match="built Functional or Sequential"):
        irevnet_tf.analysis.metamers(model, x[:1], x[1:])


def test_size_counts_behind_the_layers_in_front():
    image = keras.Input((6, 6, 3))
    resized = keras.layers.Resizing(8, 8)(image)
    model = small.irevnet(input_tensor=resized, include_top=False)
    x = small.images(2, (6, 6, 3))
    result = irevnet_tf.analysis.inversion(model, x, noise_images=0)
    assert result.originals.shape == (2, 8, 8, 3)
    assert np.max(result.relative_errors) < 1e-5


def test_networks_are_freed():
    model = small.irevnet()
    alive = weakref.ref(model)
    network = Network(model)
    network.decode(network.encode(small.images(1), "stage1"), "stage1")
    del network, model
    gc.collect()
    assert alive() is None


def test_pixels_have_black_at_0_and_white_at_1():
    for mode in ("unit", "digits", "imagenet", "cifar10"):
        network = Network(small.irevnet(), mode)
        raw = np.stack([np.zeros(small.SHAPE), np.full(small.SHAPE, 255.0)])
        scaled = network.normalization.apply(raw)
        pixels = network.pixels(np.asarray(scaled))
        np.testing.assert_allclose(pixels[0], 0, atol=1e-6)
        np.testing.assert_allclose(pixels[1], 1, atol=1e-6)


def test_scale_is_what_the_model_says():
    model = irevnet_tf.IRevNet28(weights="digits")
    assert Network(model).normalization.std == (1.0,)
    model = small.irevnet()
    assert Network(model).normalization.std == (1.0,)
    model.preprocessing = "imagenet"
    assert len(Network(model).normalization.std) == 3


def test_network_in_float64():
    keras.config.set_dtype_policy("float64")
    network = Network(small.irevnet())
    x = small.images(2).astype("float64")
    z = network.encode(x, "stage2")
    assert z.dtype == "float64"
    np.testing.assert_allclose(network.decode(z, "stage2"), x, atol=1e-13)
