"""Request and reply bodies: tensors as JSON.

TensorFlow Serving has two formats: by columns, a list for each tensor
("inputs", "outputs"), and by rows, an item for each image ("instances",
"predictions"). https://www.tensorflow.org/tfx/serving/api_rest#predict_api
"""

import base64
import json

import numpy as np
import tensorflow as tf

from irevnet_tf.serving.local.model import LocalModel
from irevnet_tf.serving.local.model import Refusal
from irevnet_tf.serving.local.model import run


def answer(body: bytes, model: LocalModel) -> dict:
    """Run the signature that a request names.

    Args:
        body: bytes. JSON, in one of the two formats.
        model: `LocalModel`. The model to run.

    Returns:
        The reply, in the same format.

    Raises:
        Refusal: if the body is malformed, or does not fit the signature.
    """
    content = _parse(body)
    signature = model.signature(content.get("signature_name", ""))
    by_rows = "instances" in content
    values = _columns(content["instances"]) if by_rows else content["inputs"]
    specs = signature.structured_input_signature[1]
    outputs = run(signature, _arrays(values, specs))
    columns = {name: _listed(array) for name, array in outputs.items()}
    if len(columns) == 1:  # It loses its name.
        (found,) = columns.values()
    elif by_rows:
        rows = zip(*columns.values(), strict=True)
        found = [dict(zip(columns, row, strict=True)) for row in rows]
    else:
        found = columns
    return {"predictions" if by_rows else "outputs": found}


def _parse(body):
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"JSON Parse error: {error}") from error
    if (
        not isinstance(content, dict)
        or ("inputs" in content) == ("instances" in content)
        or not isinstance(content.get("signature_name", ""), str)
    ):
        raise Refusal(
            400,
            "Expected a JSON object with either 'inputs' or 'instances', and "
            "'signature_name', if any, a string.",
        )
    return content


def _arrays(values, specs):
    if not _has_names(values):
        # A single input needs no name. Of several, the others are missing.
        values = dict.fromkeys(sorted(specs)[:1], values)
    if values.keys() != specs.keys():
        raise Refusal(
            400,
            f"Expected the inputs {sorted(specs)}. Received: {sorted(values)}",
        )
    return {name: _array(name, values[name], specs[name]) for name in specs}


def _columns(rows):
    if not isinstance(rows, list) or not rows:
        raise Refusal(400, "'instances' must be a list, and not empty.")
    if not _has_names(rows[0]):
        return rows
    if any(not _has_names(r) or r.keys() != rows[0].keys() for r in rows):
        raise Refusal(400, "All items of 'instances' must have the same names.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _array(name, value, spec):
    try:
        if spec.dtype == tf.string:
            return tf.constant(_strings(value), tf.string).numpy()
        array = np.array(value)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"is not of expected type: {spec.dtype.name}")
        with np.errstate(over="raise"):
            return array.astype(spec.dtype.as_numpy_dtype)
    except (ArithmeticError, RecursionError, ValueError) as error:
        raise Refusal(400, f"JSON value for {name}: {error}") from error


def _strings(value):
    if isinstance(value, list):
        return [_strings(item) for item in value]
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, str):
        return value.encode()
    raise ValueError("is not of expected type: string")


def _has_names(value):
    # Else it may be the bytes of a file.
    return isinstance(value, dict) and "b64" not in value


def _listed(array):
    if array.dtype == object:  # Strings.
        array = np.strings.decode(array.astype(bytes), "utf-8", "replace")
    return array.tolist()
