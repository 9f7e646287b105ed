"""Tests of irevnet_tf.pictures."""

import numpy as np
import pytest
from matplotlib.image import imread

import irevnet_tf
from irevnet_tf.apps import invert
from irevnet_tf.pictures import amplification
from irevnet_tf.pictures import curves_figure
from irevnet_tf.pictures import inversion_figure
from irevnet_tf.pictures import write_picture


def example(channels=1, count=3, difference=3e-7):
    images = np.linspace(0.1, 1.0, count * 16 * channels, dtype="float64")
    images = images.reshape(count, 4, 4, channels)
    reconstructions = images.copy()
    reconstructions[0, 0, 0] += difference
    return images, reconstructions


def figure(images, reconstructions, **kwargs):
    arguments = {
        "value_range": (0.0, 1.0),
        "captions": [f"class {index}" for index in range(len(images))],
        "title": "a title",
    }
    return inversion_figure(images, reconstructions, **arguments | kwargs)


@pytest.mark.parametrize(
    "largest, span, expected",
    [
        (3e-7, 1.0, (2, 6)),
        (0.9e-6, 1.0, (1, 6)),
        (0.15, 1.0, (5, 0)),
        (3e-7, 10.0, (2, 7)),
        (1.5, 1.0, (1, 0)),
        (0.0, 1.0, (1, 0)),
    ],
)
def test_amplification_is_round_and_fills_the_range(largest, span, expected):
    assert amplification(np.array([0.0, largest]), span) == expected


@pytest.mark.parametrize("power", range(7))
@pytest.mark.parametrize("towards", [None, 0.0, np.inf])
def test_amplification_is_the_largest_that_fits_near_powers_of_ten(
    power, towards
):
    room = 10.0**power
    if towards is not None:
        room = np.nextafter(room, towards)
    for largest, span in ((1.0 / room, 1.0), (1.0, room), (0.3, 0.3 * room)):
        fitting = [
            digit * 10.0**exponent
            for exponent in range(9)
            for digit in (1, 2, 5)
            if largest * digit * 10.0**exponent <= span
        ]
        digit, exponent = amplification(np.array([largest]), span)
        assert digit * 10.0**exponent == max(fitting, default=1.0)


def test_rows_show_original_reconstruction_and_amplified_difference():
    images, reconstructions = example()
    axes = np.reshape(figure(images, reconstructions).axes, (3, 3))
    shown = [[axis.images[0].get_array() for axis in row] for row in axes]
    np.testing.assert_allclose(shown[0], images[..., 0])
    np.testing.assert_allclose(shown[1], reconstructions[..., 0])
    expected = np.zeros((3, 4, 4))
    expected[0, 0, 0] = 0.6
    np.testing.assert_allclose(shown[2], expected, atol=1e-6)
    labels = [row[0].get_ylabel() for row in axes]
    assert labels[:2] == ["original", "rebuilt"]
    assert labels[2] == "difference\n$\\times\\,2 \\cdot 10^{6}$"


def test_columns_tell_the_class_and_the_error():
    images, reconstructions = example()
    axes = np.reshape(figure(images, reconstructions).axes, (3, 3))
    assert [axis.get_title() for axis in axes[0]] == [
        "class 0",
        "class 1",
        "class 2",
    ]
    error = 3e-7 / np.linalg.norm(images[0])
    assert [axis.get_xlabel() for axis in axes[2]] == [f"{error:.1e}", "0", "0"]


def test_value_range_maps_black_and_white():
    images = np.full((1, 2, 2, 1), -1.0)
    images[0, 0, 0] = 1.0
    axes = figure(images, images, value_range=(-1.0, 1.0)).axes
    np.testing.assert_array_equal(
        axes[0].images[0].get_array(), [[1.0, 0.0], [0.0, 0.0]]
    )


def test_colours_stay_colours_and_their_differences_are_averaged():
    images, reconstructions = example(channels=3, difference=0.0)
    reconstructions[0, 0, 0, 1] += 0.27
    axes = np.reshape(figure(images, reconstructions).axes, (3, 3))
    assert axes[0, 0].images[0].get_array().shape == (4, 4, 3)
    difference = axes[2, 0].images[0].get_array()
    assert difference.shape == (4, 4)
    np.testing.assert_allclose(difference[0, 0], 0.9, rtol=1e-6)


def test_picture_is_written_in_the_format_of_its_name(tmp_path):
    drawn = figure(*example())
    path = tmp_path / "new" / "picture.png"
    write_picture(drawn, path)
    assert imread(path).std() > 0.1
    write_picture(drawn, tmp_path / "picture.pdf")
    assert (tmp_path / "picture.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == [
        "picture.pdf",
        "picture.png",
    ]


@pytest.mark.parametrize("name", ["picture.xyz", "picture", ".png"])
def test_unknown_format_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="in one of .pdf, .png, .svg"):
        write_picture(figure(*example()), tmp_path / name)


def test_images_of_one_column_are_drawn(tmp_path):
    images = np.linspace(0.0, 1.0, 4).reshape(1, 4, 1, 1)
    path = tmp_path / "picture.png"
    write_picture(figure(images, images), path)
    assert imread(path).std() > 0.1


def test_images_that_do_not_match_are_refused():
    images, reconstructions = example()
    with pytest.raises(ValueError, match="must have the same shape"):
        figure(images, reconstructions[:2])
    with pytest.raises(ValueError, match=r"len\(captions\)=1"):
        figure(images, reconstructions, captions=["one"])
    with pytest.raises(ValueError, match=r"len\(images\)=0"):
        figure(images[:0], reconstructions[:0])


def rows(error):
    return [
        {
            "epoch": float(epoch),
            "learning_rate": 0.1 / epoch,
            "accuracy": 1 - 0.5 / epoch,
            "loss": 1 / epoch,
            "test_accuracy": 1 - 0.6 / epoch,
            "test_loss": 2 / epoch,
            "inversion_error": error,
            "images_per_second": 100.0,
        }
        for epoch in (1, 2, 3)
    ]


@pytest.mark.parametrize("error", [0.0, 1e-6])
def test_curves_show_every_epoch(error, tmp_path):
    figure = curves_figure(rows(error))
    loss, accuracy, rate, inversion = figure.axes
    for axis, count in ((loss, 2), (accuracy, 2), (rate, 1), (inversion, 1)):
        assert len(axis.lines) == count
        for line in axis.lines:
            assert line.get_xdata().tolist() == [1, 2, 3]
    assert loss.lines[1].get_ydata().tolist() == [2, 1, pytest.approx(2 / 3)]
    said = [text.get_text() for text in inversion.texts]
    assert said == ([] if error else ["0 in every epoch"])
    write_picture(figure, tmp_path / "curves.png")


def test_curves_without_an_epoch_are_refused():
    with pytest.raises(ValueError, match=r"Received: rows=\[\]"):
        curves_figure([])


def test_inversions_are_compared_with_what_a_lossless_network_takes():
    """8-bit images divided by 255 are not on the grid: they are rounded."""
    model = irevnet_tf.IRevNet28(weights="fashion_mnist", lossless=True)
    images = np.random.default_rng(0).integers(1, 256, (2, 28, 28, 1))
    x = irevnet_tf.preprocess_input(images, "fashion_mnist")
    shown = invert.Shown(x, ["a", "b"], (0.0, 1.0), "images")
    drawn = invert._figure(model, "clothes", shown, None)
    labels = [axes.get_xlabel() for axes in drawn.axes]
    assert [text for text in labels if text] == ["0", "0"]
