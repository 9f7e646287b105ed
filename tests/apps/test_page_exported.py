"""Tests of exports on the page: what they show, and which are refused."""

import json
import pathlib
import shutil

import numpy as np
import page_networks
import pytest
import tensorflow as tf
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf.apps import serve_page
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.page.explorer import NO_CLASSIFIER
from irevnet_tf.apps.page.exported import CLOSED
from irevnet_tf.apps.page.exported import ExportedNetwork
from irevnet_tf.apps.page.refused import Refused


def explore(*arguments):
    values = flags.FlagValues()
    define_flags(serve_page.Request, values)
    values(["program", *map(str, arguments)])
    return serve_page.explore(from_flags(serve_page.Request, values))


def refusal(directory, *others):
    """Return what is said of a directory, which is one sentence or two."""
    with pytest.raises(app.UsageError) as caught:
        explore(f"--directory={directory}", *others)
    sentence = str(caught.value)
    assert "\n" not in sentence and "Traceback" not in sentence
    return sentence


def small(**arguments):
    defaults = {"input_shape": (16, 16, 3), "classes": 3}
    return irevnet_tf.IRevNet((1, 1), (1, 2), (8, 32), **defaults | arguments)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The export of the network of the digits."""
    folder = tmp_path_factory.mktemp("models") / "digits"
    model = irevnet_tf.IRevNet28(weights="digits", lossless=True)
    irevnet_tf.export_saved_model(model, folder, class_names="digits")
    return folder


@pytest.fixture
def copied(directory, tmp_path):
    """A copy of it that may be damaged."""
    return pathlib.Path(shutil.copytree(directory, tmp_path / "copied"))


@pytest.fixture(scope="module")
def shown(directory):
    ((name, (explorer, samples)),) = explore(f"--directory={directory}").items()
    assert name == "digits, version 1"
    return explorer, samples


def test_it_shows_what_the_network_itself_does(shown):
    explorer, samples = shown
    others = page_networks.digits_explorer()
    assert explorer.shape == (8, 8, 1)
    assert explorer.points == explorer.stages == ["representation"]
    assert explorer.network.fraction_bits == 14
    assert [caption for caption, _ in samples] == list("0123456789")
    for caption, pixels in samples:
        raw = pixels.tobytes()
        (image,), (other,) = explorer.images(raw, 1), others.images(raw, 1)
        found = explorer.classes(image)
        assert found[0][0] == caption
        expected = others.classes(other)
        assert [name for name, _ in found] == [name for name, _ in expected]
        np.testing.assert_allclose(
            [x for _, x in found], [x for _, x in expected], atol=1e-6
        )
        rebuilt = explorer.rebuilt(image, "representation")
        assert (rebuilt.differing, rebuilt.bits) == (0, 64 * 32)
        assert rebuilt.pixels.tobytes() == raw
    ((name, tiles, sentence),) = explorer.representations(image)
    _, expected_tiles, expected = others.representations(other)[-1]
    np.testing.assert_array_equal(tiles, expected_tiles)
    assert (name, sentence) == ("representation", expected)


def test_the_way_between_two_pictures_is_that_of_the_network(shown):
    explorer, samples = shown
    others = page_networks.digits_explorer()
    raw = b"".join(pixels.tobytes() for _, pixels in samples[:2])
    for share in (0.0, 0.3, 1.0):
        found = explorer.drawn(
            explorer.between(*explorer.images(raw, 2), "representation", share)
        )
        expected = others.between(*others.images(raw, 2), "stage3", share)
        np.testing.assert_allclose(
            found.astype(int), others.drawn(expected).astype(int), atol=1
        )


def test_the_bits_of_an_export_that_is_not_lossless_are_counted(tmp_path):
    irevnet_tf.export_saved_model(small(), tmp_path / "small")
    ((explorer, samples),) = explore(
        f"--directory={tmp_path / 'small'}"
    ).values()
    (image,) = explorer.images(samples[0][1].tobytes(), 1)
    assert image.tobytes() == samples[0][1].astype("float32").tobytes()
    found = explorer.rebuilt(image, "representation")
    assert found.differing > 0 and found.factor > 100
    assert np.max(np.abs(found.pixels.astype(int) - samples[0][1])) <= 1
    assert explorer.class_names == ["class 0", "class 1", "class 2"]


def test_a_portable_export_gives_back_every_bit(tmp_path):
    model = irevnet_tf.IRevNet28(weights="digits", portable=True, lossless=True)
    irevnet_tf.export_saved_model(model, tmp_path / "portable")
    ((explorer, samples),) = explore(
        f"--directory={tmp_path / 'portable'}"
    ).values()
    assert len(samples) == 10
    for _, pixels in samples:
        (image,) = explorer.images(pixels.tobytes(), 1)
        assert explorer.rebuilt(image, "representation").differing == 0


def test_it_says_what_is_absent_and_why(shown, tmp_path):
    explorer, _ = shown
    assert (explorer.can_search, explorer.absent) == (False, CLOSED)
    model = small(include_top=False)
    irevnet_tf.export_saved_model(model, tmp_path / "headless")
    ((explorer, samples),) = explore(
        f"--directory={tmp_path / 'headless'}"
    ).values()
    assert explorer.absent == f"{CLOSED} {NO_CLASSIFIER}"
    (image,) = explorer.images(samples[0][1].tobytes(), 1)
    assert explorer.classes(image) == []


def test_the_newest_version_is_shown_or_the_one_that_is_named(copied):
    shutil.copytree(copied / "1", copied / "10")
    shutil.copytree(copied / "1", copied / "9")
    # Not whole yet, and no version.
    (copied / "11").mkdir()
    shutil.copytree(copied / "1", copied / "²")
    assert list(explore(f"--directory={copied}")) == ["copied, version 10"]
    named = explore(f"--directory={copied / '9'}")
    assert list(named) == ["copied, version 9"]


def test_an_export_for_any_size_needs_one(tmp_path):
    irevnet_tf.export_saved_model(small(), tmp_path, image_size="dynamic")
    assert "--image_size is needed" in refusal(tmp_path)
    said = refusal(tmp_path, "--image_size=15")
    assert "must take images of this size. Received: 15x15" in said
    ((explorer, _),) = explore(
        f"--directory={tmp_path}", "--image_size=20"
    ).values()
    assert explorer.shape == (20, 20, 3)


@pytest.mark.parametrize(
    "flag",
    ["--run_dir=x", "--keras_file=x", "--weights=digits", "--best"]
    + ["--model=IRevNet28", "--nolossless", "--preprocessing=unit"],
)
def test_flags_of_other_networks_are_refused(directory, flag):
    name = flag.partition("=")[0].replace("--no", "--")
    assert f"--directory and {name}" in refusal(directory, flag)


def test_a_size_that_is_not_the_networks_is_refused(directory):
    assert "must be the network's own (8x8" in refusal(
        directory, "--image_size=16"
    )


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_savedmodel_is_refused(tmp_path, kind):
    path = tmp_path / kind
    if kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.write_text("x")
    assert "must hold a SavedModel" in refusal(path)


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("saved_model.pb", b"", "cannot be loaded"),
        ("saved_model.pb", b"\xff" * 100, "cannot be loaded"),
        ("variables/variables.index", None, "cannot be loaded"),
        ("variables/variables.index", b"x", "cannot be loaded"),
        ("variables/variables.data-00000-of-00001", b"x", "cannot be loaded"),
        ("variables/variables.data-00000-of-00001", None, "cannot be loaded"),
        ("model_card.json", None, "has no model_card.json"),
        ("model_card.json", b"", "card.json is damaged"),
        ("model_card.json", b"\xff\xfe", "card.json is damaged"),
        ("model_card.json", b"[]", "card.json is damaged"),
        ("model_card.json", b"{}", "card.json is damaged"),
    ],
)
def test_a_damaged_export_is_refused(copied, name, content, reason):
    path = copied / "1" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    said = refusal(copied)
    assert "--directory must be an export of irevnet-export" in said
    assert reason in said


class Foreign(tf.Module):
    """A SavedModel of another program."""

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1))])
    def one_way(self, images):
        return {"features": images, "probabilities": images[:, 0, :, 0]}

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1))])
    def other_names(self, x):
        return {"y": x}

    @tf.function(
        input_signature=[tf.TensorSpec((None, 8, 8, 1), name="features")]
    )
    def to_a_stage(self, features):
        return {"images": tf.nn.space_to_depth(features, 2)}

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 1), name="features")]
    )
    def to_a_size(self, features):
        return {"images": tf.nn.depth_to_space(tf.repeat(features, 4, -1), 2)}


@pytest.mark.parametrize(
    "inverse, reason",
    [
        (None, "has no signature `inverse`"),
        ("other_names", "not from `images` to `features` and back"),
        ("to_a_stage", "leads to (None, 4, 4, 4), and not to images of"),
        ("to_a_size", "which comes back as (1, 16, 16, 1)"),
    ],
)
def test_savedmodels_of_other_programs_are_refused(
    copied, tmp_path, inverse, reason
):
    module = Foreign()
    signatures = {"forward": module.one_way}
    if inverse is not None:
        signatures["inverse"] = getattr(module, inverse)
    path = tmp_path / "foreign"
    tf.saved_model.save(module, str(path), signatures=signatures)
    assert "model_card.json" in refusal(path)
    shutil.copy(copied / "1" / "model_card.json", path)
    assert reason in refusal(path)


def test_a_savedmodel_without_signatures_is_refused(copied, tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "none"))
    shutil.copy(copied / "1" / "model_card.json", tmp_path / "none")
    assert "has no signature `forward`" in refusal(tmp_path / "none")


def test_values_out_of_range_are_refused(shown):
    image = np.full((1, 8, 8, 1), 1e8, "float32")
    with pytest.raises(Refused, match="range in which this network is exact"):
        shown[0].rebuilt(image, "representation")


def test_the_card_says_where_the_grid_is(copied):
    path = copied / "1" / "model_card.json"
    card = json.loads(path.read_text())
    network = ExportedNetwork(path.parent)
    image = np.full((1, 8, 8, 1), 37.0, "float32")
    rounded = network.on_grid(image)
    steps = rounded / 255.0 * 2 ** card["fraction_bits"]
    np.testing.assert_allclose(steps, np.rint(37 / 255 * 2**14), rtol=1e-6)
    path.write_text(json.dumps(card | {"fraction_bits": None}))
    network = ExportedNetwork(path.parent)
    np.testing.assert_array_equal(network.on_grid(image), image)
