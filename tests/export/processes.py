"""Calling an exported model in other processes."""

import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

HERE = pathlib.Path(__file__).parent


def call_without_keras(calls, folder):
    """Call signatures in a process that can import no Keras.

    Args:
        calls: list of (directory of a SavedModel, signature, {input: array}).
        folder: for the files that go to and fro.

    Returns:
        A list of {output: array}.
    """
    return _run("without_keras.py", [], calls, folder)


def call_by_c_api(calls, folder):
    """Call signatures by TensorFlow's C API; as `call_without_keras`."""
    by_tensors, names = [], []
    for version, signature, inputs in calls:
        definition = meta_graph(version).signature_def[signature]
        feeds = {
            definition.inputs[name].name: np.asarray(array)
            for name, array in inputs.items()
        }
        names.append(list(definition.outputs))
        fetches = [definition.outputs[name].name for name in names[-1]]
        by_tensors.append((version, feeds, fetches))
    found = _run("c_api.py", [tf.sysconfig.get_lib()], by_tensors, folder)
    return [
        dict(zip(keys, arrays, strict=True))
        for keys, arrays in zip(names, found, strict=True)
    ]


def meta_graph(version):
    """Return the graph and the signatures of a SavedModel."""
    saved_model = saved_model_pb2.SavedModel()
    path = pathlib.Path(version, "saved_model.pb")
    saved_model.ParseFromString(path.read_bytes())
    (found,) = saved_model.meta_graphs
    return found


def operations(version, endpoint):
    """Return the kinds of the operations in an endpoint's function."""
    graph = meta_graph(version).graph_def
    (function,) = (
        function
        for function in graph.library.function
        if f"__inference_{endpoint}_" in function.signature.name
    )
    return [node.op for node in function.node_def]


def _run(script, arguments, calls, folder):
    calls_file, results_file = folder / "calls.pickle", folder / "results"
    calls = [(str(version), *rest) for version, *rest in calls]
    calls_file.write_bytes(pickle.dumps(calls))
    result = subprocess.run(
        # -I: nothing can be found beside the script, or by PYTHONPATH.
        [sys.executable, "-I", HERE / script, *arguments]
        + [calls_file, results_file],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr
    return pickle.loads(results_file.read_bytes())
