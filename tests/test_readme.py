"""The code in the README runs as it stands."""

import pathlib
import re

import numpy as np
import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_code_in_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    names = {}
    exec("".join(blocks), names)
    np.testing.assert_allclose(
        names["reconstruction"], names["images"], atol=1e-5
    )
    np.testing.assert_array_equal(
        names["exact_reconstruction"], names["images"]
    )
    raw = names["raw"]
    np.testing.assert_array_equal(names["x_again"], raw / 16)
    np.testing.assert_array_equal(names["x_from_block"], raw / 16)
    np.testing.assert_array_equal(names["raw_again"], raw)
    assert [row[0][1] for row in names["names"]] == list("01234567")
    noise = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    restored = names["own_inverse"](names["own"](noise))
    np.testing.assert_allclose(restored, noise, atol=1e-4)
    assert names["digit_names"] == list("01234567")
    np.testing.assert_array_equal(names["pixels_again"], names["pixels"])
    assert names["tuned"](names["images"]).shape == (8, 10)


ROOT = README.parent


def test_code_in_the_document_of_own_layers():
    text = (ROOT / "docs" / "own_layers.md").read_text()
    names = {}
    exec("".join(re.findall(r"```python\n(.*?)```", text, re.S)), names)
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


def test_code_in_the_document_of_reversible_networks():
    text = (ROOT / "docs" / "reversible_networks.md").read_text()
    names = {}
    exec("".join(re.findall(r"```python\n(.*?)```", text, re.S)), names)
    np.testing.assert_allclose(names["images"], names["x"], atol=1e-4)
    # Its table has the numbers of the networks that are built quickly.
    home = names["irevnet_tf"]
    for network in (
        home.RevNet38,
        home.RevViTMini,
        home.baselines.ResNet32,
        home.baselines.ViTMini,
    ):
        count = sum(np.prod(v.shape) for v in network().trainable_variables)
        assert f" {count:,}" in text, network.__name__


def test_code_in_the_document_of_the_studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "studies" / "README.md").read_text()
    names = {}
    exec("".join(re.findall(r"```python\n(.*?)```", text, re.S)), names)
    assert names["found"].singular_values.shape == (2, 9, 64)
    assert (tmp_path / "spectrum.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "path",
    [
        *(README, ROOT / "CONTRIBUTING.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / "weights").glob("*.md"),
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_files_that_documents_link_to_exist(path):
    links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text())
    for link in links:
        assert (path.parent / link).exists(), link


def test_no_document_waits_for_a_number():
    paths = ("docs/**/*.md", "recipes/*", "weights/*.md")
    for path in (README, *(p for glob in paths for p in ROOT.glob(glob))):
        found = re.findall(
            r"\b[A-Z]+_(?:ACCURACY|COST|RESULT|MINUTES)\b", path.read_text()
        )
        assert not found, path


def test_every_recipe_is_in_the_documentation():
    text = (ROOT / "docs" / "training.md").read_text()
    for path in (ROOT / "recipes").glob("*.flags"):
        assert f"recipes/{path.name}" in text
