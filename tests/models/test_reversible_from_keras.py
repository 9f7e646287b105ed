"""The example of a Keras network that is made reversible."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.programs

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.skipif(
    not pathlib.Path("/proc/self/status").exists(),
    reason="the example asks Linux how much memory it has taken",
)
def test_memory_runs_out_only_without_reversible_blocks():
    result = subprocess.run(
        [
            sys.executable,
            ROOT / "examples" / "reversible_from_keras.py",
            "--blocks=16",
            "--width=16",
            "--size=64",
            "--steps=2",
            "--memory_gb=0.5",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
    )
    assert result.returncode == 0, result.stderr
    plain, reversible = result.stdout.splitlines()[-2:]
    assert re.match(r"plain .*: OUT OF MEMORY \(\w+\)$", plain), plain
    assert re.match(r"reversible .*: trained, loss \d", reversible), reversible
    # The same branches, so as many weights.
    assert plain.split()[1] == reversible.split()[1]
