""".ci/browser: installs a browser where it can, and fails in CI only."""

import os
import pathlib
import shutil
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / ".ci" / "browser"
BASH = shutil.which("bash")
if BASH is None:
    pytest.skip("no bash is installed", allow_module_level=True)


def run(folder, *, installed=(), root=True, apt="exit 0", ci=""):
    """Run the script where there are only these commands.

    Returns the process, and what apt-get was asked for.
    """
    calls = folder / "calls"
    commands = dict.fromkeys(installed, "exit 0")
    commands["id"] = f"echo {0 if root else 1000}"
    if apt is not None:
        commands["apt-get"] = f'echo "$*" >>{calls}; {apt}'
    for name, body in commands.items():
        (folder / name).write_text(f"#!{BASH}\n{body}\n")
        (folder / name).chmod(0o755)
    process = subprocess.run(
        [BASH, SCRIPT],
        env={"PATH": str(folder), "CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
    )
    asked = calls.read_text().splitlines() if calls.exists() else []
    return process, asked


def test_a_browser_is_installed(tmp_path):
    process, asked = run(tmp_path, ci="true")
    assert process.returncode == 0
    assert process.stdout == "Installing Chromium\n"
    assert asked == [
        "update",
        "install --yes --no-install-recommends chromium chromium-driver",
    ]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"installed": ["chromium", "chromedriver"]}, ""),
        ({"root": False}, "none can be installed here"),
        ({"apt": None}, "none can be installed here"),
    ],
    ids=["there already", "not root", "no apt-get"],
)
def test_nothing_is_installed(tmp_path, options, said):
    process, asked = run(tmp_path, ci="true", **options)
    assert process.returncode == 0 and asked == []
    assert said in process.stdout


def test_a_driver_alone_is_no_browser(tmp_path):
    _, asked = run(tmp_path, installed=["chromedriver"])
    assert len(asked) == 2


@pytest.mark.parametrize("ci, status", [("true", 1), ("", 0), ("false", 0)])
@pytest.mark.parametrize("failing", ["update", "install"])
def test_a_failure_is_told_and_fails_in_ci_only(tmp_path, ci, status, failing):
    apt = f'[[ "$1" != {failing} ]] || {{ echo "no network"; exit 100; }}'
    process, _ = run(tmp_path, apt=apt, ci=ci)
    assert process.returncode == status
    assert process.stderr == "no network\nChromium cannot be installed\n"


def test_the_script_can_be_started():
    assert os.access(SCRIPT, os.X_OK)
