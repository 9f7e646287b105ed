"""separation: how well simple classifiers separate classes at every depth."""

import dataclasses

import numpy as np
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import StandardScaler

from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_seed
from irevnet_tf.analysis.classifiers import CLASSIFIERS
from irevnet_tf.analysis.classifiers import accuracies
from irevnet_tf.analysis.classifiers import choose_c
from irevnet_tf.analysis.labelled import Labelled
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.analysis.untrained import untrained as untrained_twin
from irevnet_tf.analysis.words import percent

PIXELS = "pixels"
UNTRAINED = "untrained"
# Test images among which distances are measured, all pairs of them.
_MOST_PAIRED = 2000
_TRAIN_SIZE = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Separation(Result):
    """Accuracies of simple classifiers, and distances, at every depth.

    Attributes:
        points: tuple of strs. Names of the P points.
        depths: int array (P,). How many blocks, or other layers with weights,
            lead to each.
        classifiers: tuple of strs. "svm", a linear support vector machine, and
            "1nn", the nearest neighbour.
        accuracy: float array (P, classifiers, draws). On the test images.
        untrained: None or float array (P, classifiers, draws). The same of a
            network of the same shape with random weights.
        pixels: float array (classifiers, draws). The same of the pixels.
        head_accuracy: None or float. The network's own on the test images; None
            if it does not classify.
        within: float array (P,). Mean distance of two test images of a class:
            the root mean square over the channels that vary, of what the
            classifiers see, which is standardised.
        between: float array (P,). The same of different classes.
        train_size: int. Training images in each draw.
        test_size: int. Number of test images.
    """

    points: tuple[str, ...]
    depths: np.ndarray
    classifiers: tuple[str, ...]
    accuracy: np.ndarray
    untrained: np.ndarray | None
    pixels: np.ndarray
    head_accuracy: float | None
    within: np.ndarray
    between: np.ndarray
    train_size: int
    test_size: int

    def tables(self):
        rows = self._rows([PIXELS], [0], self.pixels[None])
        rows += self._rows(self.points, self.depths, self.accuracy)
        if self.untrained is not None:
            names = [f"{UNTRAINED} {point}" for point in self.points]
            rows += self._rows(names, self.depths, self.untrained)
        if self.head_accuracy is not None:
            rows.append(
                {
                    "point": "head",
                    "depth": self.depths[-1],
                    "classifier": "head",
                    "draw": 0,
                    "accuracy": self.head_accuracy,
                }
            )
        return {
            "separation": rows,
            "separation_distances": [
                {
                    "point": point,
                    "depth": self.depths[p],
                    "within": self.within[p],
                    "between": self.between[p],
                }
                for p, point in enumerate(self.points)
            ],
        }

    def _rows(self, names, depths, accuracy):
        return [
            {
                "point": names[p],
                "depth": depths[p],
                "classifier": self.classifiers[c],
                "draw": draw,
                "accuracy": accuracy[p, c, draw],
            }
            for p, c, draw in np.ndindex(accuracy.shape)
        ]

    def summary(self):
        columns = {
            name: [np.mean(of_pixels), *np.mean(accuracy, axis=-1)]
            for name, of_pixels, accuracy in zip(
                self.classifiers,
                self.pixels,
                self.accuracy.swapaxes(0, 1),
                strict=True,
            )
        }
        if self.untrained is not None:
            for c, name in enumerate(self.classifiers):
                means = np.mean(self.untrained[:, c], axis=-1)
                columns[f"{name}, untrained"] = [np.nan, *means]
        columns["within / between"] = [np.nan, *self.within / self.between]
        return [
            {"point": point, **{name: x[p] for name, x in columns.items()}}
            for p, point in enumerate((PIXELS, *self.points))
        ]

    def conclusion(self):
        mean = np.mean(self.accuracy, axis=-1)
        ratio = self.within / self.between
        text = (
            f"A linear SVM reaches {percent(mean[0, 0])} at {self.points[0]} "
            f"and {percent(mean[-1, 0])} at {self.points[-1]}, the nearest "
            f"neighbour {percent(mean[0, 1])} and {percent(mean[-1, 1])}"
        )
        if self.untrained is not None:
            last = np.mean(self.untrained[-1, 0])
            text += f" (SVM in an untrained network, there: {percent(last)})"
        if self.head_accuracy is not None:
            text += f"; the network's own head {percent(self.head_accuracy)}"
        if not np.all(np.isfinite(ratio)):
            return f"{text}."
        return text + (
            ". Distances within classes, divided by those between, go from "
            f"{ratio[0]:.2f} to {ratio[-1]:.2f}, by way of "
            f"{np.max(ratio):.2f} at most."
        )


def separation(
    model,
    images,
    labels,
    test_images,
    test_labels,
    *,
    points=None,
    train_size=None,
    draws=5,
    untrained=True,
    own_head=True,
    batch_size=64,
    preprocessing=None,
    seed=0,
    progress=None,
) -> Separation:
    """Classify by a linear SVM and the nearest neighbour at every depth.

    Representations are averaged over their positions and standardised on the
    training images. The SVM's C is chosen at each point on a quarter of the
    first draw's training images, never on test images.

    Example:

    >>> found = irevnet_tf.analysis.separation(
    ...     model, x_train, y_train, x_test, y_test)
    >>> found.accuracy.mean(axis=-1)  # (points, classifiers)

    Args:
        model: Keras model. Any model that `irevnet_tf.encoder` takes.
        images: float array (N, height, width, channels). Images as the model
            takes them.
        labels: int array (N,). Their classes.
        test_images: float array (M, height, width, channels). Other images.
        test_labels: int array (M,). Their classes.
        points: None or list of points. As in `irevnet_tf.features`. Defaults to
            all blocks.
        train_size: None or int. How many of `images` to train the classifiers
            with: two of each class, and the rest at random. Defaults to 1,000,
            or to all if these are fewer.
        draws: positive int. How many times.
        untrained: bool. Whether to compare with random weights.
        own_head: bool. Whether to compare with the model's own head, if it has
            one. It is left out unless all labels are numbers of its classes.
        batch_size: positive int. Images at a time.
        preprocessing: None, str or `Normalization`. How the images were scaled,
            see `irevnet_tf.preprocess_input`. Defaults to what the model says.
        seed: int. The seed of the draws and of the random weights.
        progress: None or function. Called with the share that is done, from 0
            to 1.

    Returns:
        A `Separation`.

    Raises:
        ValueError: if an argument is out of range, if there are less than two
            images of a class, or if `model` is no i-RevNet.

    Reference:
        Section 4.4 of https://arxiv.org/abs/1802.07088.
    """
    network = Network(model, preprocessing)
    data = Labelled.checked(network, images, labels, test_images, test_labels)
    batch_size = check_count(batch_size, "batch_size")
    seed = check_seed(seed)
    if train_size is None:
        train_size = min(_TRAIN_SIZE, len(data.images))
    draws = data.draws(
        check_count(train_size, "train_size"),
        check_count(draws, "draws"),
        seed,
    )
    found_points = network.points(points)
    names = tuple(point.name for point in found_points)
    networks = [network]
    if untrained:
        twin = untrained_twin(model, seed)
        networks.append(Network(twin, network.normalization))
    tasks = 1 + len(names) * len(networks)
    steps = StepCounter(progress, 2 * tasks * len(draws))
    head = network.optional_head() if own_head else None
    if head is not None and not data.are_classes_of(head):
        head = None
    pixels = [network.on_grid(x) for x in (data.images, data.test_images)]
    pixels = [x.reshape(len(x), -1) for x in pixels]
    of_pixels = _accuracies(*pixels, data, draws, seed, steps)
    accuracy, distances = [], []
    for one in networks:
        seen = [
            one.averages(x, names, batch_size)
            for x in (data.images, data.test_images)
        ]
        steps.done(tasks * len(draws) // len(networks))
        accuracy.append(
            [
                _accuracies(seen[0][n], seen[1][n], data, draws, seed, steps)
                for n in names
            ]
        )
        if one is network:
            distances = [
                _distances(seen[0][n][draws[0]], seen[1][n], data.test_labels)
                for n in names
            ]
    within, between = np.array(distances).T
    hits = None
    if head is not None:
        found = np.argmax(head.logits(data.test_images, batch_size), axis=-1)
        hits = float(np.mean(found == data.test_labels))
    return Separation(
        points=names,
        depths=np.array([point.depth for point in found_points]),
        classifiers=CLASSIFIERS,
        accuracy=np.array(accuracy[0]),
        untrained=np.array(accuracy[1]) if untrained else None,
        pixels=of_pixels,
        head_accuracy=hits,
        within=within,
        between=between,
        train_size=len(draws[0]),
        test_size=len(data.test_images),
    )


def _accuracies(x, test_x, data, draws, seed, steps):
    """Return float array (classifiers, draws) of features of all images."""
    found, c = [], None
    for draw, chosen in enumerate(draws):
        scaler = StandardScaler().fit(x[chosen])
        train = scaler.transform(x[chosen]), data.labels[chosen]
        if c is None:
            c = choose_c(*train, seed)
        test = scaler.transform(test_x), data.test_labels
        found.append(accuracies(train, test, c, seed + draw))
        steps.done()
    return np.array(found).T


def _distances(train, test, labels):
    """Return mean distances within and between classes."""
    scaler = StandardScaler().fit(train)
    test = scaler.transform(test)[:_MOST_PAIRED]
    labels = labels[:_MOST_PAIRED]
    # Channels of zeros, as in injective networks, have no distances.
    channels = max(1, np.count_nonzero(scaler.var_))
    distances = pairwise_distances(test) / np.sqrt(channels)
    same = labels[:, None] == labels[None]
    others = ~np.eye(len(test), dtype=bool)
    return tuple(
        np.mean(distances[pairs]) if np.any(pairs) else np.nan
        for pairs in (same & others, ~same)
    )
