"""Version directories: numbering, model_card.json and warm-up requests."""

import contextlib
import errno
import json
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.atomic import TEMPORARY_PREFIX
from irevnet_tf.atomic import flush_directory
from irevnet_tf.atomic import flush_tree
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.optional import optional_import
from irevnet_tf.preprocessing import Normalization
from irevnet_tf.zoo.registry import file_sha256

# What makes a directory a SavedModel.
SAVED_MODEL_FILE = "saved_model.pb"
CARD_FILE = "model_card.json"
# Where TensorFlow Serving looks for its warm-up requests.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def existing_versions(directory: str | os.PathLike) -> list[int]:
    """Return the version numbers in a model's directory, in order."""
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in directory.iterdir()
        if entry.name.isascii() and entry.name.isdecimal()
    )


def check_directory(directory: str | os.PathLike) -> pathlib.Path:
    """Return the directory for a model's versions, whether it exists or not.

    Raises:
        ValueError: if it is an address, a file, or a version itself.
    """
    if "://" in os.fspath(directory):
        raise ValueError(
            "`directory` must be a local directory; copy it from there. "
            f"Received: directory={os.fspath(directory)!r}"
        )
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ValueError(
            "`directory` must be a directory, not a file. "
            f"Received: directory={str(directory)!r}"
        )
    if (directory / SAVED_MODEL_FILE).exists():
        raise ValueError(
            "`directory` must be the one that holds a model's versions, not a "
            f"version. Received: directory={str(directory)!r}"
        )
    return directory


def write_version(
    directory: str | os.PathLike, write: Callable[[pathlib.Path], None]
) -> pathlib.Path:
    """Write the next version of a model, which appears in full or not at all.

    It is written under a name that is no number, which servers ignore, and
    renamed. If `write` fails, nothing of it is left.

    Args:
        directory: str or path. The model's directory, made if needed.
        write: function. Called with an empty directory, to fill it.

    Returns:
        The path of the version, `directory/N`, one above the highest number
        that is there.

    Raises:
        OSError: if the directory cannot be made or written to.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # Not of `tempfile`, which makes what only its owner may read.
    temporary = directory / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        write(temporary)
        flush_tree(temporary)
        while True:
            number = max(existing_versions(directory), default=0) + 1
            # Another export may have taken the number since.
            with contextlib.suppress(FileExistsError):
                return _rename(temporary, directory / str(number))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_model_card(
    directory: pathlib.Path,
    model: keras.Model,
    *,
    parameters: int,
    signatures: dict[str, Any],
    preprocessing: str | Normalization,
    normalization: Normalization,
    class_names: tuple[str, ...] | None,
    reconstruct_from: str | int | None,
    inversion_error: float | None,
    warmup_requests: int,
    certificate: dict | None,
) -> None:
    """Write `model_card.json`, for people and programs.

    Args:
        directory: path. The directory of the SavedModel, which is complete.
        model: Keras model. What `inference_copy` returned.
        parameters: int. How many numbers the exported model has, its statistics
            included.
        signatures: dict from str to function. As TensorFlow loads them.
        preprocessing: str or `Normalization`. What the user gave.
        normalization: `Normalization`. What it stands for.
        class_names: None or tuple of str. The name of every class.
        reconstruct_from: None, str or int. The point of `reconstruct`.
        inversion_error: None or float. The largest difference of a pixel of
            a sample image that went through both directions of the
            SavedModel, from 0 to 255; None if it could not be tried.
        warmup_requests: int. How many there are.
        certificate: None or dict. That of a portable network.
    """
    bits = {
        layer.fraction_bits
        for layer in model.layers
        if isinstance(layer, FixedPointRounding)
    }
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    card = {
        "model": model.name,
        "parameters": parameters,
        "lossless": bool(bits),
        "fraction_bits": max(bits, default=None),
        "signatures": {
            name: {
                "inputs": _tensors(function.structured_input_signature[1]),
                "outputs": _tensors(function.structured_outputs),
            }
            for name, function in sorted(signatures.items())
        },
        "preprocessing": {
            "name": preprocessing if isinstance(preprocessing, str) else None,
            "formula": "(images / maximum - mean) / std, by channel",
            "maximum": normalization.maximum,
            "mean": normalization.mean,
            "std": normalization.std,
        },
        "class_names": class_names,
        "reconstruct_from": reconstruct_from,
        "inversion": {
            "largest_pixel_difference": inversion_error,
            "of": "a sample image, 0 to 255, through both directions of this "
            "SavedModel on the machine that exported it",
        },
        "warmup_requests": warmup_requests,
        "certificate": certificate,
        "sha256": {
            str(path.relative_to(directory)): file_sha256(path)
            for path in files
        },
        "packages": {
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
    }
    text = json.dumps(card, indent=2, allow_nan=False) + "\n"
    # Lists of numbers, such as shapes, in one line each.
    text = re.sub(
        r"\[\s+((?:null|[-+.\de]+)(?:,\s+(?:null|[-+.\de]+))*)\s+\]",
        lambda found: "[" + " ".join(found[1].split()) + "]",
        text,
    )
    (directory / CARD_FILE).write_text(text, encoding="utf-8")


def import_serving_api():
    """Return the module of TensorFlow Serving's requests.

    Raises:
        ImportError: if it is not installed, with the command that does it.
    """
    with optional_import(
        "Warm-up requests need the package tensorflow-serving-api", "serving"
    ):
        from tensorflow_serving.apis import prediction_log_pb2
    return prediction_log_pb2


def serving_api_is_installed() -> bool:
    """Return whether `import_serving_api` would succeed."""
    try:
        import_serving_api()
    except ImportError:
        return False
    return True


def write_warmup_requests(
    directory: pathlib.Path,
    model_name: str,
    signatures: Mapping[str, Callable],
    images: np.ndarray,
    features: np.ndarray,
) -> int:
    """Write one request for each signature, for a single image.

    The first call of a signature is slow: TensorFlow prepares its graph.
    TensorFlow Serving replays these requests before it lets clients in.

    Args:
        directory: path. The directory of the SavedModel.
        model_name: str. The name by which the server may know the model.
        signatures: dict from str to function. As TensorFlow loads them.
        images: float32 array (N, height, width, channels). Raw images that
            the model takes.
        features: float array (N, h, w, c). Their representation.

    Returns:
        The number of requests.

    Raises:
        ImportError: if tensorflow-serving-api is not installed.
    """
    prediction_log_pb2 = import_serving_api()
    values = {
        "images": images[:1],
        "features": features[:1],
        "image_bytes": np.array([_png(images[0])]),
    }
    path = directory / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, function in signatures.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for name in function.structured_input_signature[1]:
                request.inputs[name].CopyFrom(
                    tf.make_tensor_proto(values[name])
                )
            writer.write(log.SerializeToString())
    return len(signatures)


def _rename(source, target):
    try:
        source.rename(target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(*error.args) from error
        raise
    flush_directory(target.parent)
    return target


def _tensors(specs):
    return {
        name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
        for name, spec in sorted(specs.items())
    }


def _png(image):
    if image.shape[-1] not in (1, 3):
        return b""
    encoded = tf.io.encode_png(tf.cast(image, tf.uint8))
    return encoded.numpy()
