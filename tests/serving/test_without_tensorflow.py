"""The client where TensorFlow and Keras are not installed."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# What a machine without TensorFlow has not.
CODE = """
import importlib.abc
import sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("keras", "tensorflow", "h5py", "absl"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: (
    None if name in ("keras", "tensorflow") else found(name, *rest)
)
import numpy as np
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-c", CODE + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_client_asks_over_rest(served, exported):
    process = run(
        f"""
from irevnet_tf.serving import Client
raw = np.full((2, 8, 8, 1), 7.0)
with Client({served(exported, "rest")!r}, "digits", timeout=60) as client:
    print(client.classify(raw).probabilities.shape)
    again = client.decode(client.encode(raw))
    print(np.array_equal(np.rint(again), raw))
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout == "(2, 10)\nTrue\n"


def test_all_else_says_what_is_missing():
    process = run("import irevnet_tf\nirevnet_tf.IRevNet28")
    assert process.stderr.splitlines()[-1] == (
        "ImportError: irevnet_tf.IRevNet28 needs TensorFlow and Keras, without "
        "which there is only the client in irevnet_tf.serving. Received: "
        "tensorflow and keras not installed"
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "from irevnet_tf.serving import LocalServer",
            "TensorFlow is needed for LocalServer: pip install",
        ),
        (
            "from irevnet_tf.serving import Client\nClient('grpc://a:1', 'm')",
            "TensorFlow, grpcio and tensorflow-serving-api are needed for grpc",
        ),
    ],
)
def test_what_needs_tensorflow_says_so(code, message):
    assert message in run(code).stderr.splitlines()[-1]
