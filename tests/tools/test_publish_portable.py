"""Tests of tools/publish_portable.py."""

import json
import shutil

import publish_portable
import pytest

import irevnet_tf
from irevnet_tf.apps.portable import make_portable
from irevnet_tf.zoo import registry

FILE = "irevnet28_digits_portable.weights.h5"
CARD = "irevnet28_digits_portable.md"


def copy(folder):
    """Copy what the tool reads: the registry and the trained weights' card."""
    source = registry.weights_directory()
    for name in (registry.REGISTRY_FILE, "irevnet28_digits.md"):
        shutil.copy(source / name, folder)
    # As before the first time.
    path = folder / registry.REGISTRY_FILE
    records = json.loads(path.read_text(encoding="utf-8"))
    records = [x for x in records if not x.get("portable")]
    path.write_text(json.dumps(records), encoding="utf-8")
    return records


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder into which the portable digits were published, twice."""
    folder = tmp_path_factory.mktemp("weights")
    before = copy(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish_portable, "FOLDER", folder)
        for _ in range(2):
            publish_portable.publish("digits")
    return folder, before


def record_in(folder):
    """Return the record that was added."""
    records = json.loads((folder / registry.REGISTRY_FILE).read_text())
    (record,) = [x for x in records if x.get("portable")]
    return record


def test_portable_weights_are_on_record(published):
    folder, before = published
    assert {path.name for path in folder.iterdir()} == {
        FILE,
        CARD,
        "irevnet28_digits.md",
        "registry.json",
    }
    after = json.loads((folder / registry.REGISTRY_FILE).read_text())
    record = record_in(folder)
    assert [x for x in after if x != record] == before
    (trained,) = [x for x in before if x["name"] == "digits"]
    changed = {key for key in record if record[key] != trained.get(key)}
    assert changed <= {
        "accuracy",
        "accuracy_by",
        "certificate",
        "command",
        "description",
        "file",
        "inversion_error_ordinary",
        "packages",
        "portable",
        "sha256",
    }
    assert record["accuracy"] > 0.98 and record["inversion_error"] == 0
    assert record["sha256"] == registry.file_sha256(folder / FILE)


def test_portable_weights_have_a_name(published, monkeypatch):
    folder, _ = published
    monkeypatch.setattr(registry, "weights_directory", lambda: folder)
    registry.weights_records.cache_clear()
    try:
        model = irevnet_tf.IRevNet28(weights="digits", portable=True)
    finally:
        registry.weights_records.cache_clear()
    assert model.preprocessing == "digits"
    record = record_in(folder)
    assert irevnet_tf.certify(model).to_dict() == record["certificate"]


def test_command_on_record_makes_the_file(published, tmp_path, monkeypatch):
    folder, _ = published
    record = record_in(folder)
    monkeypatch.chdir(tmp_path)
    make_portable(publish_portable.read_command(record["command"]))
    path = tmp_path / record["file"]
    assert path.read_bytes() == (folder / FILE).read_bytes()
    assert [x.name for x in tmp_path.iterdir()] == [FILE]


def test_card_says_what_is_on_record(published):
    folder, _ = published
    card = (folder / CARD).read_text()
    record = record_in(folder)
    for fact in (record["sha256"], f"{record['accuracy']:.2%}", "8x8x1"):
        assert fact in card
    assert record["command"] in card.replace("\\\n    ", "")
    largest = max(x["bits"] for x in record["certificate"]["sums"])
    assert f"2^{largest:.2f}" in card
    assert record["certificate"]["weights"] in card


def test_failure_leaves_the_folder(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    copy(tmp_path)
    monkeypatch.setattr(publish_portable, "FOLDER", tmp_path)
    monkeypatch.setattr(publish_portable, "make_portable", fail)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OSError, match="disk full"):
        publish_portable.publish("digits")
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
