"""Tests of irevnet_tf.atomic."""

import os
import stat

import pytest

from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), replacing(path) as new:
        new.write_text("ne")
        raise RuntimeError("stop")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_name_are_flushed_in_this_order(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    flushed = []

    def fsync(descriptor):
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append((is_directory, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert flushed == [(False, False), (True, True)]


def test_what_can_be_written_is_found_out_without_a_trace(tmp_path):
    path = tmp_path / "new" / "file.txt"
    require_replaceable(path)
    assert path.parent.is_dir() and not any(path.parent.iterdir())
    path.write_text("old")
    require_replaceable(path)
    assert path.read_text() == "old"


def test_what_cannot_be_written_is_found_out(tmp_path):
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        require_replaceable(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        require_replaceable(tmp_path / "file" / "picture.png")
