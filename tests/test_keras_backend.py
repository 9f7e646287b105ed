"""Keras' other backends are refused when the package is imported."""

import json
import os
import re
import subprocess
import sys

import pytest

IMPORT = """
import sys
try:
    import irevnet_tf
finally:
    print(
        [
            name
            for name in sys.modules
            if name.startswith("irevnet_tf.")
            and name.split(".")[1] not in ("backend", "starting", "version")
        ]
    )
"""
# A test environment has the packages of these backends, or it has not.
REFUSED = re.compile(
    "^ImportError: irevnet_tf needs Keras' TensorFlow backend: set "
    "KERAS_BACKEND=tensorflow before importing keras. Received: "
    r"backend=((?P<name>\w+)|one that needs \w+, which is not installed)$"
)


def run(code, **variables):
    """Run code in a process of its own, without settings of the user's."""
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **variables},
        capture_output=True,
        text=True,
    )


def require_refused(process, name):
    assert process.returncode == 1
    match = REFUSED.search(process.stderr.splitlines()[-1])
    assert match and match["name"] in (name, None), process.stderr
    assert process.stdout == "[]\n"


@pytest.fixture
def keras_home(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    return str(tmp_path)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_the_backend_of_the_environment(name):
    require_refused(run(IMPORT, KERAS_BACKEND=name), name)


def test_the_backend_of_the_configuration_file(keras_home):
    require_refused(run(IMPORT, KERAS_HOME=keras_home), "jax")


def test_the_backend_of_a_keras_that_is_imported_already():
    before = "import keras\nkeras.config.backend = lambda: 'torch'"
    process = run(before + IMPORT)
    require_refused(process, "torch")
    assert process.stderr.endswith("Received: backend=torch\n")


def test_commands_refuse_it_when_their_flags_are_read():
    code = """
import sys
sys.argv[:] = ["irevnet-serve", "--directory=models"]
from irevnet_tf.apps.commands import serve
serve()
"""
    process = run(code, KERAS_BACKEND="jax")
    assert process.returncode == 1
    assert REFUSED.search(process.stderr.splitlines()[-1]), process.stderr


def test_the_environment_counts_more_than_the_file(keras_home):
    process = run(IMPORT, KERAS_HOME=keras_home, KERAS_BACKEND="tensorflow")
    assert process.returncode == 0, process.stderr
    assert "irevnet_tf.layers" in process.stdout


def test_other_modules_that_are_missing_are_not_taken_for_a_backend():
    process = run("import sys\nsys.modules['h5py'] = None" + IMPORT)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: import of h5py halted; None in sys.modules"
    )
