"""separation: how well simple classifiers separate classes at every depth."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
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
from irevnet_tf.analysis.separations import Separation
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.analysis.untrained import untrained as untrained_twin
from irevnet_tf.preprocessing import Normalization

# Test images among which distances are measured, all pairs of them.
_MOST_PAIRED = 2000
_TRAIN_SIZE = 1000


def separation(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    *,
    points: Sequence[int | str] | None = None,
    train_size: int | None = None,
    draws: int = 5,
    untrained: bool = True,
    own_head: bool = True,
    batch_size: int = 64,
    preprocessing: str | Normalization | None = None,
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
) -> Separation:
    """Classify by a linear SVM and the nearest neighbour at every depth.

    Representations are averaged over their positions and standardised on the
    training images. The SVM's C is chosen at each point on a quarter of the
    first draw's training images, never on test images.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 200)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.separation(
    ...     model, images[:100], labels[:100], images[100:], labels[100:],
    ...     points=[1, 3], draws=1)
    >>> means = found.accuracy.mean(axis=-1)  # (points, classifiers)

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
