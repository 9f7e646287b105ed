"""Tests of tools/prepare_fashion_mnist.py."""

import gzip
import hashlib
import pathlib
import shutil

import numpy as np
import prepare_fashion_mnist
import pytest
from absl import app
from absl import flags
from tensorflow_datasets.image_classification import mnist

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.data import load_dataset

PACKAGE = pathlib.Path("/usr/share/datasets/fashion-mnist")
COUNTS = {"train": 20, "t10k": 10}


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder with small files, which count as the right ones here."""
    folder = tmp_path / "source"
    folder.mkdir()
    contents = {}
    for part, count in COUNTS.items():
        images = np.zeros((count, 28, 28), "uint8")
        images += np.arange(count, dtype="uint8")[:, None, None]
        labels = np.arange(count, dtype="uint8") % 10
        contents[f"{part}-images-idx3-ubyte"] = bytes(16) + images.tobytes()
        contents[f"{part}-labels-idx1-ubyte"] = bytes(8) + labels.tobytes()
    for name, content in contents.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    digests = {n: hashlib.sha256(c).hexdigest() for n, c in contents.items()}
    monkeypatch.setattr(prepare_fashion_mnist, "CONTENTS", digests)
    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", COUNTS["train"])
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", COUNTS["t10k"])
    return folder


def run_app(**values):
    flag_values = flags.FlagValues()
    define_flags(prepare_fashion_mnist.Request, flag_values)
    flag_values(["prepare", *(f"--{k}={v}" for k, v in values.items())])
    prepare_fashion_mnist.report(
        from_flags(prepare_fashion_mnist.Request, flag_values)
    )


def test_prepared_set_is_the_one_that_tfds_has(source, tmp_path, capsys):
    data_dir = str(tmp_path / "data")
    run_app(source=str(source), data_dir=data_dir)
    folder = tmp_path / "data" / "fashion_mnist" / "3.0.1"
    assert capsys.readouterr().out.endswith(f"Prepared: {folder}\n")
    dataset = load_dataset("fashion_mnist", data_dir=data_dir, download=False)
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.class_names[0] == "T-shirt/top"
    images, labels = dataset.arrays("train")
    numbers = np.round(images[:, 0, 0, 0] * 255).astype(int)
    assert sorted(numbers) == list(range(20))
    np.testing.assert_array_equal(labels, numbers % 10)
    assert dataset.test.count == 10
    shutil.rmtree(source)
    run_app(source=str(source), data_dir=data_dir)
    assert capsys.readouterr().out == f"Already prepared: {folder}\n"


def test_missing_files_are_named(source, tmp_path):
    (source / "t10k-labels-idx1-ubyte.gz").unlink()
    (source / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(
        app.UsageError,
        match="no train-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz",
    ):
        run_app(source=str(source), data_dir=str(tmp_path / "data"))


def test_other_contents_are_refused(source, tmp_path):
    path = source / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(b"other"))
    digest = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(ValueError, match=f"{path}, with SHA-256 {digest}"):
        prepare_fashion_mnist.prepare(source, tmp_path / "data")
    for content in (b"not gzip", gzip.compress(bytes(99))[:-9]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"gzip.* Received: {path}: "):
            prepare_fashion_mnist.prepare(source, tmp_path / "data")
    assert not (tmp_path / "data" / "fashion_mnist" / "3.0.1").exists()


@pytest.mark.skipif(
    not PACKAGE.is_dir(), reason="needs Debian's package dataset-fashion-mnist"
)
def test_files_of_debian_are_the_right_ones():
    for name, digest in prepare_fashion_mnist.CONTENTS.items():
        content = gzip.decompress((PACKAGE / f"{name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == digest
