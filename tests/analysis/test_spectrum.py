"""Tests of irevnet_tf.analysis.spectrum against known answers."""

import keras
import numpy as np
import pytest
import small
import tensorflow as tf
from scipy.sparse.linalg import aslinearoperator

import irevnet_tf
from irevnet_tf import analysis
from irevnet_tf import layers
from irevnet_tf.analysis.singular_values import largest


def linear_network(matrices):
    """Return additive couplings whose residuals are matrices, behind psi."""
    image = keras.Input((4, 4, 1))
    streams = layers.ChannelSplit()(layers.InvertibleDownsampling(2)(image))
    residuals = [keras.layers.Dense(2, use_bias=False) for _ in matrices]
    streams = layers.ReversibleSequence(
        [layers.AdditiveCoupling(residual) for residual in residuals],
        name="blocks",
    )(streams)
    model = keras.Model(image, layers.ChannelMerge()(streams))
    for residual, matrix in zip(residuals, matrices, strict=True):
        residual.set_weights([matrix])
    return model


def jacobians(matrices):
    """Return the Jacobians of a position's four values behind each block."""
    product, found = np.eye(4), []
    for matrix in matrices:
        # (x1, x2) -> (x2, x1 + x2 A), as columns.
        block = np.block([[np.zeros((2, 2)), np.eye(2)], [np.eye(2), matrix.T]])
        product = block @ product
        found.append(product)
    return found


MATRICES = list(np.random.default_rng(0).normal(size=(3, 2, 2)))


def test_singular_values_of_linear_residuals_are_known():
    image = small.images(1, (4, 4, 1))
    result = analysis.spectrum(linear_network(MATRICES), image)
    assert result.points == ("blocks_block1", "blocks_block2", "blocks")
    assert result.method == "exact"
    for found, jacobian in zip(
        result.singular_values[0], jacobians(MATRICES), strict=True
    ):
        # Each of the four positions has the same ones.
        values = np.linalg.svd(jacobian, compute_uv=False)
        np.testing.assert_allclose(found, np.repeat(values, 4), rtol=1e-5)
        np.testing.assert_allclose(
            np.sort(found)[-1] / np.sort(found)[0],
            np.linalg.cond(jacobian),
            rtol=1e-5,
        )


def test_gains_are_those_of_the_blocks():
    result = analysis.spectrum(
        linear_network(MATRICES), small.images(1, (4, 4, 1))
    )
    for gains, matrix in zip(result.block_gains[0], MATRICES, strict=True):
        values = np.linalg.svd(jacobians([matrix])[0], compute_uv=False)
        np.testing.assert_allclose(gains, values[[-1, 0]], rtol=1e-5)


def test_least_squares_invert_a_linear_network():
    local = analysis.spectrum(
        linear_network(MATRICES), small.images(2, (4, 4, 1))
    ).local
    assert local.methods[-1] == "inverse"
    assert np.max(local.errors[:, 1:]) < 1e-5
    known = local.errors[:, 0]
    np.testing.assert_allclose(known[:, :3], local.distances[:, :3], rtol=0.02)
    np.testing.assert_allclose(
        local.distances, [10.0 ** np.arange(-3, 0.5, 0.5)] * 2, rtol=1e-3
    )


@pytest.mark.parametrize("family", ["bijective", "bijective_1x1"])
@pytest.mark.parametrize("lossless", [False, True])
def test_bijective_network_preserves_volume(family, lossless):
    model = small.irevnet(family, lossless=lossless)
    result = analysis.spectrum(model, small.images(2), points=["stage2"])
    assert np.max(result.condition_numbers()) > 1.5
    np.testing.assert_allclose(result.log_volumes(), 0.0, atol=2e-3)


def test_injective_network_does_not():
    result = analysis.spectrum(small.irevnet("injective"), small.images(1))
    assert result.singular_values.shape == (1, 5, 192)
    assert result.log_volumes()[0, -1] > 1.0


def test_values_agree_with_differences():
    model = small.irevnet("bijective")
    image = small.images(1)[0]
    step = 1e-2 * np.eye(192, dtype="float32").reshape(192, 8, 8, 3)
    result = analysis.spectrum(model, image[None], points=["stage2"])
    found = result.singular_values[0, -1]
    encoder = irevnet_tf.encoder(model)
    columns = (encoder(image + step) - encoder(image - step)) / 2e-2
    expected = np.linalg.svd(np.reshape(columns, (192, -1)), compute_uv=False)
    np.testing.assert_allclose(found[:20], expected[:20], rtol=0.02)


@pytest.mark.parametrize("window", [3, (1, 2, 4, 3)])
def test_svds_finds_the_largest_ones(window):
    model, image = small.irevnet("injective"), small.images(1)
    exact = analysis.spectrum(model, image, window=window, points=["stage2"])
    largest = analysis.spectrum(
        model, image, window=window, method="svds", count=5
    )
    assert largest.points == ("stage2",)
    assert largest.pixels == exact.pixels
    np.testing.assert_allclose(
        largest.singular_values, exact.singular_values[..., :5], rtol=1e-4
    )
    # Of which the part that is not known is estimated.
    np.testing.assert_allclose(largest.energy, exact.energy, rtol=0.2)
    assert largest.local is None
    assert np.all(np.isnan(largest.log_volumes()))
    assert np.all(np.isnan(largest.share_of_first(0.9)))


def test_window_is_the_part_that_varies():
    model, image = linear_network(MATRICES), small.images(1, (4, 4, 1))
    result = analysis.spectrum(model, image, window=(0, 2, 2, 2))
    values = np.linalg.svd(jacobians(MATRICES)[-1], compute_uv=False)
    np.testing.assert_allclose(result.singular_values[0, -1], values, rtol=1e-5)
    moved = result.local.neighbours[0] - image
    assert np.any(moved[:, :2, 2:])
    assert not np.any(moved[:, 2:]) and not np.any(moved[:, :, :2])


def test_energy_of_a_spectrum_that_few_values_dominate():
    values = np.concatenate([[100.0, 50.0], np.linspace(3.0, 0.1, 498)])
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(500, 500)))
    operator = aslinearoperator(rotation * values)
    found, energy = largest(operator, 10, np.random.default_rng(0))
    np.testing.assert_allclose(found, values[:10], rtol=1e-6)
    np.testing.assert_allclose(energy, np.sum(values**2), rtol=0.01)


def test_shares_of_energy():
    result = analysis.spectrum(
        linear_network(MATRICES), small.images(1, (4, 4, 1))
    )
    shares = result.energy_shares()
    np.testing.assert_allclose(shares[..., -1], 1.0)
    assert result.values_for(1.0)[0, 0] <= 16
    counts = result.values_for(0.8)[0]
    for point, count in enumerate(counts.astype(int)):
        assert shares[0, point, count - 1] >= 0.8
        assert count == 1 or shares[0, point, count - 2] < 0.8


class Function(keras.layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


@tf.custom_gradient
def with_gradient_of_its_own(x):
    return 2.0 * x, lambda dy: 2.0 * dy


def recurrent(x):
    """Return 2 x, added up in a loop."""
    return tf.while_loop(
        lambda step, y: step < 2, lambda step, y: (step + 1, y + x), (0, 0 * x)
    )[1]


def around(function):
    image = keras.Input((4, 4, 1))
    streams = layers.ChannelSplit()(layers.InvertibleDownsampling(2)(image))
    streams = layers.ReversibleSequence(
        [layers.AdditiveCoupling(Function(function))], name="blocks"
    )(streams)
    return keras.Model(image, layers.ChannelMerge()(streams))


@pytest.mark.parametrize(
    "double",
    [
        with_gradient_of_its_own,
        recurrent,
        tf.function(lambda x: 2.0 * x),
        lambda x: tf.cond(tf.reduce_sum(x) > 1e9, lambda: x, lambda: 2.0 * x),
    ],
)
@pytest.mark.parametrize("method", ["exact", "svds"])
def test_residuals_that_are_hard_to_derive(double, method):
    result = analysis.spectrum(
        around(double), small.images(1, (4, 4, 1)), method=method, count=4
    )
    values = np.linalg.svd(jacobians([2 * np.eye(2)])[0], compute_uv=False)
    expected = np.repeat(values, 4)[: 16 if method == "exact" else 4]
    np.testing.assert_allclose(
        result.singular_values[0, -1], expected, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("double", "message"),
    [
        (lambda x: tf.map_fn(lambda row: 2.0 * row, x), "forward mode passes"),
        (tf.recompute_grad(lambda x: 2.0 * x), "forward mode passes"),
        (
            lambda x: tf.ensure_shape(
                tf.numpy_function(lambda y: 2 * y, [x], tf.float32), x.shape
            ),
            "derivative of others, such as those in tf.numpy_function",
        ),
    ],
)
def test_residuals_that_cannot_be_derived(double, message):
    with pytest.raises(ValueError, match=message):
        analysis.spectrum(around(double), small.images(1, (4, 4, 1)))


def test_many_points_are_taken_in_groups():
    matrices = [0.1 * matrix for matrix in MATRICES * 4]
    result = analysis.spectrum(
        linear_network(matrices), small.images(1, (4, 4, 1))
    )
    values = np.linalg.svd(jacobians(matrices)[-1], compute_uv=False)
    assert len(result.points) == 12
    np.testing.assert_allclose(
        result.singular_values[0, -1], np.repeat(values, 4), rtol=1e-5
    )
