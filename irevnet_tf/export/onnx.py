"""Converting a SavedModel of both directions to ONNX files."""

import contextlib
import logging
import os
import pathlib
import threading
import types
from collections.abc import Iterable

import tensorflow as tf

from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.export.endpoints import input_spec
from irevnet_tf.export.endpoints import load_convertible
from irevnet_tf.optional import optional_import

# Of ONNX' operator sets, the first that is tested, and the last that tf2onnx
# 1.17 knows.
FIRST_OPSET = 10
LATEST_OPSET = 18
# The first with TensorFlow's `Round`. For older ones tf2onnx takes the floor of
# x + 0.5, in silence: another value at halves, and at large odd numbers.
ROUNDING_OPSET = 11

# The environment belongs to the process, not to a thread of it.
_ENVIRONMENT = threading.Lock()


def export_onnx(
    saved_model: str | os.PathLike,
    directory: str | os.PathLike,
    *,
    signatures: Iterable[str] | None = None,
    opset: int = LATEST_OPSET,
) -> dict[str, pathlib.Path]:
    """Write one ONNX file for every direction of an exported network.

    Inputs and outputs have the names, shapes and dtypes of the signature.
    ONNX requires different names for all values, so an output with the name of
    an input is called `output_` and that name: `reconstruct` takes `images`
    and returns `output_images`. Sizes that are not fixed stay so: the first
    one of every tensor is named `batch`, others by tensor and axis.

    Example:

    >>> model = irevnet_tf.IRevNet(
    ...     (1,), (1,), (8,), initial_downsampling=4, input_shape=(8, 8, 1)
    ... )
    >>> saved = irevnet_tf.export_saved_model(model, "models/digits")
    >>> files = irevnet_tf.export.export_onnx(saved, "onnx")
    >>> sorted(files)
    ['forward', 'inverse']

    Args:
        saved_model: str or path. The version directory that
            `irevnet_tf.export.export_saved_model` has returned.
        directory: str or path. Where to write `forward.onnx`, `inverse.onnx`,
            and so on; made if needed. Files of these names are replaced, all
            or, if one cannot be converted, none.
        signatures: None or iterable of str. Names of those to convert. If
            None, all but those that read image files, and `serving_default`,
            which is `forward`.
        opset: int. ONNX' operator set, 10 to 18; at least 11 for a lossless
            network, as 10 has no rounding to the nearest even.

    Returns:
        The paths of the files, by signature.

    Raises:
        ImportError: if tf2onnx is not installed.
        ValueError: if `saved_model` is no SavedModel, a signature is not in
            it or cannot be converted, or `opset` is out of range.
        OSError: if the files cannot be written.

    Reference:
        https://github.com/onnx/tensorflow-onnx
    """
    onnx, tf2onnx = import_tf2onnx()
    if not isinstance(opset, int) or opset not in range(
        FIRST_OPSET, LATEST_OPSET + 1
    ):
        raise ValueError(
            f"`opset` must be an integer from {FIRST_OPSET} to "
            f"{LATEST_OPSET}. Received: opset={opset!r}"
        )
    loaded, names = load_convertible(saved_model, signatures)
    for name in names:
        _require_rounding(name, loaded.signatures[name], opset)
    paths = {name: pathlib.Path(directory) / f"{name}.onnx" for name in names}
    for path in paths.values():
        require_replaceable(path)
    with contextlib.ExitStack() as files:
        for name, path in paths.items():
            temporary = files.enter_context(replacing(path))
            network = _convert(tf2onnx, name, loaded.signatures[name], opset)
            _sort_outputs(network.graph)
            _name_sizes(network.graph)
            onnx.save(network, temporary)
            # tf2onnx leaves in the file what it cannot convert.
            try:
                onnx.checker.check_model(temporary, full_check=True)
            except (
                onnx.checker.ValidationError,
                onnx.shape_inference.InferenceError,
            ) as error:
                raise ValueError(
                    f"Every operation must be one of ONNX' opset {opset}, for "
                    "its dtype; there is no convolution in bfloat16. "
                    f"Received: signature={name}: {error}"
                ) from error
    return paths


def import_tf2onnx() -> tuple[types.ModuleType, types.ModuleType]:
    """Return the modules onnx and tf2onnx, optional packages.

    Raises:
        ImportError: if they are not installed, with the command that does it.
    """
    with optional_import("tf2onnx is needed to write ONNX files", "onnx"):
        import onnx
        import tf2onnx
    return onnx, tf2onnx


def _require_rounding(name, function, opset):
    """Refuse an opset that cannot round as a signature does."""
    graph = function.graph.as_graph_def()
    parts = [graph.node, *(f.node_def for f in graph.library.function)]
    rounds = any(node.op == "Round" for part in parts for node in part)
    if rounds and opset < ROUNDING_OPSET:
        raise ValueError(
            f"`opset` must be at least {ROUNDING_OPSET} for a network that "
            "rounds, as a lossless one does: older ones have no operation "
            "that rounds halves to even. "
            f"Received: opset={opset}, signature={name}"
        )


def _convert(tf2onnx, name, function, opset):
    """Return a signature in ONNX, without optimizations that fail."""
    function, spec = _with_distinct_names(function)

    def convert():
        network, _ = tf2onnx.convert.from_function(
            function, [spec], opset=opset
        )
        return network

    # One that fails: to make a bias of a scalar behind a convolution.
    with contextlib.suppress(Exception), _optimizing(in_place=True):
        return convert()
    try:
        with _optimizing(in_place=False):
            return convert()
    except Exception as error:
        raise ValueError(
            "tf2onnx must be able to convert every operation to ONNX' opset "
            f"{opset}. Received: signature={name}: {error}"
        ) from error


def _with_distinct_names(function):
    """Return a signature without outputs named as its input, and its spec."""
    spec = input_spec(function)

    @tf.function(autograph=False)
    def renamed(value):
        return {
            f"output_{name}" if name == spec.name else name: output
            for name, output in function(**{spec.name: value}).items()
        }

    return renamed, spec


@contextlib.contextmanager
def _optimizing(*, in_place):
    """Decide whether tf2onnx copies the network before each optimization.

    It copies to go on without an optimization that fails, which takes much of
    the time. It then logs a traceback, although all is well.
    """
    variable = "TF2ONNX_CATCH_ERRORS"
    logger = logging.getLogger("tf2onnx.optimizer")
    with _ENVIRONMENT:
        before, level = os.environ.pop(variable, None), logger.level
        if in_place:
            os.environ[variable] = "FALSE"
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
            os.environ.pop(variable, None)
            if before is not None:
                os.environ[variable] = before


def _sort_outputs(graph):
    """Sort the outputs by name, as their order varies otherwise."""
    outputs = sorted(graph.output, key=lambda value: value.name)
    del graph.output[:]
    graph.output.extend(outputs)


def _name_sizes(graph):
    for value in (*graph.input, *graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.HasField("dim_value"):
                continue
            size.dim_param = f"{value.name}_axis{axis}" if axis else "batch"
