"""The registry of weights: its files, its records, and the cache."""

import dataclasses
import hashlib
import json
import math
import pathlib
import re

import numpy as np
import pytest

import irevnet_tf
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.zoo import registry
from irevnet_tf.zoo.record import WeightsRecord

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the registry and the digits' weights, to be damaged."""
    record = registry.find_record("IRevNet28", "digits")
    source = registry.weights_directory() / record.file
    (tmp_path / record.file).write_bytes(source.read_bytes())
    monkeypatch.setattr(registry, "weights_directory", lambda: tmp_path)
    return tmp_path


def damage(kind, path, other):
    content = path.read_bytes()
    if kind == "corrupt":
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        content = content[:middle] + flipped + content[middle + 1 :]
    elif kind == "truncated":
        content = content[:-1]
    elif kind == "empty":
        content = b""
    else:
        content = other.read_bytes()
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["corrupt", "truncated", "empty", "exchanged"])
def test_damaged_file_is_refused_with_both_hashes(kind, folder):
    record = registry.find_record("IRevNet28", "digits")
    path = folder / record.file
    other = ROOT / "weights" / "irevnet28_fashion_mnist.weights.h5"
    damage(kind, path, other)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest != record.sha256
    with pytest.raises(ValueError, match=f"{record.sha256}.*{digest}"):
        irevnet_tf.IRevNet28(weights="digits")


def test_lost_file_is_named(folder):
    record = registry.find_record("IRevNet28", "digits")
    (folder / record.file).unlink()
    with pytest.raises(
        ValueError, match=f"must hold {record.file}: install.*Received"
    ):
        irevnet_tf.IRevNet28(weights="digits")


@pytest.fixture
def small_imagenet(tmp_path, monkeypatch):
    """A registry in which a small network stands for the converted one."""
    record = registry.find_record("IRevNet301", "imagenet")
    values = {
        **record.to_dict(),
        "model": "IRevNet28",
        "input_shape": [8, 8, 3],
    }
    values |= {"file": "small.weights.h5", "classes": 10}
    small = WeightsRecord.from_dict(values)
    monkeypatch.setattr(registry, "weights_records", lambda: (small,))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return small


def convert(record):
    """Do what a conversion does at its end."""
    path = registry.converted_file(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = irevnet_tf.IRevNet28(input_shape=(8, 8, 3))
    model.save_weights(path)
    registry.write_converted_record(
        dataclasses.replace(
            record,
            sha256=registry.file_sha256(path),
            command="irevnet-convert -x",
        )
    )
    return model


def test_converted_weights_are_found_in_the_cache(small_imagenet, tmp_path):
    expected = convert(small_imagenet)
    assert (tmp_path / "home/models/small.weights.h5").is_file()
    model = irevnet_tf.IRevNet28(weights="imagenet")
    for a, b in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    written = json.loads((tmp_path / "home/models/small.json").read_text())
    assert written["command"] == "irevnet-convert -x"


def test_weights_to_convert_say_how(small_imagenet):
    with pytest.raises(
        ValueError,
        match=r"(?s)two commands.*pip install \"irevnet_tf\[convert\]\"\n"
        r"  irevnet-convert --pytorchcv\nReceived: .*small.weights.h5",
    ):
        irevnet_tf.IRevNet28(weights="imagenet")


@pytest.mark.parametrize("kind", ["corrupt", "truncated", "exchanged"])
def test_damaged_conversion_is_refused(kind, small_imagenet, tmp_path):
    convert(small_imagenet)
    path = registry.converted_file(small_imagenet)
    before = registry.file_sha256(path)
    damage(kind, path, ROOT / "weights" / "irevnet28_digits.weights.h5")
    after = registry.file_sha256(path)
    with pytest.raises(ValueError, match=f"{before}.*{after}"):
        irevnet_tf.IRevNet28(weights="imagenet")


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_conversion_without_its_record_is_refused(content, small_imagenet):
    convert(small_imagenet)
    path = registry.converted_record_file(small_imagenet)
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match="must be the record.*Received: .*js"):
        irevnet_tf.IRevNet28(weights="imagenet")


def test_record_of_other_weights_is_refused(small_imagenet):
    convert(small_imagenet)
    other = dataclasses.replace(small_imagenet, name="other")
    registry.write_converted_record(other)
    with pytest.raises(ValueError, match="record of the weights 'imagenet'"):
        irevnet_tf.IRevNet28(weights="imagenet")


def test_cache_is_that_of_keras(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "new"))
    assert registry.cache_directory() == tmp_path / "new" / "models"
    monkeypatch.setenv("KERAS_HOME", "~/mine")
    assert registry.cache_directory() == tmp_path / "mine" / "models"
    monkeypatch.delenv("KERAS_HOME")
    assert registry.cache_directory() == tmp_path / ".keras" / "models"
    assert not any(tmp_path.iterdir())  # Looking makes nothing.


def test_list_tells_of_the_converted_file(small_imagenet, capsys):
    irevnet_tf.list_weights()
    assert "made by irevnet-convert" in capsys.readouterr().out
    convert(small_imagenet)
    (record,) = irevnet_tf.list_weights()
    assert "small.weights.h5" in capsys.readouterr().out
    assert record.command == "irevnet-convert -x"
    assert record.sha256 is not None


def test_list_of_weights(capsys):
    records = irevnet_tf.list_weights()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(records) == 1 + len(registry.weights_records())
    for record, line in zip(records, lines[1:], strict=True):
        assert line.startswith(record.model) and record.name in line
        if record.accuracy is not None:
            assert f"{record.accuracy:.2%}" in line


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": 5},
        {"input_shape": [8, 8]},
        {"classes": "ten"},
        {"classes": True},
        {"lossless": None},
        {"accuracy": "high"},
        {"extra": 1},
    ],
    ids=str,
)
def test_records_are_typed(change):
    values = {**registry.find_record("IRevNet28", "digits").to_dict(), **change}
    with pytest.raises(ValueError, match="Received"):
        WeightsRecord.from_dict(values)


def test_registry_is_consistent():
    records = registry.weights_records()
    assert len({(r.model, r.name, r.portable) for r in records}) == len(records)
    for record in records:
        spec = VARIANTS[record.model]
        divisor = spec["initial_downsampling"] * math.prod(spec["strides"])
        assert all(side % divisor == 0 for side in record.input_shape[:2])
        assert record.preprocessing in PREPROCESSING
        decoded = irevnet_tf.decode_predictions(
            np.eye(record.classes), top=1, mode=record.class_names
        )
        assert len(decoded) == record.classes
        assert record.sha256 is None or re.fullmatch(
            "[0-9a-f]{64}", record.sha256
        )
