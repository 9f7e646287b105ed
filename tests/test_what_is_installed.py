"""The version, and python -m irevnet_tf."""

import importlib.metadata
import os
import pathlib
import runpy
import subprocess
import sys

import pytest

import irevnet_tf
from irevnet_tf import __main__ as command

ROOT = pathlib.Path(__file__).parents[1]
WITHOUT_TENSORFLOW = """
import importlib.util
import runpy
import sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: (
    None if name in ("keras", "tensorflow") else found(name, *rest)
)
runpy.run_module("irevnet_tf", run_name="__main__")
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""


def run(*words):
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_version_is_that_of_setup(monkeypatch):
    found = {}
    monkeypatch.setattr("setuptools.setup", found.update)
    monkeypatch.setattr("setuptools.find_packages", lambda **_: [])
    runpy.run_path(str(ROOT / "setup.py"))
    assert irevnet_tf.__version__ == found["version"]
    assert "__version__" not in irevnet_tf.__all__


def test_the_command_prints_what_is_installed():
    process = run("-m", "irevnet_tf")
    assert process.returncode == 0, process.stderr
    lines = dict(line.split(maxsplit=1) for line in process.stdout.splitlines())
    assert lines["irevnet_tf"] == irevnet_tf.__version__
    for name in ("keras", "tensorflow", "numpy"):
        assert lines[name] == importlib.metadata.version(name)
    assert "1 CPU" in lines["devices"]
    assert 'IRevNet28(weights="digits")' in lines["weights"]


def test_the_command_does_without_tensorflow():
    process = run("-c", WITHOUT_TENSORFLOW)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == (
        "Without keras and tensorflow there is only the client in "
        "irevnet_tf.serving: pip install irevnet_tf"
    )
    assert "devices" not in process.stdout


def test_extras_tell_what_they_lack(monkeypatch):
    requirements = [
        "numpy>=2.0",
        'numpy>=1.0; extra == "old"',
        'numpy>=99; extra == "new"',
        'irevnet-tf-no-such>=1; python_version > "3" and extra == "gone"',
        'keras<99,>=3; extra == "gone"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: requirements)
    assert command.extras() == {
        "old": [],
        "new": ["numpy"],
        "gone": ["irevnet-tf-no-such"],
    }
    rows = command.rows()
    assert rows["extra old"] == "installed"
    assert rows["extra new"] == ('lacks numpy: pip install "irevnet_tf[new]"')


def test_extras_of_a_checkout_are_not_known(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert command.extras() is None
    assert "not known" in command.rows()["extras"]


@pytest.mark.parametrize("name", ["no-such-distribution"])
def test_a_library_that_is_missing(name, monkeypatch):
    monkeypatch.setattr(command, "LIBRARIES", (name,))
    assert command.rows()[name] == "not installed"
