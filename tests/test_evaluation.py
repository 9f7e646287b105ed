"""Tests of irevnet_tf.evaluation."""

import numpy as np
import pytest

import irevnet_tf
from irevnet_tf.evaluation import evaluate
from irevnet_tf.evaluation import reconstruct
from irevnet_tf.evaluation import relative_errors


def build(**kwargs):
    return irevnet_tf.IRevNet(
        blocks=(2, 2),
        strides=(1, 2),
        channels=(4, 16),
        initial_downsampling=1,
        input_shape=(8, 8, 1),
        classes=3,
        **kwargs,
    )


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(10, 8, 8, 1)).astype("f")


def test_relative_error_is_per_image():
    images = np.array([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]])
    reconstructions = np.array([[3.0, 3.0], [0.0, 2.0], [0.5, 0.0]])
    np.testing.assert_allclose(
        relative_errors(images, reconstructions), [0.2, 0.0, 0.5]
    )


def test_images_are_rebuilt_from_their_representations(model, images):
    rebuilt = reconstruct(model, images, batch_size=4)
    assert rebuilt.shape == images.shape
    assert np.max(relative_errors(images, rebuilt)) < 1e-6


def test_evaluation_counts_correct_classes_over_uneven_batches(model, images):
    labels = np.argmax(model(images), axis=-1)
    labels[:3] = (labels[:3] + 1) % 3
    result = evaluate(model, images, labels, batch_size=4)
    assert (result.images, result.correct, result.accuracy) == (10, 7, 0.7)
    assert 0 < result.inversion_error_mean <= result.inversion_error_max < 1e-6
    assert 0 < result.absolute_error_max < 1e-6


def test_lossless_networks_are_measured_on_their_grid(images):
    model = build(lossless=True)
    # The images are off the grid, by up to half a step of it.
    rebuilt = reconstruct(model, images)
    assert 1e-5 < np.max(np.abs(rebuilt - images)) <= 2**-15
    result = evaluate(model, images, np.zeros(len(images)))
    assert result.inversion_error_max == result.absolute_error_max == 0


def test_evaluation_refuses_images_without_labels(model, images):
    with pytest.raises(ValueError, match=r"\(10,\). Received: .*=\(9,\)"):
        evaluate(model, images, np.zeros(9))
    with pytest.raises(ValueError, match=r"Received: len\(images\)=0"):
        evaluate(model, images[:0], np.zeros(0))


def test_evaluation_refuses_labels_that_would_broadcast(model, images):
    with pytest.raises(ValueError, match=r"Received: labels.shape=\(10, 1\)"):
        evaluate(model, images, np.zeros((10, 1)))
