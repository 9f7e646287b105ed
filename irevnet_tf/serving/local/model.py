"""LocalModel: the SavedModel behind the local server."""

import os
import pathlib

import numpy as np
import tensorflow as tf


class Refusal(Exception):
    """A request was refused.

    Args:
        status: int. The HTTP status.
        message: str. The error message for the client.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class LocalModel:
    """The newest version of an exported model. Threads may share it.

    Args:
        directory: str or path. It holds a directory for each version, named by
            an integer.

    Attributes:
        version: int. The version that was loaded.

    Raises:
        ValueError: if there is no version in `directory`.
    """

    def __init__(self, directory: str | os.PathLike):
        paths = {
            int(path.parent.name): path.parent
            for path in pathlib.Path(directory).glob("*/saved_model.pb")
            if path.parent.name.isdecimal()
        }
        if not paths:
            raise ValueError(
                "`directory` must hold a SavedModel in a directory for its "
                f"version, such as 1/. Received: directory={str(directory)!r}"
            )
        self.version = max(paths)
        # Held on to: signatures do not keep their variables alive.
        self._loaded = tf.saved_model.load(str(paths[self.version]))

    def signature(self, name: str) -> tf.types.experimental.ConcreteFunction:
        """Return a signature, the default one for an empty name.

        Raises:
            Refusal: if there is none of that name.
        """
        name = name or "serving_default"
        if name not in self._loaded.signatures:
            raise Refusal(400, f'Serving signature key "{name}" not found.')
        return self._loaded.signatures[name]


def run(
    signature: tf.types.experimental.ConcreteFunction,
    arrays: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Run a signature.

    Args:
        signature: function. One of a `LocalModel`.
        arrays: dict from str to array. All inputs by name, of the dtypes that
            it takes.

    Returns:
        Arrays by name.

    Raises:
        Refusal: if the network refuses an array, for its shape or its values.
    """
    specs = signature.structured_input_signature[1]
    tensors = {
        name: tf.constant(arrays[name], specs[name].dtype) for name in specs
    }
    try:
        outputs = signature(**tensors)
    except tf.errors.InvalidArgumentError as error:
        # Its own words stand between those of TensorFlow.
        message = error.message.split("<stack traces unavailable>\n")[-1]
        raise Refusal(400, message.partition("\n\t [[")[0]) from error
    return {name: outputs[name].numpy() for name in sorted(outputs)}
