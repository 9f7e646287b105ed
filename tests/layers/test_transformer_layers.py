"""The layers of vision transformers: embedding, copies, and residuals."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf.layers.block_kinds import is_foreign
from irevnet_tf.layers.block_kinds import kind_of

IMAGE = (8, 12, 3)


def images(count=2, shape=IMAGE):
    return np.random.default_rng(0).random((count, *shape), "float32")


def embedding(width=64, patch_size=4, condition=None):
    """Return a built layer, whose kernel may have a given condition number."""
    layer = layers.PatchEmbedding(width, patch_size)
    layer.build((None, *IMAGE))
    if condition is not None:
        shape = layer.kernel.shape
        matrix = np.reshape(layer.kernel, (-1, width)).astype("float64")
        left, old, right = np.linalg.svd(matrix, full_matrices=False)
        values = np.geomspace(1, 1 / condition, len(old))
        layer.kernel.assign(np.reshape(left * values @ right, shape))
    return layer


def test_tokens_are_linear_in_their_patch():
    layer = embedding(width=5)
    x = images()
    tokens = layer(x)
    assert tokens.shape == layer.compute_output_shape(x.shape) == (2, 6, 5)
    # The second patch of the second row.
    patch = x[:, 4:8, 4:8]
    expected = np.einsum("bhwc,hwct->bt", patch, layer.kernel)
    expected += layer.bias + layer.position[1, 1]
    np.testing.assert_allclose(tokens[:, 4], expected, atol=1e-6)


def test_embedding_computes_the_same_bits_in_graphs():
    layer = embedding()
    graph = tf.function(layer, autograph=False)
    np.testing.assert_array_equal(layer(images()), graph(images()))


@pytest.mark.parametrize("width", [48, 64])
def test_images_from_tokens(width):
    layer = embedding(width)
    found = layer.images_from(layer(images()))
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, images(), atol=1e-4)


@pytest.mark.parametrize(
    ("condition", "least", "most"), [(10, 0, 1e-6), (1e4, 1e-5, 1e-3)]
)
def test_errors_grow_with_the_condition_number(condition, least, most):
    layer = embedding(condition=condition)
    error = layer.images_from(layer(images())) - images()
    relative = np.linalg.norm(error) / np.linalg.norm(images())
    assert least < relative < most


def test_images_from_the_wrong_tokens_are_the_closest():
    layer = embedding()
    wrong = np.random.default_rng(1).normal(size=(1, 6, 64))
    found = layer.images_from(wrong)
    distance = np.sum((layer(found) - wrong) ** 2)
    for seed in range(3):
        step = np.random.default_rng(seed).normal(size=(1, *IMAGE)) / 100
        assert np.sum((layer(found + step) - wrong) ** 2) > distance


def singular():
    layer = embedding()
    kernel = np.array(layer.kernel)
    kernel[0, 0, 0] = kernel[0, 0, 1]
    layer.kernel.assign(kernel)
    return layer


def infinite():
    layer = embedding()
    layer.kernel.assign(layer.kernel * np.inf)
    return layer


@pytest.mark.parametrize(
    ("create", "shape", "message"),
    [
        (lambda: embedding(47), (1, 6, 47), "at least as long.*= 48. Rec.*=47"),
        (singular, (1, 6, 64), "condition number.*Received: layer=.*with"),
        (infinite, (1, 6, 64), "condition number.*with inf"),
        (lambda: embedding(condition=1e6), (1, 6, 64), "is at most.*1e.05. Re"),
        (embedding, (1, 5, 64), r"must be.*\(batch, 6, 64\). Received.*5, 64"),
        (lambda: layers.PatchEmbedding(64, 4), (1, 6, 64), "must be built, by"),
    ],
    ids=["narrow", "singular", "infinite", "ill", "shape", "unbuilt"],
)
def test_tokens_without_images(create, shape, message):
    with pytest.raises(ValueError, match=message):
        create().images_from(np.zeros(shape, "float32"))


def test_images_are_not_computed_in_graphs():
    layer = embedding()
    with pytest.raises(ValueError, match="must be numbers.*Received: tokens="):
        layer.images_from(keras.Input((6, 64)))
    with pytest.raises(ValueError, match="must be numbers.*Received: tokens="):
        tf.function(layer.images_from, autograph=False)(tf.ones((1, 6, 64)))


def test_the_limit_of_the_condition_number_is_an_argument():
    layer = embedding(condition=1e6)
    found = layer.images_from(layer(images()), largest_condition=1e7)
    np.testing.assert_allclose(found, images(), atol=0.1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((None, None, 8, 3), "of a known size.*Received: input_shape="),
        ((None, 8, 8), "of a known size.*Received: input_shape="),
        ((None, 8, 10, 3), "divisible by 4. Received: height=8, width=10"),
    ],
)
def test_images_that_cannot_be_embedded(shape, message):
    layer = layers.PatchEmbedding(8, 4)
    with pytest.raises(ValueError, match=message):
        layer.build(shape)
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shape)


def test_embedding_keeps_its_configuration():
    layer = layers.PatchEmbedding(8, 4, preprocessing="cifar10", name="a")
    copy = layers.PatchEmbedding.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    with pytest.raises(ValueError, match="None or a string.*preprocessing=3"):
        copy.preprocessing = 3
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert layers.PatchEmbedding(8, 4).compute_dtype == "float32"


def test_copies_are_one_tensor_and_the_inverse_takes_the_second():
    layer = layers.StreamCopy()
    x1, x2 = layer(tf.ones((1, 2, 3)))
    np.testing.assert_array_equal(x1, x2)
    np.testing.assert_array_equal(layer.inverse((x1, 2 * x2)), 2 * x2)
    with pytest.raises(ValueError, match="takes a pair of tensors"):
        layer.compute_inverse_shape((1, 2, 3))
    for wrong in (tf.ones((2, 2, 3)), [x1, x1, x1]):
        with pytest.raises(ValueError, match="takes a pair of tensors"):
            layer.inverse(wrong)


RESIDUALS = {
    "attention": lambda **kwargs: layers.AttentionResidual(8, 2, **kwargs),
    "mlp": lambda **kwargs: layers.MLPResidual(8, 16, **kwargs),
}
each_residual = pytest.mark.parametrize("name", RESIDUALS)
TOKENS = tf.constant(
    np.random.default_rng(0).normal(size=(64, 3, 8)), "float32"
)


@each_residual
def test_stochastic_depth_is_all_or_nothing_for_each_example(name):
    residual = RESIDUALS[name](stochastic_depth_rate=0.5)
    y = residual(TOKENS)
    found = residual(TOKENS, training=True)
    is_kept = np.any(found != 0, axis=(1, 2))
    assert 10 < np.sum(is_kept) < 54
    expected = np.where(is_kept[:, None, None], 2 * y, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    again = residual(TOKENS, training=True)
    assert np.any(is_kept != np.any(again != 0, axis=(1, 2)))


@each_residual
def test_dropout_is_active_in_training_only(name):
    residual = RESIDUALS[name](dropout_rate=0.5)
    np.testing.assert_array_equal(residual(TOKENS), residual(TOKENS))
    dropped = np.mean(residual(TOKENS, training=True) == 0)
    assert 0.4 < dropped < 0.6


@each_residual
def test_residuals_keep_frozen_parts_and_settings(name):
    residual = RESIDUALS[name](
        dropout_rate=0.1, stochastic_depth_rate=0.2, epsilon=1e-3
    )
    residual(TOKENS)
    residual.layers[1].trainable = False
    copy = type(residual).from_config(residual.get_config())
    copy(TOKENS)
    assert copy.get_config() == residual.get_config()
    assert [v.trainable for v in copy.weights] == [
        v.trainable for v in residual.weights
    ]
    assert copy.layers[0].epsilon == 1e-3


@pytest.mark.parametrize(
    "initializer",
    [
        "x",
        3,
        {"a": 1},
        {"class_name": "RandomNormal", "config": {"no_argument": 1}},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "create",
    [
        functools.partial(layers.AttentionResidual, 8, 2),
        functools.partial(layers.MLPResidual, 8, 8),
        functools.partial(layers.PatchEmbedding, 8, 4),
    ],
    ids=lambda create: create.func.__name__,
)
def test_what_is_no_initializer(create, initializer):
    received = re.escape(f"Received: kernel_initializer={initializer!r}")
    with pytest.raises(ValueError, match=f"must be None, a Keras.*{received}"):
        create(kernel_initializer=initializer)


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda: layers.AttentionResidual(8, 3), "divide.*heads=3, width=8"),
        (lambda: layers.AttentionResidual(8, 0), "positive.*heads=0"),
        (lambda: layers.MLPResidual(8, 0), "positive.*hidden=0"),
        (lambda: layers.MLPResidual(0, 8), "positive.*width=0"),
        (lambda: layers.MLPResidual(8, 8, 1.0), "less than 1.*rate=1.0"),
        (
            lambda: layers.AttentionResidual(8, 2, stochastic_depth_rate=-0.1),
            "less than 1. Received: stochastic_depth_rate=-0.1",
        ),
        (lambda: layers.MLPResidual(8, 8, epsilon=0), "positive.*epsilon=0"),
        (
            lambda: layers.AttentionResidual(8, 2).build((None, 3, 16)),
            r"made for, 8. Received: input_shape=\(None, 3, 16\)",
        ),
        (
            lambda: layers.MLPResidual(8, 8).build((None, 3, 3, 8)),
            r"made for, 8. Received: input_shape=\(None, 3, 3, 8\)",
        ),
    ],
)
def test_arguments_out_of_range(create, message):
    with pytest.raises(ValueError, match=message):
        create()


def test_blocks_are_alike_unless_they_differ():
    """So that the graph of a training step has them once."""

    def kinds(**kwargs):
        block = layers.reversible_block(
            RESIDUALS["attention"](**kwargs), RESIDUALS["mlp"](**kwargs)
        )
        block((TOKENS, TOKENS))
        return [kind_of(coupling) for coupling in block.blocks]

    one = kinds(stochastic_depth_rate=0.1)
    assert one == kinds(stochastic_depth_rate=0.1)
    assert one[0] != one[1] and not any(map(is_foreign, one))
    assert one != kinds(stochastic_depth_rate=0.2)
