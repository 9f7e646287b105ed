"""Image files named on the command line."""

import contextlib
import pathlib

import numpy as np
import tensorflow as tf
from absl import app

from irevnet_tf.data.decoding import central_crop
from irevnet_tf.data.decoding import plain_message
from irevnet_tf.export.checks import WHITE
from irevnet_tf.preprocessing import Normalization

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def find_images(text: str) -> list[pathlib.Path]:
    """Return the files that --images names.

    Args:
        text: str. Paths, separated by commas. A directory stands for all image
            files in it and below, in the order of their names.

    Raises:
        app.UsageError: if there are none, or if one does not exist.
    """
    found = []
    for name in map(str.strip, text.split(",")):
        path = pathlib.Path(name)
        if name and path.is_dir():
            found += sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES and file.is_file()
            )
        elif name and path.is_file():
            found.append(path)
        else:
            raise app.UsageError(
                "--images must be image files, separated by commas, or a "
                f"directory. Received: --images with {name!r}, which is neither"
            )
    if not found:
        raise app.UsageError(
            "--images must be a directory with JPEG, PNG, GIF or BMP files. "
            f"Received: --images={text}, without any"
        )
    return found


def image_shape(
    sides: tuple[int | None, ...],
    path: pathlib.Path,
    size: int | None,
    factor: int,
) -> tuple[int, int, int]:
    """Return the shape to which image files are resized for a network.

    Args:
        sides: tuple. Height, width and channels of the network's images, with
            None for any height or width.
        path: path. The first of the files. Its size counts where the network
            takes any.
        size: None or int. The height and width that the user wants, if any.
        factor: int. The number by which height and width must be divisible.

    Raises:
        app.UsageError: if the network takes no such images.
    """
    *sides, channels = sides
    if channels not in (1, 3):
        raise app.UsageError(
            "--images needs a network for images with 1 or 3 channels. "
            f"Received: one for {channels}"
        )
    if size is not None:
        if size % factor or any(side not in (None, size) for side in sides):
            raise app.UsageError(
                f"--image_size must be the network's own ({sides[0]}x"
                f"{sides[1]}, None for any), and divisible by {factor}. "
                f"Received: --image_size={size}"
            )
        sides = [size, size]
    if None in sides:
        found = _size_of(path)
        sides = [
            side or max(factor, given - given % factor)
            for side, given in zip(sides, found, strict=True)
        ]
    return (*sides, channels)


def _size_of(path):
    with _telling_of(path, "--images"):
        raw = tf.io.read_file(str(path))
        image = tf.image.decode_image(raw, expand_animations=False)
    return image.shape[:2]


def read_image(
    path: str, shape: tuple[int, int, int], scale: Normalization, flag: str
) -> np.ndarray:
    """Read an image file as data sets are tested: cropped, resized, scaled.

    Args:
        path: str or path. A JPEG, PNG, GIF or BMP file.
        shape: tuple of ints. Height, width and channels of the result.
        scale: `Normalization`. The scaling of pixels for the network.
        flag: str. The flag that named the file, for errors.

    Returns:
        float32 array of the shape `shape`.

    Raises:
        app.UsageError: if it is no such file.
    """
    with _telling_of(path, flag):
        return decode_image(tf.io.read_file(str(path)), shape, scale)


@contextlib.contextmanager
def _telling_of(path, flag):
    try:
        yield
    except tf.errors.OpError as error:
        raise app.UsageError(
            f"{flag} must be whole JPEG, PNG, GIF or BMP files, in gray or "
            f"RGB, but TensorFlow says: {plain_message(error)} "
            f"Received: {flag} with {path}"
        ) from error


def decode_image(raw: tf.Tensor, shape, scale) -> np.ndarray:
    """Return the image of `read_image` from the bytes of a file."""
    image = central_crop(raw, shape)
    return scale.apply(image * (scale.maximum / WHITE)).numpy()
