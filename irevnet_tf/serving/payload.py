"""Checks of what is sent and of what comes back."""

from collections.abc import Mapping

import numpy as np

from irevnet_tf.serving.errors import ServingError

NUMERIC_KINDS = "iuf"


def check_array(name: str, value) -> np.ndarray:
    """Check an array of images or features before it is sent.

    Args:
        name: the argument's name, for the message.
        value: array-like of numbers (batch, height, width, channels).

    Returns:
        The array as float32, in which both directions compute.

    Raises:
        ValueError: if it is not numeric, not of rank 4, or empty.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # Rows of different lengths.
        raise ValueError(
            f"`{name}` must be one array of numbers (batch, height, width, "
            f"channels). Received: {name}={type(value).__name__}: {error}"
        ) from error
    if array.dtype.kind not in NUMERIC_KINDS:
        raise ValueError(
            f"`{name}` must hold numbers. Received: {name}.dtype={array.dtype}"
        )
    if array.ndim != 4 or not array.size:
        raise ValueError(
            f"`{name}` must have the shape (batch, height, width, channels) "
            f"and not be empty. Received: {name}.shape={array.shape}"
        )
    return array.astype(np.float32, copy=False)


def holds_bytes(images) -> bool:
    """Tell encoded images from an array of them."""
    if isinstance(images, bytes):
        return True
    is_sequence = isinstance(images, list | tuple)
    return is_sequence and any(isinstance(image, bytes) for image in images)


def check_bytes(images) -> list[bytes]:
    """Check encoded images before they are sent.

    Raises:
        ValueError: if `images` is not a list of bytes, none of them empty.
    """
    if isinstance(images, bytes):
        raise ValueError(
            "`images` must be a list of bytes, also for one image. "
            f"Received: images=bytes of length {len(images)}"
        )
    for index, image in enumerate(images):
        if not isinstance(image, bytes) or not image:
            raise ValueError(
                "`images` must hold the bytes of a JPEG or PNG file for each "
                f"image. Received: images[{index}]={image!r}"
            )
    return list(images)


def named_output(outputs: Mapping[str, object], name: str) -> object:
    """Return an output of a reply.

    Raises:
        ServingError: if it is missing.
    """
    if name not in outputs:
        raise ServingError(
            f"The server's reply must have the output {name!r}. "
            f"Received: outputs={sorted(outputs)}"
        )
    return outputs[name]


def numbers_of(
    outputs: Mapping[str, object], name: str, batch: int, rank: int
) -> np.ndarray:
    """Return an output of numbers as float32 (batch, ...).

    Raises:
        ServingError: if it is missing, is not numeric, or has another batch
            size or rank.
    """
    array = _array(named_output(outputs, name), name)
    if array.dtype.kind not in NUMERIC_KINDS:
        raise ServingError(
            f"The server's output {name!r} must hold numbers. "
            f"Received: dtype={array.dtype}"
        )
    if array.ndim != rank or array.shape[0] != batch:
        raise ServingError(
            f"The server's output {name!r} must have rank {rank} and batch "
            f"size {batch}. Received: shape={array.shape}"
        )
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def strings_of(
    outputs: Mapping[str, object], name: str, batch: int
) -> list[str]:
    """Return an output of strings.

    Raises:
        ServingError: if it is missing, holds something else, or has another
            batch size.
    """
    array = _array(named_output(outputs, name), name)
    values = array.tolist() if array.shape == (batch,) else [None]
    values = [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for value in values
    ]
    if not all(isinstance(value, str) for value in values):
        raise ServingError(
            f"The server's output {name!r} must hold {batch} strings. "
            f"Received: shape={array.shape}, dtype={array.dtype}"
        )
    return values


def _array(value, name):
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ServingError(
            f"The server's output {name!r} must be one array. Received: {error}"
        ) from error
