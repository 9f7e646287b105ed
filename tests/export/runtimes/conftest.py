"""Networks that are exported, converted and loaded once for all tests."""

import functools

import cases
import keras
import pytest
import tensorflow as tf

from irevnet_tf.export import export_saved_model
from irevnet_tf.export.litert import export_litert
from irevnet_tf.export.onnx import export_onnx

CLASS_NAMES = [f"class {i}" for i in range(cases.CLASSES)]


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    """Return a function from a small network's arguments to a SavedModel.

    BatchNorms are stirred, since converters fold them into convolutions.
    """

    @functools.cache
    def get(family, *, lossless=False, dtype="float32", size=None, **kwargs):
        keras.config.set_dtype_policy(dtype)
        model = cases.stir(cases.build(family, lossless=lossless))
        return export_saved_model(
            model,
            tmp_path_factory.mktemp("saved_model"),
            class_names=CLASS_NAMES,
            image_size=size,
            warmup=False,
            **kwargs,
        )

    return get


@pytest.fixture(scope="session")
def load(tmp_path_factory):
    """Return a function from a runtime and a SavedModel to its functions.

    Each takes an array and returns a dict of arrays.
    """

    @functools.cache
    def get(runtime, saved_model):
        directory = tmp_path_factory.mktemp(runtime)
        return LOADERS[runtime](saved_model, directory)

    return get


def _load_saved_model(saved_model, directory):
    loaded = tf.saved_model.load(saved_model)

    def run(name, array):
        outputs = loaded.signatures[name](tf.constant(array))
        return {key: value.numpy() for key, value in outputs.items()}

    return {name: functools.partial(run, name) for name in loaded.signatures}


def _load_onnx(saved_model, directory):
    import onnxruntime

    def run(session, array):
        (name,) = (value.name for value in session.get_inputs())
        names = [value.name for value in session.get_outputs()]
        return dict(zip(names, session.run(names, {name: array}), strict=True))

    return {
        name: functools.partial(run, onnxruntime.InferenceSession(path))
        for name, path in export_onnx(saved_model, directory).items()
    }


def _load_litert(saved_model, directory):
    from ai_edge_litert.interpreter import Interpreter

    path = export_litert(saved_model, directory / "network.tflite")
    interpreter = Interpreter(str(path))

    def run(runner, array):
        (name,) = runner.get_input_details()
        return runner(**{name: array})

    return {
        name: functools.partial(run, interpreter.get_signature_runner(name))
        for name in interpreter.get_signature_list()
    }


LOADERS = {
    "tensorflow": _load_saved_model,
    "onnx": _load_onnx,
    "litert": _load_litert,
}
