"""Tests of irevnet_tf.evaluation."""

import keras
import numpy as np
import pytest

import irevnet_tf
from irevnet_tf.data import load_dataset
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.reconstruction import reconstruct
from irevnet_tf.reconstruction import relative_errors


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


def test_relative_error_is_not_that_of_something_else():
    """As tokens are, though there may be as many values."""
    with pytest.raises(ValueError, match=r"the shape of the images.*\(4, 6\)"):
        relative_errors(np.ones((4, 2, 3)), np.ones((4, 6)))


def test_images_are_rebuilt_from_their_representations(model, images):
    rebuilt = reconstruct(model, images, batch_size=4)
    assert rebuilt.shape == images.shape
    assert np.max(relative_errors(images, rebuilt)) < 1e-6


def batches(images, labels, size, fill=0):
    """Batches of examples, with `fill` at the end that do not count."""
    weights = np.ones(len(images), "float32")
    if fill:
        images = np.concatenate([images, images[:fill] + 9.0])
        labels = np.concatenate([labels, labels[:fill]])
        weights = np.concatenate([weights, np.zeros(fill, "float32")])
    one_hot = np.eye(3, dtype="float32")[labels]
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        yield images[part], one_hot[part], weights[part]


@pytest.mark.parametrize("size, fill", [(4, 0), (4, 2), (5, 10)])
def test_evaluation_counts_what_has_weight(model, images, size, fill):
    order = np.argsort(-model(images), axis=-1)
    labels = order[:, 0]
    labels[:3] = order[:3, 1]  # Nearly right.
    result = Evaluator(model).measure(batches(images, labels, size, fill))
    assert (result.images, result.correct, result.accuracy) == (10, 7, 0.7)
    assert 0 < result.inversion_error_mean <= result.inversion_error_max < 1e-6
    assert 0 < result.absolute_error_max < 1e-6


def test_evaluation_tells_the_part_that_is_done():
    digits = load_dataset("digits")
    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(image)
    classifier = keras.Model(image, keras.layers.Dense(10)(flat))
    seen = []
    found = Evaluator(classifier, inverse=False).on(
        digits, digits.test, 90, progress=seen.append
    )
    assert seen == [0.0, 0.25, 0.5, 0.75]
    assert found.images == 360


def test_lossless_networks_are_measured_on_their_grid(images):
    model = build(lossless=True)
    # The images are off the grid, by up to half a step of it.
    rebuilt = reconstruct(model, images)
    assert 1e-5 < np.max(np.abs(rebuilt - images)) <= 2**-15
    labels = np.zeros(len(images), int)
    result = Evaluator(model).measure(batches(images, labels, 5))
    assert result.inversion_error_max == result.absolute_error_max == 0


def test_evaluation_refuses_to_measure_nothing(model, images):
    for nothing in ([], [(images, np.zeros((10, 3)), np.zeros(10))]):
        with pytest.raises(ValueError, match="none with a weight above 0"):
            Evaluator(model).measure(nothing)


def test_one_output_may_have_a_name(model, images):
    named = keras.Model(model.input, {"logits": model.output})
    labels = np.argmax(model(images), axis=-1)
    for inverse in (True, False):
        found = Evaluator(named, inverse=inverse).measure(
            batches(images, labels, 5)
        )
        assert found.correct == 10


def test_labels_must_be_the_models_classes(model, images):
    labels = np.eye(5)[[4] * 10]
    with pytest.raises(ValueError, match="3 classes. Received: class 4"):
        Evaluator(model).measure([(images, labels, np.ones(10))])


def test_images_that_are_not_finite_count(model, images):
    images[0, 0, 0] = np.nan
    found = Evaluator(model).measure(batches(images, np.zeros(10, int), 5))
    assert np.isnan(found.inversion_error_max)
