"""Tests of what the page computes, against the package's own functions."""

import re

import numpy as np
import pytest

import irevnet_tf
from irevnet_tf.analysis.matching import centred
from irevnet_tf.analysis.metamer_search import MetamerSearch
from irevnet_tf.analysis.network import Network
from irevnet_tf.apps.page.explorer import Explorer
from irevnet_tf.apps.page.refused import Refused
from irevnet_tf.apps.page.search import GivenUpError
from irevnet_tf.apps.page.search import Watch
from irevnet_tf.apps.page.search import search_metamers
from irevnet_tf.data import digits
from irevnet_tf.preprocessing import PREPROCESSING

SCALE = PREPROCESSING["digits"]


def explorer_of(class_names=None, **arguments):
    model = irevnet_tf.IRevNet28(weights="digits", **arguments)
    return Explorer(Network(model, SCALE), (8, 8, 1), SCALE, class_names)


@pytest.fixture(scope="module")
def lossless():
    return explorer_of(lossless=True, class_names="0123456789")


@pytest.fixture(scope="module")
def raw():
    """The bytes of two digits, and their labels."""
    images, labels = digits.load().arrays("test", 2)
    pixels = np.rint(images * 255).astype("uint8")
    return pixels.tobytes(), labels


def test_every_point_gives_back_every_bit(lossless, raw):
    (image, _) = lossless.images(raw[0], 2)
    assert len(lossless.points) == 9
    for point in lossless.points:
        found = lossless.rebuilt(image, point)
        assert (found.differing, found.bits) == (0, 64 * 32)
        assert found.pixels.tobytes() == raw[0][:64]
        assert not np.any(found.difference)


def test_a_portable_network_gives_back_every_bit(raw):
    explorer = explorer_of(portable=True, lossless=True)
    first, second = explorer.images(raw[0], 2)
    assert explorer.rebuilt(first, "stage3").differing == 0
    middle = explorer.between(first, second, "stage3", 0.5)
    assert np.all(np.isfinite(middle))


def test_the_bits_of_an_ordinary_network_are_counted(raw):
    explorer = explorer_of()
    image, _ = explorer.images(raw[0], 2)
    found = explorer.rebuilt(image, "stage3")
    network = explorer.network
    back = network.decode(network.encode(image, "stage3"), "stage3")
    expected = sum(
        (int(a) ^ int(b)).bit_count()
        for a, b in zip(
            image.view("uint32").flat, back.view("uint32").flat, strict=True
        )
    )
    assert found.differing == expected > 0
    # Amplified, what cannot be seen can be.
    assert found.factor > 1000
    assert 255 / 2.5 - 1 <= np.max(found.difference) <= 255


def test_classes_are_those_of_the_model(lossless, raw):
    image, _ = lossless.images(raw[0], 2)
    found = lossless.classes(image)
    probabilities = lossless.network.model.predict(image, verbose=0)
    decoded = irevnet_tf.decode_predictions(probabilities, 5, "digits")[0]
    assert [name for name, _ in found] == [name for _, name, _ in decoded]
    np.testing.assert_allclose(
        [x for _, x in found], [x for _, _, x in decoded], rtol=1e-4, atol=1e-7
    )
    assert found[0][0] == str(raw[1][0])


def test_the_ends_between_two_pictures_are_the_pictures(lossless, raw):
    first, second = lossless.images(raw[0], 2)
    for point in ("stage1_block1", "stage3"):
        for share, end in ((0.0, first), (1.0, second)):
            found = lossless.between(first, second, point, share)
            np.testing.assert_array_equal(found, end)
    middle = lossless.between(first, second, "stage3", 0.5)
    assert np.max(np.abs(middle - (first + second) / 2)) > 0.1


def test_representations_are_drawn_stage_by_stage(lossless, raw):
    image, _ = lossless.images(raw[0], 2)
    found = lossless.representations(image)
    assert [name for name, _, _ in found] == ["stage1", "stage2", "stage3"]
    x = lossless.network.encode(image, "stage2")[0]
    largest = np.max(np.abs(x))
    _, picture, sentence = found[1]
    # 128 channels of 4x4, of which 64 are shown, each with a border.
    assert picture.shape == (8 * 5, 8 * 5, 1)
    for tile, channel in ((0, 0), (63, 127)):
        row, column = divmod(tile, 8)
        shown = picture[5 * row : 5 * row + 4, 5 * column : 5 * column + 4, 0]
        expected = np.rint(127.5 + 127.5 * x[..., channel] / largest)
        np.testing.assert_array_equal(shown, expected)
    assert sentence.startswith("4x4 positions, 64 of 128 channels; black is")


def test_other_numbers_of_bytes_and_other_points_are_refused(lossless):
    with pytest.raises(Refused, match=r"64 bytes of 1 picture.*Received: 63"):
        lossless.images(bytes(63), 1)
    for name in (None, "stage9", "x" * 1000):
        with pytest.raises(Refused, match="The network has no point") as caught:
            lossless.check_point(name)
        assert len(caught.value.sentence) < 120


def test_values_out_of_range_are_refused(lossless):
    image = np.full((1, 8, 8, 1), 1e6, "float32")
    with pytest.raises(Refused, match="range in which this network is exact"):
        lossless.rebuilt(image, "stage3")


def test_metamers_have_the_logits_that_are_said(lossless, raw):
    target, start = lossless.images(raw[0], 2)
    x = next(search_metamers(lossless, start, target, Watch()))
    assert x.kind == "exchanged" and x.found
    assert x.pixels.shape == (8, 8, 1)
    off, apart = re.match(
        rf"A metamer: classified as {raw[1][0]}, logits off by (\S+) at most, "
        r"pixels off by (\S+) \(",
        x.sentence,
    ).groups()
    assert 0 <= float(off) <= 0.01 and float(apart) >= 0.05


def test_what_is_no_metamer_is_not_called_one(lossless, raw):
    target, start = lossless.images(raw[0], 2)
    network = lossless.network

    def unmoved(self, *images):
        return start[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetamerSearch, "exchanged", unmoved)
        patch.setattr(MetamerSearch, "moved", unmoved)
        found = list(search_metamers(lossless, start, target, Watch()))
    assert [x.kind for x in found] == ["exchanged", "moved"]
    logits = [centred(network.head.logits(x))[0] for x in (start, target)]
    off = np.max(np.abs(logits[0] - logits[1]))
    for x in found:
        assert not x.found
        assert x.sentence.startswith(
            "No metamer was found; the closest: classified as "
            f"{raw[1][1]}, logits off by {off:.2g} at most"
        )


def test_a_search_ends_in_time_or_when_stopped(lossless, raw):
    target, start = lossless.images(raw[0], 2)
    watch = Watch(seconds=0.3)
    with pytest.raises(GivenUpError):
        list(search_metamers(lossless, start, target, watch))
    assert watch.steps > 1 and watch.elapsed < 20
    watch = Watch()
    watch.stop()
    with pytest.raises(GivenUpError):
        list(search_metamers(lossless, start, target, watch))
    assert watch.steps == 1
