"""The Python code in README and the pages runs as it stands."""

import pathlib
import re

import numpy as np
import pages
import pytest

import irevnet_tf

pytestmark = pytest.mark.programs

# Tests of a page that need an extra, or more than its code.
ELSEWHERE = {
    "docs/kerashub.md": "tests/models/test_kerashub.py",
    "docs/portable.md": "tests/export/runtimes/test_portable_runtimes.py",
    "docs/runtimes.md": "tests/export/runtimes/test_runtimes_document.py",
    "docs/serving.md": "tests/export/test_serving_document.py",
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _digits(names):
    raw = names["raw"]
    np.testing.assert_array_equal(names["x_again"], raw / 16)


def _start(names):
    _digits(names)
    np.testing.assert_array_equal(names["raw_again"], names["raw"])
    assert [row[0][1] for row in names["names"]] == list("01234567")


def _using(names):
    assert [row[0][1] for row in names["names"]] == list("01234567")
    assert names["features"].shape == (8, 2, 2, 512)
    assert names["model"].optimizer.iterations == 1437 // 64 + 1


def _inverting(names):
    images = names["images"]
    for name in ("reconstruction", "from_stage", "from_block"):
        np.testing.assert_allclose(names[name], images, atol=1e-5)
    np.testing.assert_array_equal(names["exact_reconstruction"], images)
    between = names["between"]
    np.testing.assert_allclose(between[0], images[0], atol=1e-5)
    np.testing.assert_allclose(between[-1], images[1], atol=1e-5)
    assert np.abs(between[2] - images[0]).max() > 0.1


def _lossless(names):
    np.testing.assert_array_equal(names["x_again"], names["x"])
    made = names["made"]
    assert irevnet_tf.certify(made).weight_bits == 8
    assert names["certificate"].weight_bits == 8


def _fine_tuning(names):
    assert names["tuned"](names["images"]).shape == (8, 10)
    np.testing.assert_allclose(
        names["reconstruction"], names["images"], atol=1e-5
    )


def _training(names):
    assert names["directory"].path.name == "code"
    assert (names["directory"].path / "model.weights.h5").is_file()


def _own_layers(names):
    noise = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    restored = names["own_inverse"](names["own"](noise))
    np.testing.assert_allclose(restored, noise, atol=1e-4)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 6))
    x = x.astype("float32")
    restored = names["decoder"](names["model"](x))
    np.testing.assert_allclose(restored, x, atol=1e-4)
    coupling = names["AffineCoupling"]
    with pytest.raises(ValueError, match="can be lossless"):
        coupling(names["keras"].layers.Dense(6), fraction_bits=14)
    transformer = names["transformer"]
    tokens = x[:, 0].reshape(2, 3, 32)
    assert transformer(tokens).shape == (2, 3, 64)
    chain = transformer.layers[1]
    streams = tokens, tokens[::-1]
    for found, expected in zip(
        chain.inverse(chain(streams)), streams, strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    transformer.compile("sgd", "mse")
    transformer.fit(tokens, np.zeros((2, 3, 64)), verbose=0)


def _reversible_networks(names):
    np.testing.assert_allclose(names["images"], names["x"], atol=1e-4)
    # Its table has the numbers of the networks that are built quickly.
    text = (pages.ROOT / "docs" / "reversible_networks.md").read_text()
    home = names["irevnet_tf"]
    for network in (
        home.RevNet38,
        home.RevViTMini,
        home.baselines.ResNet32,
        home.baselines.ViTMini,
    ):
        count = sum(np.prod(v.shape) for v in network().trainable_variables)
        assert f" {count:,}" in text, network.__name__


def _studies(names):
    assert names["found"].singular_values.shape == (2, 9, 64)
    assert pathlib.Path("spectrum.png").stat().st_size > 10_000


def _faq(names):
    assert names["report"].saving.kept < names["report"].plain.kept
    assert set(names["features"]) == {"stage1", "stage3_block2"}
    assert names["backbone"].output_shape == (None, 512)
    assert len(names["records"][0].sha256) == 64


def _network(names):
    model = names["model"]
    if "decoder" not in names:
        with pytest.raises(ValueError, match="must be an i-RevNet"):
            irevnet_tf.encoder(model)
        return
    x = np.random.default_rng(0).random((1, *model.input_shape[1:]), "float32")
    entering = names["decoder"](names["encoder"](x))
    expected = x
    if model.name.startswith("revvit"):
        expected = model.get_layer("stem")(x)
    if model.name.startswith("revnet"):
        expected = irevnet_tf.encoder(model, "stage3_entrance")(x)
    np.testing.assert_allclose(entering, expected, atol=1e-4)


def _card(names):
    model = names["model"]
    labels = np.argmax(model(names["x"]), axis=-1)
    assert labels.shape == (4,)
    again = irevnet_tf.invert(model)(irevnet_tf.encoder(model)(names["x"]))
    np.testing.assert_allclose(again, names["x"], atol=1e-4)


RUN = {
    "README.md": _digits,
    "docs/index.md": _digits,
    "docs/start.md": _start,
    "docs/using.md": _using,
    "docs/inverting.md": _inverting,
    "docs/lossless.md": _lossless,
    "docs/fine_tuning.md": _fine_tuning,
    "docs/training.md": _training,
    "docs/own_layers.md": _own_layers,
    "docs/reversible_networks.md": _reversible_networks,
    "docs/studies/README.md": _studies,
    "docs/faq.md": _faq,
    "docs/networks/irevnet19.md": _network,
    "docs/networks/revnet38.md": _network,
    "docs/networks/revvitmini.md": _network,
    "docs/networks/resnet32.md": _network,
    "docs/networks/vitmini.md": _network,
}


@pytest.mark.parametrize("path", RUN)
def test_code_runs(path):
    RUN[path](pages.run(path))


@pytest.mark.parametrize("name", ["digits", "fashion_mnist"])
@pytest.mark.parametrize("portable", ["", "_portable"])
def test_code_on_the_cards_of_weights_runs(name, portable):
    side = {"digits": 8, "fashion_mnist": 28}[name]
    images = np.random.default_rng(0).integers(0, 17, (4, side, side, 1))
    _card(
        pages.run(
            f"weights/irevnet28_{name}{portable}.md",
            irevnet_tf=irevnet_tf,
            images=images,
        )
    )


def test_no_document_has_code_that_nothing_runs():
    for path in pages.documents():
        name = path.relative_to(pages.ROOT).as_posix()
        if not pages.code_of(path) or name in RUN:
            continue
        if name.startswith("weights/irevnet28_"):
            continue
        assert name in ELSEWHERE, f"{name} has code that no test runs"
        module = pages.ROOT / ELSEWHERE[name]
        assert path.name in module.read_text(), name


def test_code_is_marked_as_such():
    """Blocks without a language are no Python that would go unseen."""
    for path in pages.documents():
        if "serving" in path.parts:
            continue  # In shell commands, which test_serving_example.py has.
        language = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("```"):
                language = None if language is not None else line[3:]
            elif language == "":
                assert not re.match(r"(import|from) \w+", line), path
