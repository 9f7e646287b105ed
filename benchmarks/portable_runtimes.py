"""The runtimes that `portable_matrix.py` compares.

Each is a function from the folder that `portable_network.py` has filled to the
pair of directions: `forward(images, batch)`, which returns representation and
logits, and `inverse(features, batch)`, which returns images. Both take NumPy
arrays of any length, `batch` images at a time. The function raises ImportError
if the runtime is not installed, NotImplementedError if it cannot run the
network.
"""

import dataclasses
import functools
import pathlib
import pickle
import sys
from collections.abc import Callable

import numpy as np
from portable_arrays import Interpreter
from portable_arrays import NumPy
from portable_arrays import PyTorch


@dataclasses.dataclass(frozen=True)
class Runtime:
    """One of the runtimes.

    Attributes:
        start: function from the folder to the two directions.
        units: str. The images that it takes and returns: "raw", from 0 to
            255, or "normalised".
        environment: dict. Variables that must be set before it starts.
    """

    start: Callable
    units: str = "normalised"
    environment: dict = dataclasses.field(default_factory=dict)


def in_batches(run, x, batch):
    """Return `run` of all of `x`, `batch` at a time."""
    found = [run(x[i : i + batch]) for i in range(0, len(x), batch)]
    if isinstance(found[0], tuple):
        return tuple(map(np.concatenate, zip(*found, strict=True)))
    return np.concatenate(found)


def batched(forward, inverse):
    """Return directions that take any number of images."""
    return tuple(functools.partial(in_batches, f) for f in (forward, inverse))


def keras_models(folder):
    """Return the networks from images to outputs, and back."""
    import keras

    import irevnet_tf

    model = keras.saving.load_model(folder / "network.keras", compile=False)
    representation = irevnet_tf.encoder(model).output
    both = keras.Model(model.input, [representation, model.output])
    return both, irevnet_tf.invert(model)


def tensorflow(folder, compiled=None, threads=None):
    """TensorFlow, from Keras' file.

    Args:
        folder: path. Where the network is.
        compiled: None or dict. The arguments of `tf.function`; None to run
            eagerly.
        threads: None or int. How many threads there may be.
    """
    import tensorflow as tf

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)

    def direction(model):
        run = functools.partial(model, training=False)
        if compiled is not None:
            run = tf.function(run, **compiled)

        def to_arrays(x):
            found = tf.nest.map_structure(np.array, run(tf.constant(x)))
            return tuple(found) if isinstance(found, list) else found

        return to_arrays

    return batched(*map(direction, keras_models(folder)))


def keras_predict(folder):
    def direction(model):
        def run(x, batch):
            found = model.predict(x, batch_size=batch, verbose=0)
            return tuple(found) if isinstance(found, list) else found

        return run

    return tuple(map(direction, keras_models(folder)))


def saved_model(folder):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "saved_model" / "1"))

    def run(name, **inputs):
        inputs = {k: tf.constant(x) for k, x in inputs.items()}
        found = loaded.signatures[name](**inputs)
        return {k: x.numpy() for k, x in found.items()}

    return by_name(run)


def onnx_runtime(folder, optimized=True):
    import onnxruntime

    require_onnx(folder)
    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = (
            onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
    sessions = {
        name: onnxruntime.InferenceSession(
            folder / "onnx" / f"{name}.onnx", options
        )
        for name in ("forward", "inverse")
    }

    def run(name, **inputs):
        session = sessions[name]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    return by_name(run)


def onnx_reference(folder):
    """ONNX' own evaluator, in NumPy."""
    from onnx.reference import ReferenceEvaluator

    require_onnx(folder)
    networks = {
        name: ReferenceEvaluator(str(folder / "onnx" / f"{name}.onnx"))
        for name in ("forward", "inverse")
    }

    def run(name, **inputs):
        network = networks[name]
        names = network.output_names
        return dict(zip(names, network.run(names, inputs), strict=True))

    return by_name(run)


def require_onnx(folder):
    if not (folder / "onnx").is_dir():
        raise ImportError("tf2onnx, which writes its files, is not installed")


def litert(folder, kernels="AUTO"):
    from ai_edge_litert import interpreter as runtime

    try:
        interpreter = runtime.Interpreter(
            str(folder / "network.tflite"),
            num_threads=2,
            experimental_op_resolver_type=runtime.OpResolverType[kernels],
        )
    except ValueError as error:
        # Not all operations have all kinds of kernels.
        if "find op for builtin opcode" not in str(error):
            raise
        raise NotImplementedError(str(error).split(". ")[0]) from error

    def run(name, **inputs):
        found = interpreter.get_signature_runner(name)(**inputs)
        # Its next call writes into the same memory.
        return {k: x.copy() for k, x in found.items()}

    return by_name(run)


def by_name(run):
    """Return the directions of an export.

    Args:
        run: function from the name of a signature and its inputs, as keyword
            arguments, to a dict of its outputs.
    """

    def forward(images):
        found = run("forward", images=images)
        return found["features"], found["probabilities"]

    def inverse(features):
        return run("inverse", features=features)["images"]

    return batched(forward, inverse)


def interpreted(folder, library):
    steps = pickle.loads((folder / "steps.pickle").read_bytes())
    interpreter = Interpreter(steps, library())
    return batched(interpreter.forward, interpreter.inverse)


def reference(folder):
    """What the tests have of portable networks, which shares no code."""
    sys.path.append(str(pathlib.Path(__file__).parents[1] / "tests"))
    import integer_reference
    import keras

    import irevnet_tf  # noqa: F401, for Keras to know its layers

    model = keras.saving.load_model(folder / "network.keras", compile=False)
    if type(model.layers[1]).__name__ != "PixelRange":
        raise NotImplementedError("it is for portable networks only")
    return batched(
        functools.partial(integer_reference.forward, model),
        functools.partial(integer_reference.inverse, model),
    )


def browser(folder, onnxruntime_web, chromium):
    from portable_browser import Browser

    require_onnx(folder)
    page = Browser(folder, onnxruntime_web, chromium)

    def forward(images, batch):
        return page.run("forward", images, batch, "features", "probabilities")

    def inverse(features, batch):
        (images,) = page.run("inverse", features, batch, "images")
        return images

    return forward, inverse


GRAPH = functools.partial(tensorflow, compiled={})
RUNTIMES = {
    "TensorFlow graph": Runtime(GRAPH),
    "TensorFlow eager": Runtime(tensorflow),
    "Keras predict": Runtime(keras_predict),
    "TensorFlow XLA": Runtime(
        functools.partial(tensorflow, compiled={"jit_compile": True})
    ),
    "TensorFlow without oneDNN": Runtime(
        GRAPH, environment={"TF_ENABLE_ONEDNN_OPTS": "0"}
    ),
    "TensorFlow, one thread": Runtime(functools.partial(GRAPH, threads=1)),
    "SavedModel": Runtime(saved_model, "raw"),
    "ONNX Runtime": Runtime(onnx_runtime, "raw"),
    "ONNX Runtime, not optimized": Runtime(
        functools.partial(onnx_runtime, optimized=False), "raw"
    ),
    "ONNX reference": Runtime(onnx_reference, "raw"),
    "LiteRT XNNPACK": Runtime(litert, "raw"),
    "LiteRT builtin": Runtime(
        functools.partial(litert, kernels="BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
        "raw",
    ),
    "LiteRT reference": Runtime(
        functools.partial(litert, kernels="BUILTIN_REF"), "raw"
    ),
    "PyTorch": Runtime(functools.partial(interpreted, library=PyTorch)),
    "NumPy": Runtime(functools.partial(interpreted, library=NumPy)),
    "NumPy float64 reference": Runtime(reference),
    "ONNX Runtime Web": Runtime(browser, "raw"),
}
