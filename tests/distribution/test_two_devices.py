"""Runs the tests that need two devices, in a process of their own."""

import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.programs


def test_two_devices():
    folder = pathlib.Path(__file__).with_name("two_devices")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
