"""Tests of irevnet_tf.analysis.depth_gallery."""

import numpy as np
import small

from irevnet_tf import analysis


def test_all_components_of_data_of_known_rank_give_the_images():
    """Of three images and their mixtures, psi keeps the two components."""
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 12)
    x = np.tensordot(weights, small.images(3), 1).astype("float32")
    result = analysis.depth_gallery(
        small.psi_only(), x[:8], x[8:], components=[1, 2, 5]
    )
    errors = np.max(result.errors, axis=-1)[0]
    assert errors[0] > 1e-3
    np.testing.assert_allclose(errors[1:], 0, atol=1e-5)
    np.testing.assert_allclose(result.variance[0, 1:], 1, atol=1e-5)
    np.testing.assert_allclose(result.decoded[0, 2], x[8:], atol=1e-5)


def test_more_components_come_closer():
    model, x = small.irevnet(), small.images(30)
    result = analysis.depth_gallery(model, x, x[:2], components=[29, 1, 8])
    assert result.points == ("stage1", "stage2")
    assert result.components.tolist() == [1, 8, 29]
    assert np.all(np.diff(result.errors, axis=1) < 0)
    assert np.max(result.errors[:, -1]) < 1e-3
    assert result.decoded.shape == (2, 3, 2, 8, 8, 3)


def test_default_components_are_as_many_as_there_are_images_for():
    x = small.images(6)
    result = analysis.depth_gallery(small.irevnet(), x, x[:1])
    assert result.components.tolist() == [1, 4]


def test_images_may_be_more_than_a_representation_has_values():
    x = small.images(80, (8, 8, 1))
    model = small.irevnet(shape=(8, 8, 1))
    result = analysis.depth_gallery(model, x, x[:2], batch_size=7)
    assert result.components.tolist() == [1, 4, 16, 64]
    np.testing.assert_allclose(result.errors[:, -1], 0, atol=1e-3)


def test_tiles_are_channels():
    x = small.images(9)
    result = analysis.depth_gallery(small.irevnet(), x, x[:2])
    assert [tiles.shape for tiles in result.tiles] == [
        (2, 16, 2, 2),
        (2, 16, 1, 1),
    ]
    assert all(0 <= np.min(t) and np.max(t) <= 1 for t in result.tiles)
