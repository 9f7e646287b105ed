"""Decoding and resizing of image files, and naming of unreadable ones.

TensorFlow reads and decodes files in separate threads, and does not say which
file failed. Passing the name along until an image is decoded costs every image
as much as a small PNG. Instead, after an error the files are read again,
beginning where it occurred.
"""

import contextlib
import re
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from irevnet_tf.data.examples import Examples
from irevnet_tf.data.examples import FileExamples

# The errors of file systems and decoders. Other errors mean that a worker is
# lost, which should not be waited for.
_OF_FILES = (
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
)
# What TensorFlow adds to a message: the place in a graph, and the operation.
_PLACES = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*|\s+")

# Testing uses the centre: 224 pixels of a short side of 256.
TEST_CROP = 224 / 256
# The usual crops of ImageNet training, those of torchvision as well.
CROP_AREA = (0.08, 1.0)
CROP_ASPECT_RATIO = (3 / 4, 4 / 3)


def random_resized_crop(
    raw: tf.Tensor, image_shape: tuple[int, int, int], seed: tf.Tensor
) -> tf.Tensor:
    """Cut out a random part and resize it.

    The part has 8 to 100 % of the area and an aspect ratio of 3/4 to 4/3. If
    ten attempts find none that fits, it is the whole image.

    Args:
        raw: uint8 tensor (height, width, channels), or string tensor. An image,
            or the bytes of an image file.
        image_shape: tuple of ints. Height, width and channels of the result.
        seed: int64 tensor (2,). Determines the part.

    Returns:
        float32 tensor of the shape `image_shape`, values 0 to 255.
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        _raw_shape(raw),
        # Without any bounding box, the whole image counts as one.
        tf.zeros((1, 0, 4)),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=CROP_ASPECT_RATIO,
        area_range=CROP_AREA,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    window = tf.concat([begin[:2], size[:2]], axis=0)
    return _resize(_crop(raw, window, image_shape[2]), image_shape)


def central_crop(
    raw: tf.Tensor, image_shape: tuple[int, int, int]
) -> tf.Tensor:
    """Cut out the centre, as usual for testing, and resize it.

    This leaves out an eighth of the short side. An image that is no larger
    than the result is cut only to its aspect ratio; an image in memory has the
    right size already and is only cast.

    Args:
        raw: uint8 tensor `image_shape`, or string tensor. An image, or the
            bytes of an image file.
        image_shape: tuple of ints. Height, width and channels of the result.

    Returns:
        float32 tensor of the shape `image_shape`, values 0 to 255.
    """
    if raw.dtype != tf.string:
        return tf.cast(raw, "float32")
    shape = tf.cast(_raw_shape(raw)[:2], "float32")
    target = tf.constant(image_shape[:2], "float32")
    scale = tf.reduce_min(shape / target)
    scale = tf.where(scale > 1.0, TEST_CROP * scale, scale)
    # Never empty, however small the image is.
    size = tf.maximum(1, tf.cast(tf.round(target * scale), "int32"))
    begin = (tf.cast(shape, "int32") - size) // 2
    window = tf.concat([begin, size], axis=0)
    return _resize(_crop(raw, window, image_shape[2]), image_shape)


def decode_whole(
    raw: tf.Tensor, image_shape: tuple[int, int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode a whole file, to see whether that is possible.

    Cropping decodes a JPEG file only as far as it needs to.

    Args:
        raw: string tensor. The bytes of an image file.
        image_shape: tuple of ints. Height, width and channels of the images to
            make of it.

    Returns:
        Two scalars that depend on every pixel.
    """
    crop = central_crop(raw, image_shape)
    return tf.reduce_max(crop), tf.reduce_max(_decode(raw, image_shape[2]))


def _raw_shape(raw):
    if raw.dtype != tf.string:
        return tf.shape(raw)
    return tf.cond(
        tf.io.is_jpeg(raw),
        lambda: tf.image.extract_jpeg_shape(raw),
        # Always three channels, since not all formats can be decoded to one.
        lambda: tf.shape(_decode(raw, 3)),
    )


def _crop(raw, window, channels):
    """Return (window height, window width, channels), uint8."""
    if raw.dtype != tf.string:
        return _slice(raw, window)
    return tf.cond(
        tf.io.is_jpeg(raw),
        # Decodes no more than it needs to.
        lambda: tf.image.decode_and_crop_jpeg(raw, window, channels=channels),
        lambda: _slice(_decode(raw, channels), window),
    )


def _decode(raw, channels):
    def decode(count):
        image = tf.image.decode_image(
            raw, channels=count, expand_animations=False
        )
        image.set_shape((None, None, count))
        return image

    if channels != 1:
        return decode(channels)
    # TensorFlow decodes only these two formats to gray images.
    is_png = tf.equal(tf.strings.substr(raw, 0, 4), b"\x89PNG")
    return tf.cond(
        tf.io.is_jpeg(raw) | is_png,
        lambda: decode(1),
        lambda: tf.image.rgb_to_grayscale(decode(3)),
    )


def _slice(image, window):
    top, left, height, width = tf.unstack(window)
    return image[top : top + height, left : left + width]


def _resize(image, image_shape):
    image = tf.image.resize(image, image_shape[:2], antialias=True)
    return tf.ensure_shape(image, image_shape)


class UnreadableImageError(ValueError):
    """A file is no image, or not a whole one, or cannot be read at all."""


@contextlib.contextmanager
def naming_unreadable_files(
    examples: Examples,
    image_shape: tuple[int, int, int],
    order: Callable[[], np.ndarray] | None = None,
) -> Iterator[None]:
    """Name the unreadable file if a pipeline fails in the block.

    Args:
        examples: `Examples`. What the pipeline reads. If these are no files,
            errors stay as they are.
        image_shape: tuple of ints. Height, width and channels of the images it
            makes.
        order: None or function without arguments. Called after an error;
            returns the indices of examples in the order to check them, int
            array (n,). None checks all of them, as they are stored.

    Raises:
        UnreadableImageError: if a pipeline failed in the block, and a file
            cannot be read or decoded.
    """
    try:
        yield
    except _OF_FILES as error:
        # Otherwise, the error is in what is done with the images.
        failed = "IteratorGetNext" in str(error)
        if not failed or not isinstance(examples, FileExamples):
            raise
        indices = np.arange(examples.count) if order is None else order()
        path = _first_unreadable(examples, image_shape, indices)
        if path is None:
            raise
        raise UnreadableImageError(
            "A file of a data set must be a whole JPEG, PNG, GIF or BMP image "
            f"that can be converted to {image_shape[2]} channel(s). Received: "
            f"file={path}, of which TensorFlow says: "
            f"{_problem(path, image_shape)}"
        ) from error


def _first_unreadable(examples, image_shape, indices):
    """Return the path of the first file that cannot be decoded, or None."""
    paths = examples.paths[indices]
    with tf.device("CPU"):
        images = tf.data.Dataset.from_tensor_slices(paths).map(
            lambda path: decode_whole(tf.io.read_file(path), image_shape),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    done = 0
    try:
        for _ in images:
            done += 1
    except tf.errors.OpError:
        return paths[done]
    return None


def _problem(path, image_shape):
    """Return what TensorFlow says of a file, in one line."""
    try:
        decode_whole(tf.io.read_file(path), image_shape)
    except tf.errors.OpError as error:
        return plain_message(error)
    return "nothing, any more"


def plain_message(error: tf.errors.OpError) -> str:
    """Return what TensorFlow says of an error, without the place in a graph.

    Args:
        error: TensorFlow error.
    """
    return _PLACES.sub(" ", error.message).strip()
