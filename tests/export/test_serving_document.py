"""What docs/serving.md says is what there is."""

import contextlib
import io
import pathlib
import re

import numpy as np
import pytest

from irevnet_tf.models.predictions import class_names

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_code_and_signatures_in_the_document(in_folder):
    text = DOCUMENT.read_text()
    names = {}
    exec("".join(re.findall(r"```python\n(.*?)```", text, re.S)), names)
    np.testing.assert_array_equal(names["raw_again"], names["raw"])
    assert names["digit_names"] == list("01234567")
    np.testing.assert_array_equal(names["pixels_again"], names["pixels"])
    known = class_names("fashion_mnist")
    assert set(names["found"].classes) <= set(known)

    from tensorflow.python.tools import saved_model_cli

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        saved_model_cli._show_all(str(names["version"]))
    shown = re.search(r"```\n(signature_def.*?)```", text, re.S)[1]
    # The numbering of the calls depends on which signatures there are.
    for block in shown.split("\n\n"):
        block = re.sub(r"StatefulPartitionedCall\w*", "", block.strip())
        assert block in re.sub(
            r"StatefulPartitionedCall\w*", "", output.getvalue()
        )
