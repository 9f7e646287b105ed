"""The notebook: its code runs, and its outputs are those of a whole run."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.programs

ROOT = pathlib.Path(__file__).parents[1]
PATH = ROOT / "examples" / "invert_and_fine_tune.ipynb"
EXACT = re.compile(r"values that differ: 0 of [1-9]\d+")


@pytest.fixture(scope="module")
def cells():
    notebook = json.loads(PATH.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return [x for x in notebook["cells"] if x["cell_type"] == "code"]


def text_of(cells):
    """Return what the cells have printed, as it is in the file."""
    return "".join(
        "".join(output["text"])
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "stream"
    )


def test_all_cells_were_run_in_order(cells):
    counts = [cell["execution_count"] for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    kinds = {x["output_type"] for cell in cells for x in cell["outputs"]}
    assert kinds == {"display_data", "stream"}
    pictures = [
        output["data"]["image/png"]
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "display_data"
    ]
    assert len(pictures) == 2
    assert PATH.stat().st_size < 100_000


def test_nothing_in_it_is_of_one_machine(cells):
    text = PATH.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|usr|work|Users)/", text)


def test_its_code_runs_and_what_it_promises_is_so(cells):
    recorded = text_of(cells)
    assert len(EXACT.findall(recorded)) == 2
    code = "\n".join("".join(cell["source"]) for cell in cells)
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "MPLBACKEND": "agg",
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
    )
    assert process.returncode == 0, process.stderr
    # What training reaches differs a little between processors.
    trained = re.compile(r"[\d.]+% of 360")
    assert trained.sub("", process.stdout) == trained.sub("", recorded)
    frozen, whole = (
        float(x.split("%")[0]) for x in trained.findall(process.stdout)
    )
    assert whole > frozen + 5 > 60
