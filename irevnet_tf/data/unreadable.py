"""Finding the file that stopped an input pipeline.

TensorFlow reads and decodes files in threads of its own, and does not say of
which one it could not be done. To carry the name along until an image is
decoded costs every image as much as a small PNG. Instead, files are looked at
again once it went wrong, beginning where it did.
"""

import contextlib
import re
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from irevnet_tf.data.decoding import decode_whole
from irevnet_tf.data.examples import ArrayExamples
from irevnet_tf.data.examples import FileExamples
from irevnet_tf.data.stream import StreamExamples

# What file systems and decoders raise. Others tell of workers that are lost,
# who should not be waited for.
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
# What TensorFlow adds to a message: where in a graph, and in which operation.
_PLACES = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*|\s+")


class UnreadableImageError(ValueError):
    """A file is no image, or not a whole one, or cannot be read at all."""


@contextlib.contextmanager
def naming_unreadable_files(
    examples: ArrayExamples | FileExamples | StreamExamples,
    image_shape: tuple[int, int, int],
    order: Callable[[], np.ndarray] | None = None,
) -> Iterator[None]:
    """Say which file it was if a pipeline fails in the block.

    Args:
        examples: What the pipeline reads. If these are no files, errors stay
            as they are.
        image_shape: Height, width and channels of the images it makes.
        order: Called without arguments after an error, for the indices of
            examples in the order to look at them, integer array (n,). All, as
            they are stored, if None.

    Raises:
        UnreadableImageError: if a pipeline failed in the block, and a file
            cannot be read or decoded.
    """
    try:
        yield
    except _OF_FILES as error:
        # Not an error of what is done with the images.
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
        return _PLACES.sub(" ", error.message).strip()
    return "nothing, any more"
