"""Tests of irevnet_tf.optional: how to install what is missing."""

import pathlib
import re

import pytest

import irevnet_tf
from irevnet_tf.optional import install_command
from irevnet_tf.optional import optional_import

PACKAGE = pathlib.Path(irevnet_tf.__file__).parent


def test_a_missing_library_is_told_of_with_the_command():
    with pytest.raises(
        ImportError, match=r'It is needed: pip install "irevnet_tf\[onnx\]"$'
    ):
        with optional_import("It is needed", "onnx"):
            import no_such_library  # noqa: F401


def test_what_can_be_imported_is_imported():
    with optional_import("It is needed", "onnx"):
        import json
    assert json.loads("[]") == []


def test_other_errors_are_left_alone():
    with pytest.raises(ValueError, match="another"):
        with optional_import("It is needed", "onnx"):
            raise ValueError("another")


def test_the_extras_are_those_of_setup():
    setup = (pathlib.Path(__file__).parents[1] / "setup.py").read_text()
    sources = "".join(p.read_text("utf-8") for p in PACKAGE.rglob("*.py"))
    extras = set(re.findall(r"irevnet_tf\[(\w+)\]", sources))
    extras |= set(re.findall(r"optional_import\([^)]*\"(\w+)\"\s*\)", sources))
    assert {"convert", "onnx", "serving"} <= extras
    for extra in extras:
        assert f'"{extra}": [' in setup
        assert install_command(extra) == f'pip install "irevnet_tf[{extra}]"'
