"""Converting a SavedModel of both directions to a LiteRT file."""

import os
import pathlib
import re
from collections.abc import Iterable

import tensorflow as tf

from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.export.endpoints import load_convertible


def export_litert(
    saved_model: str | os.PathLike,
    path: str | os.PathLike,
    *,
    signatures: Iterable[str] | None = None,
) -> pathlib.Path:
    """Write one LiteRT (TFLite) file with all directions of a network.

    They share the weights. Inputs and outputs have the names, shapes and
    dtypes of the SavedModel's signatures; the interpreter's
    `get_signature_runner` takes batches of any size, and images of any size
    where the SavedModel does. All operations are builtin ones.

    Example:

    >>> model = irevnet_tf.IRevNet(
    ...     (1,), (1,), (8,), initial_downsampling=4, input_shape=(8, 8, 1)
    ... )
    >>> saved = irevnet_tf.export_saved_model(model, "models/digits")
    >>> irevnet_tf.export.export_litert(saved, "digits.tflite")
    PosixPath('digits.tflite')

    Args:
        saved_model: str or path. The version directory that
            `irevnet_tf.export.export_saved_model` has returned.
        path: str or path. The file to write or to replace, by custom
            `.tflite`. Its directory is made if needed.
        signatures: None or iterable of str. Names of those to convert. If
            None, all but those that read image files, and `serving_default`,
            which is `forward`.

    Returns:
        `path`, a `pathlib.Path`.

    Raises:
        ValueError: if `saved_model` is no SavedModel, or a signature is not
            in it or cannot be converted.
        OSError: if the file cannot be written.

    Reference:
        https://ai.google.dev/edge/litert
    """
    path = pathlib.Path(path)
    _, names = load_convertible(saved_model, signatures)
    require_replaceable(path)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        os.fspath(saved_model), signature_keys=names
    )
    try:
        content = converter.convert()
    except Exception as error:  # The converter's own class is not public.
        refused = _refused_operations(error)
        if not refused:
            raise
        raise ValueError(
            "Every operation must be a builtin one of LiteRT, for its dtype; "
            "convolutions are in float32 only. Received: "
            f"signatures={names} with {refused}"
        ) from error
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _refused_operations(error):
    """Return the line of the converter's long message that has the names."""
    lines = re.findall(r"^(?:TF Select|Custom) ops: .*$", str(error), re.M)
    return "; ".join(lines)
