"""What every data set of this package offers."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A classification data set in memory, ready for a model.

    Attributes:
        name: The name that `load_dataset` knows it by.
        train_images: float32 array (N, height, width, channels), normalised
            to `value_range`.
        train_labels: int64 array (N,), indices into `class_names`.
        test_images: float32 array (M, height, width, channels).
        test_labels: int64 array (M,).
        class_names: The name of each class, in the order of the labels.
        value_range: The values that stand for black and for white.
        max_shift: The shift, in pixels, that augmentation may apply in each
            direction without changing what a picture shows.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    value_range: tuple[float, float]
    max_shift: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        return self.train_images.shape[1:]
