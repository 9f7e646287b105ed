"""Tests of irevnet_tf.analysis.interpolation."""

import sys

import numpy as np
import pytest
import small

import irevnet_tf
from irevnet_tf import analysis
from irevnet_tf import layers

STARTS, ENDS = small.images(2), small.images(2, seed=1)


@pytest.mark.parametrize("spacing", ["pixels", "linear"])
@pytest.mark.parametrize(
    "build",
    [
        lambda: small.irevnet("injective", lossless=True),
        lambda: small.by_hand(fraction_bits=14),
    ],
)
def test_ends_are_the_images_bit_for_bit(build, spacing):
    result = analysis.interpolation(
        build(), STARTS, ENDS, steps=4, spacing=spacing
    )
    on_grid = layers.FixedPointRounding(14)
    np.testing.assert_array_equal(result.images[:, 0], on_grid(STARTS))
    np.testing.assert_array_equal(result.images[:, -1], on_grid(ENDS))
    np.testing.assert_array_equal(result.t[:, [0, -1]], [[0, 1]] * 2)
    assert np.all(result.pixel_distances()[:, 0] == 0)


def test_ends_of_an_ordinary_network_are_the_images():
    result = analysis.interpolation(small.irevnet(), STARTS, ENDS)
    np.testing.assert_allclose(result.images[:, 0], STARTS, atol=1e-5)
    np.testing.assert_allclose(result.images[:, -1], ENDS, atol=1e-5)


@pytest.mark.parametrize("spacing", ["pixels", "linear"])
def test_psi_gives_the_line_in_pixels(spacing):
    result = analysis.interpolation(
        small.psi_only(), STARTS, ENDS, spacing=spacing
    )
    np.testing.assert_array_equal(result.images[:, 0], STARTS)
    np.testing.assert_array_equal(result.images[:, -1], ENDS)
    np.testing.assert_allclose(result.images, result.pixel_images, atol=1e-6)
    np.testing.assert_allclose(result.t, [np.linspace(0, 1, 9)] * 2, atol=1e-6)
    np.testing.assert_allclose(result.reencoding_errors, 0, atol=1e-6)


def test_decoded_images_are_those_of_the_line():
    model = small.irevnet()
    result = analysis.interpolation(
        model, STARTS, ENDS, point="stage1_block1", spacing="linear", steps=5
    )
    encoder = irevnet_tf.encoder(model, "stage1_block1")
    middle = (encoder(STARTS) + encoder(ENDS)) / 2
    expected = irevnet_tf.invert(model, "stage1_block1")(middle)
    np.testing.assert_allclose(result.images[:, 2], expected, atol=1e-5)
    assert result.point == "stage1_block1"


def test_steps_are_equally_far_apart():
    result = analysis.interpolation(small.irevnet(), STARTS, ENDS, steps=7)
    assert np.all(np.diff(result.t, axis=1) > 0)
    steps = np.diff(result.images, axis=1).reshape(2, 6, -1)
    lengths = np.linalg.norm(steps, axis=-1)
    uneven = np.ptp(lengths, axis=1) / np.mean(lengths, axis=1)
    assert np.all(uneven < 0.021)
    np.testing.assert_allclose(result.unevenness(), max(uneven), rtol=1e-3)


def test_steps_of_a_line_that_is_bent():
    """On which the first guess of where to decode is far off."""
    moves = np.linspace(0.0, 1.0, 1000) ** 40

    def decode(t):
        x = np.interp(t, np.linspace(0.0, 1.0, 1000), moves)
        return x[:, None, None, None]

    module = sys.modules[analysis.interpolation.__module__]
    t = module._evenly(decode, 5)
    np.testing.assert_allclose(np.diff(decode(t).ravel()), 0.25, rtol=0.03)


def test_line_from_an_image_to_itself():
    result = analysis.interpolation(small.irevnet(), STARTS, STARTS, steps=3)
    np.testing.assert_allclose(
        result.images, np.repeat(STARTS[:, None], 3, 1), atol=1e-5
    )
    assert np.all(np.diff(result.t, axis=1) >= 0)


def test_probabilities_are_the_models():
    model = small.irevnet()
    result = analysis.interpolation(
        model, STARTS, ENDS, steps=3, class_names=["a", "b", "c"]
    )
    np.testing.assert_allclose(
        result.probabilities[:, 0], model(STARTS, training=False), atol=1e-5
    )
    np.testing.assert_allclose(
        result.pixel_probabilities[:, 1],
        model((STARTS + ENDS) / 2, training=False),
        atol=1e-5,
    )
    rows = result.tables()["interpolation"]
    assert len(rows) == 2 * 3 * 3
    assert {row["class"] for row in rows} == {"a", "b", "c"}
    likely = [row["probability"] for row in rows[:3]]
    assert likely == sorted(likely, reverse=True)


def test_logits_become_probabilities():
    model = small.extended()
    result = analysis.interpolation(model, STARTS, ENDS, steps=2)
    np.testing.assert_allclose(np.sum(result.probabilities, -1), 1, atol=1e-6)
    assert result.class_names == ("0", "1", "2")


def test_out_of_range_is_in_units_of_white():
    x = np.stack([np.full(small.SHAPE, v, "float32") for v in (-0.25, 1.5)])
    result = analysis.interpolation(small.psi_only(), x[:1], x[1:], steps=3)
    np.testing.assert_allclose(
        result.out_of_range(), [[0.25, 0.0, 0.5]], atol=1e-6
    )
    np.testing.assert_allclose(
        result.pixel_distances(), [[0, 0.875, 1.75]], atol=1e-6
    )


def test_frames_go_there_and_back():
    result = analysis.interpolation(small.psi_only(), STARTS, ENDS, steps=4)
    frames = analysis.interpolation_frames(result)
    assert len(frames) == 6
    assert frames[0].shape == (8, 16, 3) and frames[0].dtype == "uint8"
    expected = np.rint(255 * np.concatenate(list(STARTS), axis=1))
    np.testing.assert_array_equal(frames[0], expected)
    np.testing.assert_array_equal(frames[1], frames[5])
    gray = analysis.interpolation(
        small.irevnet(shape=(8, 8, 1)), STARTS[..., :1], ENDS[..., :1]
    )
    assert analysis.interpolation_frames(gray)[0].shape == (8, 16)
