"""ONNX files of both directions of a network."""

import contextlib
import os
import pathlib
import threading
import types
from collections.abc import Iterable

import tensorflow as tf

from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.export.signatures import input_spec
from irevnet_tf.export.signatures import load_convertible

# Of ONNX' operator sets, the first into which tf2onnx 1.17 converts all that
# these networks do, and the last that it knows.
FIRST_OPSET = 10
LATEST_OPSET = 18

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
    ONNX wants different names for all values, so an output with the name of
    an input is called `output_` and that name: `reconstruct` takes `images`
    and returns `output_images`. Sizes that are not fixed stay so: the first
    one of every tensor is named `batch`, others by tensor and axis.

    Args:
        saved_model: The version directory that
            `irevnet_tf.export.export_saved_model` has returned.
        directory: Where to write `forward.onnx`, `inverse.onnx`, and so on;
            made if needed. Files of these names are replaced, all or, if one
            cannot be converted, none.
        signatures: Names of those to convert. If None, all but those that
            read image files, and `serving_default`, which is `forward`.
        opset: ONNX' operator set, 10 to 18.

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
    paths = {name: pathlib.Path(directory) / f"{name}.onnx" for name in names}
    for path in paths.values():
        require_replaceable(path)
    with contextlib.ExitStack() as files:
        for name, path in paths.items():
            temporary = files.enter_context(replacing(path))
            function, spec = _with_distinct_names(loaded.signatures[name])
            with _optimizing_in_place():
                network, _ = tf2onnx.convert.from_function(
                    function, [spec], opset=opset
                )
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
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ImportError(
            "tf2onnx is needed to write ONNX files: "
            'pip install "irevnet_tf[onnx]"'
        ) from error
    return onnx, tf2onnx


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
def _optimizing_in_place():
    """Keep tf2onnx from copying the network before each optimization.

    It does so to go on without one that fails, which takes much of the time.
    """
    name = "TF2ONNX_CATCH_ERRORS"
    with _ENVIRONMENT:
        before = os.environ.get(name)
        os.environ[name] = "FALSE"
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before


def _sort_outputs(graph):
    """Put the outputs in the order of their names, which varied else."""
    outputs = sorted(graph.output, key=lambda value: value.name)
    del graph.output[:]
    graph.output.extend(outputs)


def _name_sizes(graph):
    for value in (*graph.input, *graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.HasField("dim_value"):
                continue
            size.dim_param = f"{value.name}_axis{axis}" if axis else "batch"
