"""The code in docs/runtimes.md runs as it stands."""

import pathlib
import re

import numpy as np
import pytest

pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")

DOCUMENT = pathlib.Path(__file__).parents[3] / "docs" / "runtimes.md"


def test_code_in_the_document(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)
    exec("".join(blocks), names)
    assert (tmp_path / "onnx" / "inverse.onnx").is_file()
    assert set(names["found"]) == {"classes", "probabilities", "features"}
    np.testing.assert_array_equal(np.rint(names["rebuilt"]), names["images"])
