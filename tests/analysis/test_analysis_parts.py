"""Tests of what irevnet_tf.apps.analyze stands on: samples and files."""

import dataclasses
import sys

import keras
import numpy as np
import pytest
from commands import DIGITS
from commands import request
from matplotlib.figure import Figure
from PIL import Image

from irevnet_tf.apps.analysis import report
from irevnet_tf.apps.analysis.files import write_animation
from irevnet_tf.apps.analysis.files import write_svg
from irevnet_tf.apps.analysis.files import write_table
from irevnet_tf.apps.analysis.progress import StudyProgress
from irevnet_tf.apps.analysis.samples import draw_images
from irevnet_tf.apps.analysis.samples import find_pairs
from irevnet_tf.apps.analysis.samples import photographs
from irevnet_tf.apps.analysis.studies import STUDIES
from irevnet_tf.apps.analysis.subject import load_subject
from irevnet_tf.apps.analysis.subject import weights_sha256
from irevnet_tf.data import load_dataset


@pytest.fixture(scope="module")
def subject():
    return load_subject(request(*DIGITS, "--study=all", "--output=x"))


def test_the_hash_is_of_weights_not_of_names():
    def dense(units):
        layer = keras.layers.Dense(units, kernel_initializer="ones")
        return keras.Sequential([keras.Input((6 // units,)), layer])

    assert weights_sha256(dense(2)) == weights_sha256(dense(2))
    # As many bytes of another shape.
    assert weights_sha256(dense(2)) != weights_sha256(dense(3))


def test_images_are_drawn_by_the_seed(subject):
    dataset = load_dataset("digits")
    everything, _ = dataset.arrays("test")
    drawn = draw_images(dataset, "test", 20, 3)
    assert drawn.text == "20 of 360 test images"
    same = draw_images(dataset, "test", 20, 3)
    np.testing.assert_array_equal(drawn.images, same.images)
    # More images begin with the same ones.
    more = draw_images(dataset, "test", 999, 3)
    np.testing.assert_array_equal(more.images[:20], drawn.images)
    assert more.text == "360 of 360 test images"
    assert np.any(draw_images(dataset, "test", 20, 4).images != drawn.images)
    flat = {image.tobytes() for image in everything}
    assert {image.tobytes() for image in more.images} == flat


def test_pairs_are_of_one_class_or_of_two():
    labels = np.array([0, 0, 0, 1, 1, 1, 2])
    across, within = find_pairs(labels, across=2, within=2)
    assert across.tolist() == [[0, 3], [1, 4]]
    assert np.all(labels[across[:, 0]] != labels[across[:, 1]])
    # No image is in two pairs, though there are not enough then.
    assert within.tolist() == []
    across, within = find_pairs(labels, across=1, within=9)
    assert within.tolist() == [[1, 2], [4, 5]]
    across, within = find_pairs(np.zeros(4, int), across=2, within=1)
    assert across.shape == (0, 2) and within.tolist() == [[0, 1]]


def test_photographs_are_like_the_data_set():
    dataset = load_dataset("digits")
    images, text = photographs(dataset)
    assert images.shape[1:] == (8, 8, 1)
    assert 0 <= images.min() < 0.2 < images.max() <= 1
    assert text.startswith("the photographs china, flower")
    odd = dataclasses.replace(dataset, image_shape=(8, 8, 2))
    assert photographs(odd) == (None, "no photographs")


def test_sizes_are_what_the_data_set_has(subject):
    asked = request("--train_images=9999", "--train_size=9999", "--pairs=9999")
    prepared = STUDIES["separation"].prepare(subject, asked)
    assert prepared.options["train_size"] == 1437
    assert prepared.sampled == (
        "1,437 of 1,437 training images, 360 of 360 test images, drawn with "
        "seed 0. Of the training images, 1,437 at once, 5 times."
    )
    pairs = STUDIES["metamers"].prepare(subject, asked)
    assert pairs.sampled.startswith("180 pairs of test images of different")
    gallery = STUDIES["depth_gallery"].prepare(subject, asked)
    assert len(gallery.arrays[0]) == 1000


def test_a_figure_is_the_same_file_again(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        figure = Figure()
        axis = figure.subplots()
        axis.plot([0, 1], marker="o", label="<script>")
        axis.legend()
        write_svg(figure, tmp_path / folder / "x.svg")
    first, second = (tmp_path / folder / "x.svg" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert "&lt;script&gt;</text>" in first.read_text()


def test_animations_move(tmp_path):
    frames = [np.full((40, 50, 3), shade, "uint8") for shade in (0, 90, 255)]
    write_animation(frames, tmp_path / "x.webp")
    with Image.open(tmp_path / "x.webp") as found:
        assert (found.size, found.n_frames) == ((200, 160), 3)
        found.seek(1)
        assert found.convert("RGB").getpixel((3, 3)) == (90, 90, 90)


def test_large_pictures_become_smaller_in_the_report(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), "uint8")
    Image.fromarray(noise).save(tmp_path / "x.png")
    address = report._data_address(tmp_path / "x.png")
    assert address.startswith("data:image/webp;base64,")
    assert len(address) < report.MOST_BYTES * 4 / 3 + 30


def test_progress_tells_the_time_to_go(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    progress = StudyProgress("curve")
    for clock[0], part in ((1.0, 0.1), (11.0, 0.1), (12.0, 0.2), (30.0, 0.5)):
        progress(part)
    progress.clear()
    assert capsys.readouterr().out == (
        "curve  10%  1:39 min to go\ncurve  50%  0:30 min to go\n"
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    progress = StudyProgress("curve")
    clock[0] = 31.0
    progress(0.5)
    progress.clear()
    assert capsys.readouterr().out == (
        "\rcurve  50%  0:01 min to go\x1b[K\r\x1b[K"
    )


def test_tables_need_no_quotes_of_numbers(tmp_path):
    write_table([{"a, b": np.float64(np.inf), "c": True}], tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == '"a, b",c\ninf,True\n'
