"""Checks of requests and replies."""

import os
from collections.abc import Mapping

import numpy as np

from irevnet_tf.serving.errors import ServingError

NUMERIC_KINDS = "iuf"


def check_array(name: str, value) -> np.ndarray:
    """Check an array of images or features before it is sent.

    Args:
        name: str. The argument's name, for the message.
        value: array-like (batch, height, width, channels). Numbers.

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
    if not _is_numeric(array):
        raise ValueError(
            f"`{name}` must hold numbers. Received: {name}.dtype={array.dtype}"
        )
    if array.ndim != 4 or not array.size:
        raise ValueError(
            f"`{name}` must have the shape (batch, height, width, channels) "
            f"and not be empty. Received: {name}.shape={array.shape}"
        )
    return array.astype(np.float32, copy=False)


def check_files(images) -> list[bytes] | None:
    """Check encoded images before they are sent.

    Args:
        images: any. Encoded images are a list of bytes, bytearray or
            memoryview, or an array or a tensor of strings (batch,). Anything
            else is not encoded.

    Returns:
        A list of bytes, or None if `images` are not encoded.

    Raises:
        ValueError: if `images` are one file, names of files, or mixed, or a
            file is empty.
    """
    if isinstance(images, bytes | bytearray):
        raise ValueError(
            "`images` must be a list of bytes, also for one image. "
            f"Received: images={_described(images)}"
        )
    images = _listed(images)
    if not any(_is_text(image) or _is_file(image) for image in images):
        return None
    for index, image in enumerate(images):
        if _is_text(image):
            raise ValueError(
                "`images` must hold the contents of files, as bytes, not "
                f"their names. Received: images[{index}]={_described(image)}"
            )
        if not _is_file(image) or not len(image):
            raise ValueError(
                "`images` must hold the bytes of a JPEG or PNG file for each "
                f"image. Received: images[{index}]={_described(image)}"
            )
    return [bytes(image) for image in images]


def check_images(images) -> tuple[str, str, np.ndarray | list[bytes]]:
    """Check images, encoded or not, before they are sent.

    Args:
        images: any. As for `check_files` or `check_array`.

    Returns:
        The signature for them, the name of its input, and its value.

    Raises:
        ValueError: if they are neither of the two.
    """
    files = check_files(images)
    if files is not None:
        return "forward_bytes", "image_bytes", files
    return "forward", "images", check_array("images", images)


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
    outputs: Mapping[str, object],
    name: str,
    batch: int,
    rank: int | None = None,
) -> np.ndarray:
    """Return an output of numbers as float32 (batch, ...).

    Args:
        outputs: dict. The outputs in a reply, by name.
        name: str. The output's name.
        batch: int. How many images were sent.
        rank: None or int. The rank that it must have, batch included; None for
            any.

    Raises:
        ServingError: if it is missing, is not numeric, or has another batch
            size or rank.
    """
    array = _array(named_output(outputs, name), name)
    if not _is_numeric(array):
        raise ServingError(
            f"The server's output {name!r} must hold numbers. "
            f"Received: dtype={array.dtype}"
        )
    fits = rank is None or array.ndim == rank
    if not fits or array.shape[:1] != (batch,):
        expected = "" if rank is None else f"rank {rank} and "
        raise ServingError(
            f"The server's output {name!r} must have {expected}batch size "
            f"{batch}. Received: shape={array.shape}"
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


def values_of(
    outputs: Mapping[str, object], name: str, batch: int
) -> np.ndarray | list[str]:
    """Return an output of numbers, as float32 (batch, ...), or of strings.

    Raises:
        ServingError: if it is missing, is neither, or has another batch size.
    """
    array = _array(named_output(outputs, name), name)
    # TensorFlow keeps strings as objects, JSON as text.
    is_text = array.dtype.kind in "OSU"
    return (strings_of if is_text else numbers_of)(outputs, name, batch)


def _is_numeric(array):
    # To NumPy, bfloat16 is of a kind like structures.
    return array.dtype.name == "bfloat16" or array.dtype.kind in NUMERIC_KINDS


def _listed(images):
    """Return the items that may be files, none for an array of numbers."""
    if not isinstance(images, list | tuple):
        array = np.asarray(images)
        is_list = array.ndim == 1 and array.dtype.kind in "OSU"
        return array.tolist() if is_list else []
    return [_content(image) for image in images]


def _content(value):
    """Return what a tensor of one string holds, and anything else as it is."""
    # TensorFlow need not be installed.
    is_tensor = hasattr(value, "numpy") and hasattr(value, "dtype")
    found = value.numpy() if is_tensor else value
    return found if isinstance(found, bytes) else value


def _is_text(value):
    return isinstance(value, str | os.PathLike)


def _is_file(value):
    is_view = isinstance(value, memoryview) and value.ndim == 1
    return is_view or isinstance(value, bytes | bytearray)


def _described(value):
    """Name a value that may be too long to print."""
    try:
        return f"{type(value).__name__} of length {len(value)}"
    except TypeError:  # It has none.
        return type(value).__name__


def _array(value, name):
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ServingError(
            f"The server's output {name!r} must be one array. Received: {error}"
        ) from error
