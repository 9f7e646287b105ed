"""Dataset, the type of every data set of this package."""

import dataclasses

import numpy as np
import tensorflow as tf

from irevnet_tf.data.decoding import central_crop
from irevnet_tf.data.decoding import naming_unreadable_files
from irevnet_tf.data.examples import Examples
from irevnet_tf.preprocessing import Normalization

_DECODED_AT_ONCE = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A data set for classification.

    Example:

    >>> digits = irevnet_tf.data.load_dataset("digits")
    >>> digits.image_shape, digits.train.count
    ((8, 8, 1), 1437)

    Attributes:
        name: str. The name that `load_dataset` knows it by.
        class_names: tuple of strs. The name of each class, in the order of the
            labels.
        image_shape: tuple of ints. Height, width and channels of the images
            that a network gets.
        normalization: `Normalization`. What is done to the values of the
            images.
        train: `Examples`. Those to train with.
        test: `Examples`. Those to test with.
        validation: None or `Examples`. Those that were held out of the training
            examples.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    normalization: Normalization
    train: Examples
    test: Examples
    validation: Examples | None = None

    def arrays(
        self, part: str, count: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return examples as arrays, in the order in which they are stored.

        Args:
            part: str. "train", "test" or "validation".
            count: None or int. The number of examples, None for all.

        Returns:
            float32 array (N, height, width, channels), normalised, cropped
            and resized as for testing, and int64 array (N,) of labels.

        Raises:
            ValueError: if there is no such part, if it has fewer examples, or
                if a file cannot be read (`UnreadableImageError`).
        """
        parts = ("train", "test", "validation")
        examples = getattr(self, part) if part in parts else None
        if examples is None:
            raise ValueError(
                "`part` must be 'train', 'test', or, in a data set with "
                f"held-out examples, 'validation'. Received: part={part!r}"
            )
        if count is None:
            count = examples.count
        if not 1 <= count <= examples.count:
            raise ValueError(
                "`count` must be between 1 and the number of examples "
                f"(={examples.count}). Received: count={count}"
            )

        def picture(raw, label, _):
            image = central_crop(raw, self.image_shape)
            return self.normalization.apply(image), label

        batches = (
            examples.ordered(tf.distribute.InputContext(), 1)
            .take(count)
            .map(picture, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(_DECODED_AT_ONCE)
        )
        with naming_unreadable_files(
            examples, self.image_shape, lambda: np.arange(count)
        ):
            images, labels = zip(*batches.as_numpy_iterator(), strict=True)
        return np.concatenate(images), np.concatenate(labels)
