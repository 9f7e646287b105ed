"""A SavedModel that answers requests as TensorFlow Serving's would.

The checks and the words of the errors follow `predict_util.cc` of
https://github.com/tensorflow/serving.
"""

import os
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

DEFAULT_SIGNATURE = "serving_default"

# gRPC sends messages of errors in headers, which are limited to 8 kB.
MESSAGE_CHARACTERS = 2000


class Refusal(Exception):
    """A request that is not answered.

    Args:
        code: the name of a gRPC status code.
        message: for the client.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message[:MESSAGE_CHARACTERS])
        self.code = code


class LocalModel:
    """The newest version of an exported model.

    Args:
        directory: with one directory for each version, named by an integer.
        name: the name under which it is served.

    Attributes:
        name: the name.
        version: int, the version that was loaded.
        signature_defs: the `SignatureDef` protos by name.

    Raises:
        ValueError: if there is no version in `directory`.
    """

    def __init__(self, directory: str | os.PathLike, name: str):
        path = _newest_version(pathlib.Path(directory))
        self.name = name
        self.version = int(path.name)
        saved_model = saved_model_pb2.SavedModel.FromString(
            (path / "saved_model.pb").read_bytes()
        )
        self.signature_defs = dict(saved_model.meta_graphs[0].signature_def)
        # Held on to: signatures do not keep their variables alive.
        self._loaded = tf.saved_model.load(str(path))

    def require(self, name: str, version: int | None, label: str) -> None:
        """Check that a request is for this model.

        Raises:
            Refusal: if it is for another model, version, or label. There are
                no labels, which TensorFlow Serving takes from a file.
        """
        if name != self.name or version not in (None, self.version):
            which = "Latest" if version is None else "Specific"
            number = "" if version is None else f", {version}"
            raise Refusal(
                "NOT_FOUND",
                f"Servable not found for request: {which}({name}{number})",
            )
        if label:
            raise Refusal(
                "INVALID_ARGUMENT",
                f"Unrecognized servable version label: {label}",
            )

    def require_status(self, name: str, version: int | None) -> None:
        """Check that a request is for the status of this model.

        Raises:
            Refusal: if it is for that of another model or version.
        """
        if name != self.name:
            raise Refusal(
                "NOT_FOUND", f"Could not find any versions of model {name}"
            )
        if version not in (None, self.version):
            raise Refusal(
                "NOT_FOUND",
                f"Could not find version {version} of model {name}",
            )

    def inputs(self, signature: str) -> dict[str, tf.TensorSpec]:
        """Return what a signature takes, by name.

        Raises:
            Refusal: if there is no such signature.
        """
        return dict(self._find(signature).structured_input_signature[1])

    def predict(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        output_filter: Sequence[str] = (),
    ) -> dict[str, np.ndarray]:
        """Run a signature.

        Args:
            signature: its name. Empty for the default one.
            inputs: arrays by name.
            output_filter: the names of the outputs to return. Default: all.

        Returns:
            Arrays by name.

        Raises:
            Refusal: if the request does not fit the signature or fails.
        """
        function = self._find(signature)
        tensors = _tensors(inputs, self.inputs(signature))
        names = _outputs(output_filter, function.structured_outputs)
        try:
            outputs = function(**tensors)
        except tf.errors.OpError as error:
            raise Refusal(_code_name(error), _without_stacks(error)) from error
        return {name: outputs[name].numpy() for name in names}

    def _find(self, signature):
        signature = signature or DEFAULT_SIGNATURE
        if signature not in self._loaded.signatures:
            raise Refusal(
                "FAILED_PRECONDITION",
                f'Serving signature key "{signature}" not found.',
            )
        return self._loaded.signatures[signature]


def _newest_version(directory):
    versions = []
    if directory.is_dir():
        versions = [
            path
            for path in directory.iterdir()
            if path.name.isdecimal() and (path / "saved_model.pb").is_file()
        ]
    if not versions:
        raise ValueError(
            "`directory` must hold a SavedModel in a directory for its "
            f"version, such as 1/. Received: directory={str(directory)!r}"
        )
    return max(versions, key=lambda path: int(path.name))


def _tensors(inputs, specs):
    if len(inputs) != len(specs):
        extra = sorted(set(inputs) - set(specs))
        missing = sorted(set(specs) - set(inputs))
        raise Refusal(
            "INVALID_ARGUMENT",
            "input size does not match signature: "
            f"{len(inputs)}!={len(specs)}. Sent extra: {{{','.join(extra)}}}. "
            f"Missing but required: {{{','.join(missing)}}}.",
        )
    for name, array in inputs.items():
        if name not in specs:
            raise Refusal(
                "INVALID_ARGUMENT",
                f"input tensor alias not found in signature: {name}. Inputs "
                f"expected to be in the set {{{','.join(sorted(specs))}}}.",
            )
        spec = specs[name]
        # NumPy keeps strings as objects.
        dtype = tf.string if array.dtype == object else array.dtype
        if dtype != spec.dtype or not spec.shape.is_compatible_with(
            array.shape
        ):
            raise Refusal(
                "INVALID_ARGUMENT",
                f"input {name} must be {spec.dtype.name} of shape "
                f"{spec.shape}, got {tf.as_dtype(dtype).name} of shape "
                f"{array.shape}",
            )
    return {
        name: tf.constant(array, specs[name].dtype)
        for name, array in inputs.items()
    }


def _outputs(output_filter, known):
    for index, name in enumerate(output_filter):
        if name not in known:
            raise Refusal(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {name} Outputs "
                f"expected to be in the set {{{','.join(sorted(known))}}}.",
            )
        if name in output_filter[:index]:
            raise Refusal(
                "INVALID_ARGUMENT", f"duplicate output tensor alias: {name}"
            )
    return list(output_filter) or sorted(known)


def _code_name(error):
    names = {
        value: name
        for name, value in vars(tf.errors).items()
        if name.isupper() and isinstance(value, int)
    }
    return names.get(error.error_code, "INTERNAL")


def _without_stacks(error):
    """Return an error's message without what TensorFlow puts around it."""
    message = (error.message or "No message").partition("\n\t [[")[0]
    around = ("Graph execution error:", "Detected at node", "<stack traces")
    lines = [line for line in message.splitlines() if line]
    kept = [line for line in lines if not line.startswith(around)]
    return "\n".join(kept or lines)
