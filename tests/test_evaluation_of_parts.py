"""Inversion errors of networks that can be inverted in parts, or not at all."""

import math

import cases
import keras
import numpy as np
import pytest
import small_revnets

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.apps.evaluate import table
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.reconstruction import InversionProbe
from irevnet_tf.reconstruction import round_trips


@keras.saving.register_keras_serializable(package="parts")
class WrongBy(layers.InvertibleLayer):
    """Returns what it takes; its inverse returns it off by a known part."""

    def __init__(self, error, **kwargs):
        super().__init__(**kwargs)
        self.error = error

    def call(self, inputs):
        return 1.0 * inputs

    def inverse(self, outputs):
        return outputs * (1.0 + self.error)


IMAGES = np.random.default_rng(0).random((6, 4, 4, 2), "float32")
LABELS = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]


def network(*errors):
    """Return a classifier of a part for each error, and walls between."""
    image = x = keras.Input(IMAGES.shape[1:])
    for index, error in enumerate(errors):
        x = WrongBy(error, name=f"part{index}")(x)
        x = keras.layers.Conv2D(2, 1, name=f"wall{index}")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3)(x))


def measured(model, images=IMAGES, labels=LABELS):
    weights = np.ones(len(images), "float32")
    return Evaluator(model).measure([(images, labels, weights)])


@pytest.mark.parametrize("errors", [(0.25,), (0.1, 0.25, 0.05), (0.25, 0.1)])
def test_the_worst_part_counts(errors):
    model = network(*errors)
    assert len(round_trips(model)) == len(errors)
    result = measured(model)
    assert result.inversion_error_mean == pytest.approx(0.25)
    assert result.inversion_error_max == pytest.approx(0.25)
    entering = [
        irevnet_tf.encoder(model, f"part{index}")(IMAGES)
        for index in range(len(errors))
    ]
    largest = max(
        error * np.abs(x).max()
        for error, x in zip(errors, entering, strict=True)
    )
    assert result.absolute_error_max == pytest.approx(largest, rel=1e-5)
    found = InversionProbe(model, IMAGES).measure()
    assert found == {"inversion_error": pytest.approx(0.25)}
    parts = f"{len(errors)} stages, each to its entrance"
    assert result.inverted == ("the image" if len(errors) == 1 else parts)
    assert result.inverted in table(result)


def test_without_an_inverse_accuracy_is_left():
    model = network()
    assert round_trips(model) == []
    result = measured(model)
    assert result.images == len(IMAGES) and math.isfinite(result.cross_entropy)
    assert math.isnan(result.inversion_error_mean)
    assert math.isnan(result.absolute_error_max)
    assert "inverts                   nothing" in table(result)
    assert "inversion error" not in table(result)
    assert InversionProbe(model, IMAGES).measure() == {}


def test_lossless_stages_are_compared_on_their_grids():
    model = cases.stir(small_revnets.revnet(lossless=True))
    images, labels = cases.digits(4)
    one_hot = np.eye(cases.CLASSES, dtype="float32")[labels]
    result = measured(model, images, one_hot)
    assert result.inversion_error_max == result.absolute_error_max == 0
    probe = InversionProbe(model, images)
    assert probe.measure() == {"inversion_error": 0.0}


def test_parts_in_a_model_that_takes_no_images():
    inside = keras.Input(IMAGES.shape[1:])
    nested = keras.Model(
        inside, layers.InvertibleDownsampling(2, name="deep")(inside)
    )
    image = keras.Input(IMAGES.shape[1:])
    x = WrongBy(0.0, name="first")(image)
    x = keras.layers.Conv2D(2, 1)(x)
    model = keras.Model(image, nested(x))
    for refused in (
        lambda: irevnet_tf.encoder(model, "deep"),
        lambda: irevnet_tf.features(model, ["first", "deep"]),
        lambda: round_trips(model),
    ):
        with pytest.raises(ValueError, match="graph of one model. Rec.*deep"):
            refused()
