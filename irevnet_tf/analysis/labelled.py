"""Images with labels, to train classifiers on representations and test them."""

import dataclasses

import numpy as np
from sklearn.utils import resample

from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.arguments import check_labels


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """Training and test images, as arrays that were checked.

    Attributes:
        images: float array (N, height, width, channels).
        labels: int array (N,).
        test_images: the same of other images.
        test_labels: int array.
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @classmethod
    def checked(cls, network, images, labels, test_images, test_labels):
        """Return the arrays if classifiers can be trained on them.

        Raises:
            ValueError: if images or labels do not fit the network or each
                other, or if there are too few of a class.
        """
        images = check_images(images, network)
        labels = check_labels(labels, images)
        test_images = check_images(test_images, network, "test_images")
        test_labels = check_labels(test_labels, test_images, "test_labels")
        classes, counts = np.unique(labels, return_counts=True)
        everywhere = np.union1d(classes, test_labels)
        if len(everywhere) > len(classes) or len(classes) < 2:
            raise ValueError(
                "`labels` must be of two classes or more, those of the test "
                f"images among them. Received: {len(images)} images of "
                f"classes {classes.tolist()[:20]}, test images of "
                f"{np.unique(test_labels).tolist()[:20]}"
            )
        if np.min(counts) < 2:
            raise ValueError(
                "`images` must be two of each class or more, to choose on some "
                f"and train on others. Received: {len(images)} images of "
                f"{len(classes)} classes, one of class "
                f"{classes[np.argmin(counts)]}"
            )
        return cls(images, labels, test_images, test_labels)

    def draws(self, size: int, count: int, seed: int) -> list[np.ndarray]:
        """Return indices of random training images, by class as in all.

        Args:
            size: how many, at least two of each class.
            count: how many times.
            seed: of the first draw.
        """
        classes = len(np.unique(self.labels))
        if not 2 * classes <= size <= len(self.images):
            raise ValueError(
                "`train_size` must be from two of each class "
                f"(={2 * classes}) to the number of images "
                f"(={len(self.images)}). Received: train_size={size}"
            )
        return [
            resample(
                np.arange(len(self.images)),
                replace=False,
                n_samples=size,
                stratify=self.labels,
                random_state=seed + draw,
            )
            for draw in range(count)
        ]
