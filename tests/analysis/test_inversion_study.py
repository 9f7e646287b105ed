"""Tests of irevnet_tf.analysis.inversion."""

import foreign
import numpy as np
import pytest
import small

from irevnet_tf import analysis


@pytest.mark.parametrize("lossless", [False, True])
def test_both_modes_run_on_the_same_weights(lossless):
    model = small.irevnet("injective", lossless=lossless)
    result = analysis.inversion(
        model, small.images(4), noise_images=3, batch_size=3
    )
    assert result.modes == ("ordinary", "lossless")
    assert result.shown_mode == ("lossless" if lossless else "ordinary")
    assert result.inputs == ("test",) * 4 + ("noise",) * 3
    assert result.points == (
        "stage1_block1",
        "stage1_block2",
        "stage1",
        "stage2_block1",
        "stage2",
    )
    assert result.depths.tolist() == [1, 2, 3, 4, 5]
    ordinary, exact = result.relative_errors
    assert np.all(exact == 0) and np.all(result.largest_errors[1] == 0)
    assert 0 < np.max(ordinary) < 1e-5
    assert "0 in lossless mode" in result.conclusion()


def test_errors_are_those_of_the_images():
    """Of a network whose inverse is wrong by a known amount."""

    class Wrong(foreign.ActNorm):
        def inverse(self, outputs):
            return super().inverse(outputs) + 0.25

    model = small.by_hand(more=[Wrong()])
    x = small.images(3)
    result = analysis.inversion(
        model, x, noise_images=0, batch_size=2, points=["blocks"]
    )
    assert result.modes == ("ordinary",)
    assert "has layers whose form in it is not" in result.conclusion()
    norms = np.linalg.norm(x.reshape(3, -1), axis=1)
    expected = 0.25 * np.sqrt(x[0].size) / norms
    np.testing.assert_allclose(
        result.relative_errors[0, 0], expected, rtol=1e-4
    )
    np.testing.assert_allclose(result.largest_errors, 0.25, rtol=1e-4)
    np.testing.assert_allclose(
        result.reconstructions[0], result.originals + 0.25, rtol=1e-4
    )


def test_errors_are_in_units_of_white():
    """Whatever the scale of the network's images is."""
    model = small.irevnet()
    x = small.images(2)
    unit, scaled = (
        analysis.inversion(
            model, x, noise_images=0, preprocessing=mode
        ).largest_errors
        for mode in ("unit", "imagenet")
    )
    # Standard deviations of ImageNet, about 0.22.
    np.testing.assert_allclose(scaled, 0.225 * unit, rtol=0.03)


def test_mode_whose_range_is_too_small_is_left_out():
    with pytest.warns(UserWarning, match="values from black to white"):
        result = analysis.inversion(
            small.irevnet(), 5000 * small.images(2), noise_images=0
        )
    assert result.modes == ("ordinary",)
    assert "values leave the range" in result.conclusion()


def test_noise_is_uniform_from_black_to_white():
    model = small.irevnet("injective")
    result = analysis.inversion(
        model,
        small.images(1),
        noise_images=20,
        examples=21,
        points=[1],
        preprocessing="cifar10",
    )
    noise = result.normalization.undo(result.originals[1:]).numpy() / 255
    assert 0 <= np.min(noise) < 0.01 and 0.99 < np.max(noise) <= 1
    assert abs(np.mean(noise) - 0.5) < 0.02


def test_shown_are_images_of_every_kind():
    result = analysis.inversion(
        small.irevnet(),
        small.images(5),
        photographs=small.images(2, seed=1),
        noise_images=5,
        examples=6,
    )
    expected = small.images(5)[:2], small.images(2, seed=1)
    np.testing.assert_array_equal(
        result.originals[:4], np.concatenate(expected)
    )
    assert result.shown_points == ("stage1", "stage2")
    np.testing.assert_allclose(
        result.reconstructions[-1], result.originals, atol=1e-5
    )
