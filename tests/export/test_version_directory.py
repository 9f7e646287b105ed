"""Tests of irevnet_tf.export.version_directory, on the disk."""

import os
import subprocess
import sys
import threading

import cases
import pytest

from irevnet_tf.export import export_saved_model
from irevnet_tf.export.version_directory import existing_versions
from irevnet_tf.export.version_directory import serving_api_is_installed
from irevnet_tf.export.version_directory import write_version


@pytest.fixture(scope="module")
def model():
    return cases.build("bijective")


def write_file(folder):
    (folder / "file").write_text("content")


def test_versions_are_numbered_above_the_highest(tmp_path):
    for entry in ("3", "10", "x4", ".unfinished-99", "²"):
        (tmp_path / entry).mkdir()
    assert write_version(tmp_path, write_file) == tmp_path / "11"
    (tmp_path / "12").write_text("a file is in the way, too")
    assert write_version(tmp_path, write_file) == tmp_path / "13"
    assert existing_versions(tmp_path) == [3, 10, 11, 12, 13]


def test_nobody_sees_half_a_version(tmp_path):
    def write(folder):
        write_file(folder)
        assert existing_versions(tmp_path) == []
        assert folder.parent == tmp_path
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        write_version(tmp_path, write)
    assert not any(tmp_path.iterdir())


def test_concurrent_exports_get_versions_of_their_own(tmp_path):
    barrier = threading.Barrier(8)

    def write(folder):
        write_file(folder)
        barrier.wait(timeout=60)

    threads = [
        threading.Thread(target=write_version, args=(tmp_path, write))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert existing_versions(tmp_path) == list(range(1, 9))
    assert all((tmp_path / str(n) / "file").is_file() for n in range(1, 9))


def test_a_version_is_as_readable_as_other_files(tmp_path):
    version = write_version(tmp_path / "models", write_file)
    other = tmp_path / "other"
    other.mkdir()
    assert version.stat().st_mode == other.stat().st_mode


def test_a_file_in_the_place_of_the_directory_is_refused(model, tmp_path):
    (tmp_path / "models").write_text("")
    with pytest.raises(ValueError, match="not a file. Received: .*models"):
        export_saved_model(model, tmp_path / "models")


def test_only_the_directory_of_versions_is_taken(model, tmp_path):
    with pytest.raises(ValueError, match="local directory.*'gs://a/b'"):
        export_saved_model(model, "gs://a/b")
    version = export_saved_model(model, tmp_path, warmup=False)
    with pytest.raises(ValueError, match="not a version. Received:"):
        export_saved_model(model, version)


def test_warmup_needs_its_package(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    assert not serving_api_is_installed()
    with pytest.raises(ImportError, match=r'pip install "irevnet_tf\[serving'):
        export_saved_model(model, tmp_path, warmup=True)
    version = export_saved_model(model, tmp_path)
    assert not (version / "assets.extra").exists()


# The first has weights of 4 MB, the second requests of 3 MB and few weights.
@pytest.mark.parametrize(
    "network",
    [
        "IRevNet([1], [1], [2048], input_shape=(4, 4, 3))",
        "IRevNet([1], [1], [16], input_shape=(512, 512, 3))",
    ],
)
def test_a_full_disk_leaves_nothing_behind(network, tmp_path):
    if "512" in network:
        pytest.importorskip(
            "tensorflow_serving", reason="only warm-up requests are so large"
        )
    code = """
import irevnet_tf, sys
from irevnet_tf.export import export_saved_model
model = eval(f"irevnet_tf.{sys.argv[2]}")
try:
    export_saved_model(model, sys.argv[1])
except OSError as error:
    print("OSError:", error)
"""
    result = subprocess.run(
        [
            # 2 MB a file, where the weights have 4.
            *("bash", "-c", 'ulimit -f 2000; trap "" XFSZ; exec "$@"', "-"),
            *(sys.executable, "-c", code, tmp_path, network),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert "OSError: The SavedModel cannot be written to" in result.stdout
    assert "File too large" in result.stdout
    assert not any(tmp_path.iterdir())
