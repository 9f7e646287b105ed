"""Tensors as JSON, in the two formats of TensorFlow Serving's REST API.

https://www.tensorflow.org/tfx/serving/api_rest#predict_api. The row format has
a list with an item for each image ("instances", "predictions"), the columnar
one a list for each tensor ("inputs", "outputs").
"""

import base64
import json
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from irevnet_tf.serving.local_model import Refusal


def parse_body(body: bytes) -> dict:
    """Read the body of a request.

    Raises:
        Refusal: if it is not a JSON object with a signature's name, if any,
            and one of "inputs" and "instances".
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"JSON Parse error: {error}") from error
    if not isinstance(content, dict):
        raise _invalid("JSON Value: Is not object")
    if not isinstance(content.get("signature_name", ""), str):
        raise _invalid("'signature_name' key must be a string value.")
    if "instances" in content and "inputs" in content:
        raise _invalid(
            "Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist"
        )
    if "instances" not in content and "inputs" not in content:
        raise _invalid("Missing 'inputs' or 'instances' key")
    return content


def arrays(
    content: Mapping, specs: Mapping[str, tf.TensorSpec]
) -> dict[str, np.ndarray]:
    """Return the tensors of a request by name.

    Args:
        content: what `parse_body` returned.
        specs: what the signature takes, by name.

    Raises:
        Refusal: if names, nesting or types do not fit.
    """
    if "inputs" in content:
        values = content["inputs"]
    else:
        values = _columns(content["instances"])
    if not isinstance(values, dict) or _is_base64(values):
        if len(specs) > 1:
            raise _invalid(
                "inputs is a plain value/list, but expecting an object as "
                "multiple input tensors required as per tensorinfo_map"
            )
        values = {name: values for name in specs}
    for name in specs:
        if name not in values:
            raise _invalid(f"Missing named input: {name} in 'inputs' object.")
    for name in values:
        # TensorFlow Serving does not notice, in columns.
        if name not in specs:
            raise _invalid(f"JSON object: does not have named input: {name}")
    return {
        name: _array(name, values[name], spec) for name, spec in specs.items()
    }


def body(outputs: Mapping[str, np.ndarray], in_rows: bool) -> bytes:
    """Return the body of a reply.

    Floats are printed with as many digits as a float64 needs, so that they
    are read back bit for bit, and NaN and infinity as such.

    Args:
        outputs: arrays (batch, ...) by name.
        in_rows: whether in the row format.
    """
    lists = {name: _list(name, array) for name, array in outputs.items()}
    # A single output loses its name.
    columns = lists if len(lists) > 1 else next(iter(lists.values()))
    if not in_rows:
        return json.dumps({"outputs": columns}).encode()
    rows = columns
    if len(lists) > 1:
        items = zip(*lists.values(), strict=True)
        rows = [dict(zip(lists, item, strict=True)) for item in items]
    return json.dumps({"predictions": rows}).encode()


def _columns(instances):
    if not isinstance(instances, list):
        raise _invalid("Expecting 'instances' to be an list/array")
    if not instances:
        raise _invalid("No values in 'instances' array")
    named = [
        isinstance(instance, dict) and not _is_base64(instance)
        for instance in instances
    ]
    if not any(named):
        return instances
    if not all(named):
        raise _invalid(
            "Expecting object but got list at item "
            f"{named.index(False)} of input list"
        )
    names = instances[0].keys()
    for index, instance in enumerate(instances):
        if instance.keys() != names:
            raise _invalid(
                f"Failed to process element: {index} of 'instances' list. "
                f"JSON object keys must be equal to: {','.join(names)}"
            )
    return {name: [instance[name] for instance in instances] for name in names}


def _array(name, value, spec):
    try:
        if spec.dtype == tf.string:
            return np.array(_strings(value), dtype=object)
        array = np.array(value)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"JSON Value for {name}: {error}") from error
    if array.dtype.kind not in "iuf":
        raise _invalid(
            f"JSON Value for {name} is not of expected type: {spec.dtype.name}"
        )
    dtype = spec.dtype.as_numpy_dtype
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if not np.array_equal(np.isfinite(array), np.isfinite(converted)):
        raise _invalid(
            f"Cannot convert JSON value for {name} to {spec.dtype.name} "
            "without loss of precision."
        )
    return converted


def _strings(value):
    if isinstance(value, list):
        return [_strings(item) for item in value]
    if isinstance(value, str):
        return value.encode()
    if _is_base64(value):
        return base64.b64decode(value["b64"], validate=True)
    raise ValueError("is not of expected type: string")


def _is_base64(value):
    is_object = isinstance(value, dict) and value.keys() == {"b64"}
    return is_object and isinstance(value["b64"], str)


def _list(name, array):
    values = array.tolist()
    if array.dtype != object:
        return values
    return _printed(values, as_base64=name.endswith("_bytes"))


def _printed(value, as_base64):
    if isinstance(value, list):
        return [_printed(item, as_base64) for item in value]
    if as_base64:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode("utf-8", "replace")


def _invalid(message):
    return Refusal("INVALID_ARGUMENT", message)
