"""dimensionality: how many principal components a classifier needs."""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_counts
from irevnet_tf.analysis.arguments import check_seed
from irevnet_tf.analysis.arguments import require_differences
from irevnet_tf.analysis.classifiers import CLASSIFIERS
from irevnet_tf.analysis.classifiers import accuracies
from irevnet_tf.analysis.classifiers import choose_c
from irevnet_tf.analysis.labelled import Labelled
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.points import stage_points
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.analysis.words import percent
from irevnet_tf.preprocessing import Normalization

ENOUGH = 0.95


@dataclasses.dataclass(frozen=True, eq=False)
class Dimensionality(Result):
    """Accuracies from the first principal components of representations.

    Attributes:
        points: tuple of strs. Names of the P points.
        classifiers: tuple of strs. "svm", a linear support vector machine, and
            "1nn", the nearest neighbour.
        components: tuple of P int arrays (D,). Numbers of components, different
            for each point; the last one is all of them.
        accuracy: tuple of P float arrays (D, classifiers). Accuracies on the
            test images.
        variance: tuple of P float arrays. The share of the variance in the
            first 1, 2, ... components.
        train_size: int. Number of training images.
        test_size: int. Number of test images.
    """

    points: tuple[str, ...]
    classifiers: tuple[str, ...]
    components: tuple[np.ndarray, ...]
    accuracy: tuple[np.ndarray, ...]
    variance: tuple[np.ndarray, ...]
    train_size: int
    test_size: int

    def enough(self) -> np.ndarray:
        """Return int array (P, classifiers), the fewest components for 95 %.

        That is 95 % of the accuracy with all components, among those tried.
        """
        return np.array(
            [
                count[np.argmax(accuracy >= ENOUGH * accuracy[-1], axis=0)]
                for count, accuracy in zip(
                    self.components, self.accuracy, strict=True
                )
            ]
        )

    def tables(self) -> dict[str, list[dict]]:
        return {
            "dimensionality": [
                {
                    "point": point,
                    "classifier": classifier,
                    "components": count,
                    "accuracy": self.accuracy[p][d, c],
                }
                for p, point in enumerate(self.points)
                for c, classifier in enumerate(self.classifiers)
                for d, count in enumerate(self.components[p])
            ],
            "dimensionality_variance": [
                {"point": point, "components": index + 1, "variance": share}
                for point, shares in zip(
                    self.points, self.variance, strict=True
                )
                for index, share in enumerate(shares)
            ],
        }

    def summary(self) -> list[dict]:
        enough = self.enough()
        return [
            {
                "point": point,
                "components": self.components[p][-1],
                "svm, all": self.accuracy[p][-1, 0],
                "1nn, all": self.accuracy[p][-1, 1],
                "svm, components for 95 %": enough[p, 0],
                "1nn, components for 95 %": enough[p, 1],
                "components for 95 % of the variance": (
                    np.argmax(self.variance[p] >= 0.95) + 1
                ),
            }
            for p, point in enumerate(self.points)
        ]

    def conclusion(self) -> str:
        svm, nearest = self.enough()[-1]
        return (
            f"At {self.points[-1]}, {svm} of {self.components[-1][-1]} "
            "principal components give a linear SVM 95 % of its accuracy "
            f"with all ({percent(self.accuracy[-1][-1, 0])}), and {nearest} "
            f"the nearest neighbour ({percent(self.accuracy[-1][-1, 1])})."
        )


def dimensionality(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    *,
    points: Sequence[int | str] | None = None,
    components: Sequence[int] | None = None,
    batch_size: int = 64,
    preprocessing: str | Normalization | None = None,
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
) -> Dimensionality:
    """Classify by the first principal components of representations.

    Representations are averaged over their positions, standardised and
    projected on the principal components of the training images. There are as
    many components as channels, or as training images if these are fewer. The
    SVM's C is chosen with all of them.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 200)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.dimensionality(
    ...     model, images[:100], labels[:100], images[100:], labels[100:]
    ... )
    >>> few = found.enough()  # Components for 95 % of the accuracy.

    Args:
        model: Keras model. Any model that `irevnet_tf.encoder` takes.
        images: float array (N, height, width, channels). Images as the model
            takes them.
        labels: int array (N,). Their classes.
        test_images: float array (M, height, width, channels). Other images.
        test_labels: int array (M,). Their classes.
        points: None or list of points. As in `irevnet_tf.features`. Defaults to
            all stages.
        components: None or list of positive ints. How many components to try
            besides all of them. Defaults to the powers of 2.
        batch_size: positive int. Images at a time.
        preprocessing: None, str or `Normalization`. How the images were scaled,
            see `irevnet_tf.preprocess_input`. Defaults to what the model says.
        seed: int. The seed of the choice of the SVM's C, on a quarter of the
            training images, and of its order of examples.
        progress: None or function. Called with the share that is done, from 0
            to 1.

    Returns:
        A `Dimensionality`.

    Raises:
        ValueError: as `separation`.

    Reference:
        Section 4.4 of https://arxiv.org/abs/1802.07088.
    """
    network = Network(model, preprocessing)
    data = Labelled.checked(network, images, labels, test_images, test_labels)
    batch_size = check_count(batch_size, "batch_size")
    seed = check_seed(seed)
    if components is not None:
        components = check_counts(components, "components")
    names = tuple(p.name for p in network.points(points, stage_points))
    steps = StepCounter(progress, 2 * len(names))
    train, test = (
        network.averages(x, names, batch_size)
        for x in (data.images, data.test_images)
    )
    steps.done(len(names))
    counts, found, variance = [], [], []
    for name in names:
        scaler = StandardScaler().fit(train[name])
        x, test_x = map(scaler.transform, (train[name], test[name]))
        require_differences(x, name)
        pca = PCA(svd_solver="covariance_eigh").fit(x)
        x, test_x = pca.transform(x), pca.transform(test_x)
        c = choose_c(x, data.labels, seed)
        counts.append(_counts(components, x.shape[1]))
        found.append(
            [
                accuracies(
                    (x[:, :count], data.labels),
                    (test_x[:, :count], data.test_labels),
                    c,
                    seed,
                )
                for count in counts[-1]
            ]
        )
        variance.append(np.cumsum(pca.explained_variance_ratio_))
        steps.done()
    return Dimensionality(
        points=names,
        classifiers=CLASSIFIERS,
        components=tuple(counts),
        accuracy=tuple(map(np.array, found)),
        variance=tuple(variance),
        train_size=len(data.images),
        test_size=len(data.test_images),
    )


def _counts(components, channels):
    """Return the numbers of components to try, the last of which is all."""
    if components is None:
        components = 2 ** np.arange(channels.bit_length())
    tried = {count for count in components if count < channels}
    return np.array(sorted({*map(int, tried), channels}))
