"""Tests of the page's uploads: the right picture, or one sentence."""

import numpy as np
import page_files
import pytest
import tensorflow as tf
from PIL import Image

from irevnet_tf.apps.page import uploads
from irevnet_tf.apps.page.refused import Refused
from irevnet_tf.apps.page.uploads import read_upload
from irevnet_tf.data.decoding import central_crop

COLOUR, GRAY = (16, 16, 3), (8, 8, 1)


def refusal(raw, shape=GRAY):
    with pytest.raises(Refused) as caught:
        read_upload(raw, shape)
    sentence = caught.value.sentence
    assert sentence.endswith(".") and "\n" not in sentence
    return caught.value.status, sentence


@pytest.mark.parametrize("name", list(page_files.sound_files()))
@pytest.mark.parametrize("shape", [COLOUR, GRAY], ids=["colour", "gray"])
def test_every_kind_of_file_can_be_read(name, shape):
    pixels, _ = read_upload(page_files.sound_files()[name], shape)
    assert pixels.shape == shape and pixels.dtype == np.uint8


@pytest.mark.parametrize(
    "name",
    ["rgb.png", "palette.png", "photo.jpeg", "cmyk.jpeg", "one.gif"]
    + ["progressive.jpeg", "plain.bmp"],
)
def test_colours_are_right(name):
    pixels, note = read_upload(page_files.sound_files()[name], COLOUR)
    left, right = pixels[8, 2].astype(int), pixels[8, -3].astype(int)
    np.testing.assert_allclose(left, [255, 0, 0], atol=40)
    np.testing.assert_allclose(right, [0, 0, 255], atol=40)
    assert note == ""


def test_cmyk_as_adobe_writes_it_is_right():
    raw = page_files.encoded(page_files.picture(mode="CMYK"), "JPEG")
    assert b"Adobe" in raw
    pixels, _ = read_upload(raw, COLOUR)
    assert pixels[8, 2, 0] > 200 and pixels[8, 2, 2] < 60


@pytest.mark.parametrize("value", [0, 257, 40_000, 65_535])
def test_16_bits_are_scaled_and_not_cut_off(value):
    gray = page_files.gray16(np.full((4, 4), value))
    pixels, _ = read_upload(gray, GRAY)
    assert np.all(pixels == round(value / 257))
    colour = page_files.rgb16(np.full((4, 4, 3), value))
    pixels, _ = read_upload(colour, COLOUR)
    np.testing.assert_allclose(pixels, value / 257, atol=1)


def test_a_turned_photograph_is_upright():
    # Turned by a quarter to the right, what was at the left is at the top.
    pixels, _ = read_upload(page_files.turned(6), COLOUR)
    assert pixels[2, 8, 0] > 200 and pixels[-3, 8, 2] > 200
    pixels, _ = read_upload(page_files.turned(3), COLOUR)
    assert pixels[8, 2, 2] > 200 and pixels[8, -3, 0] > 200


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of the data.
def test_damaged_exif_data_do_not_matter():
    raw = page_files.turned(6)
    # The offset of the first directory leads out of the data.
    raw = raw.replace(b"II*\0\x08\0\0\0", b"II*\0\xff\xff\0\0")
    raw = raw.replace(b"MM\0*\0\0\0\x08", b"MM\0*\0\0\xff\xff")
    assert raw != page_files.turned(6)
    pixels, _ = read_upload(raw, COLOUR)
    assert pixels[8, 2, 0] > 200 and pixels[8, -3, 2] > 200


def test_transparent_parts_are_white_and_this_is_said():
    pixels, note = read_upload(page_files.half_transparent(), GRAY)
    assert np.all(pixels[:, :3] == 0) and np.all(pixels[:, 5:] == 255)
    assert note == "Its transparent parts are white here."


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_of_an_animation_the_first_frame_is_shown_and_this_is_said(kind):
    pixels, note = read_upload(page_files.animation(kind), GRAY)
    assert np.all(pixels == 255)
    assert note == "This is the first frame of an animation."


def test_one_pixel_fills_the_picture():
    raw = page_files.encoded(Image.new("L", (1, 1), 77))
    pixels, _ = read_upload(raw, GRAY)
    assert np.all(pixels == 77)


def test_the_centre_is_cut_out():
    values = np.zeros((8, 24), "uint8")
    values[:, 8:16] = 200
    raw = page_files.encoded(Image.fromarray(values))
    pixels, _ = read_upload(raw, GRAY)
    assert np.all(pixels == 200)


def test_small_pictures_are_resized_as_for_other_commands():
    values = np.random.default_rng(0).integers(0, 256, (12, 14, 3), "uint8")
    raw = page_files.encoded(Image.fromarray(values))
    pixels, _ = read_upload(raw, (16, 16, 3))
    others = central_crop(tf.constant(raw), (16, 16, 3)).numpy()
    np.testing.assert_allclose(pixels, others, atol=2)


def test_a_photograph_of_12_megapixels():
    values = np.linspace(0, 255, 4000).astype("uint8")
    photograph = Image.fromarray(np.tile(values, (3000, 1))).convert("RGB")
    for raw in (
        page_files.encoded(photograph, "JPEG"),
        page_files.encoded(photograph, "PNG", compress_level=1),
    ):
        pixels, _ = read_upload(raw, (28, 28, 1))
        row = pixels[14, :, 0].astype(int)
        # The middle 3000 of 4000 columns, from an eighth on.
        expected = 255 * (0.125 + 0.75 * (np.arange(28) + 0.5) / 28)
        np.testing.assert_allclose(row, expected, atol=3)


def test_a_decompression_bomb_is_not_decoded(monkeypatch):
    def never(image):
        raise AssertionError("was decoded")

    monkeypatch.setattr(Image.Image, "load", never)
    for side in (7_000, 30_000):
        status, sentence = refusal(page_files.bomb(side))
        assert status == 413
        assert sentence == (
            "The picture is too large: at most 40 million pixels are taken."
        )


def test_a_frame_that_is_larger_than_its_file_says_is_refused(monkeypatch):
    monkeypatch.setattr(uploads, "MAX_PIXELS", 20)
    raw = bytearray(page_files.encoded(Image.new("L", (8, 8), 9), "GIF"))
    raw[6:10] = b"\4\0\4\0"
    assert refusal(bytes(raw))[0] == 413


@pytest.mark.parametrize(
    "name", ["rgb.png", "photo.jpeg", "plain.bmp", "progressive.jpeg"]
)
def test_a_truncated_file_is_refused(name):
    raw = page_files.sound_files()[name]
    status, sentence = refusal(raw[: len(raw) * 2 // 3])
    assert status == 422
    assert "damaged or not whole" in sentence


def test_what_is_no_picture_is_refused():
    webp = page_files.encoded(page_files.picture(), "WEBP")
    tiff = page_files.encoded(page_files.picture(), "TIFF")
    for raw in (b"hello", b"\0" * 1000, b"<svg/>", b"%PDF-1.7", webp, tiff):
        status, sentence = refusal(raw)
        assert status == 415
        assert "JPEG, PNG, GIF or BMP is expected" in sentence
    assert refusal(b"") == (400, "The file is empty.")


def test_a_file_of_too_many_bytes_or_scans_is_refused(monkeypatch):
    status, sentence = refusal(page_files.many_scans())
    assert status == 422 and "more than 100 scans" in sentence
    monkeypatch.setattr(uploads, "MAX_BYTES", 2**20)
    assert refusal(bytes(2**20 + 1)) == (
        413,
        "The file is too large: at most 1 MB are taken.",
    )
