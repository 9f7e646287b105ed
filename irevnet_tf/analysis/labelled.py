"""Labelled: training and test images of classifiers on representations."""

import dataclasses

import numpy as np

from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.arguments import check_labels


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """Training and test images with labels, as checked arrays.

    Attributes:
        images: float array (N, height, width, channels). Training images.
        labels: int array (N,). Their classes.
        test_images: float array (M, height, width, channels). Other images.
        test_labels: int array (M,). Their classes.
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

    def are_classes_of(self, head) -> bool:
        """Return whether all labels are numbers of a classifier's classes."""
        labels = np.concatenate([self.labels, self.test_labels])
        return np.min(labels) >= 0 and np.max(labels) < head.classes

    def draws(self, size: int, count: int, seed: int) -> list[np.ndarray]:
        """Return indices of random training images, two of each class or more.

        Args:
            size: int. How many images to draw.
            count: positive int. How many times.
            seed: int. The seed of all draws.
        """
        classes = np.unique(self.labels)
        if not 2 * len(classes) <= size <= len(self.images):
            raise ValueError(
                "`train_size` must be from two of each class "
                f"(={2 * len(classes)}) to the number of images "
                f"(={len(self.images)}). Received: train_size={size}"
            )
        generator = np.random.default_rng(seed)
        return [self._draw(classes, size, generator) for _ in range(count)]

    def _draw(self, classes, size, generator):
        order = generator.permutation(len(self.images))
        first = [order[self.labels[order] == label][:2] for label in classes]
        first = np.concatenate(first)
        others = order[~np.isin(order, first)]
        return np.sort(np.concatenate([first, others[: size - len(first)]]))
