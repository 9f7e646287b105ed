"""metamers: different images with the same logits."""

import dataclasses
import numbers
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np

from irevnet_tf.analysis.arguments import check_class_names
from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.arguments import check_seed
from irevnet_tf.analysis.matching import centred
from irevnet_tf.analysis.metamer_search import MetamerSearch
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.analysis.words import small
from irevnet_tf.preprocessing import Normalization

KINDS = ("exchanged", "moved")
# Root mean square of pixel differences that people can see.
VISIBLE = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class Metamers(Result):
    """Pairs of a target image and another one with the target's logits.

    Attributes:
        kinds: tuple of strs. They are `KINDS`.
        starts: float array (pairs, height, width, channels). What the "moved"
            images are to look like, as the network takes images.
        targets: float array of the same shape. What the classifier is to see.
        metamers: float array (kinds, pairs, height, width, channels). The
            images that were made.
        logit_differences: float array (kinds, pairs). The largest difference of
            a logit to the target's, each less the mean of the logits.
        pixel_distances: float array (kinds, pairs). Root mean square of the
            pixels' differences to the target, where white is 1.
        start_distances: float array (kinds, pairs). The same, to the start.
        same_class: bool array (kinds, pairs). Whether the class is the
            target's.
        comes_back: bool array (kinds, pairs). Whether the image, encoded and
            decoded, is the same to the last bit.
        out_of_range: float array (kinds, pairs). How far a pixel is beyond
            black or white.
        tolerance: float. The largest logit difference of a metamer.
        predictions: int array (1 + kinds, pairs). The classes that the network
            gives the starts and the metamers.
        target_predictions: int array (pairs,). The same of the targets.
        bijective: bool. Whether every representation has an image.
        class_names: tuple of strs. The name of each class.
        normalization: `Normalization`. The scale of the images.
    """

    kinds: tuple[str, ...]
    starts: np.ndarray
    targets: np.ndarray
    metamers: np.ndarray
    logit_differences: np.ndarray
    pixel_distances: np.ndarray
    start_distances: np.ndarray
    same_class: np.ndarray
    comes_back: np.ndarray
    out_of_range: np.ndarray
    tolerance: float
    predictions: np.ndarray
    target_predictions: np.ndarray
    bijective: bool
    class_names: tuple[str, ...]
    normalization: Normalization

    def found(self) -> np.ndarray:
        """Return bool array (kinds, pairs), which images are metamers.

        Its class is the target's, its logits are within the tolerance, and
        its pixels differ from the target's by `VISIBLE` or more.
        """
        return (
            self.same_class
            & (self.logit_differences <= self.tolerance)
            & (self.pixel_distances >= VISIBLE)
        )

    def tables(self) -> dict[str, list[dict]]:
        return {
            "metamers": [
                {
                    "pair": pair,
                    "kind": kind,
                    "logit_difference": self.logit_differences[k, pair],
                    "pixel_distance": self.pixel_distances[k, pair],
                    "same_class": bool(self.same_class[k, pair]),
                }
                for k, kind in enumerate(self.kinds)
                for pair in range(len(self.targets))
            ],
            "metamers_images": [
                {
                    "pair": pair,
                    "kind": kind,
                    "found": bool(self.found()[k, pair]),
                    "distance_to_start": self.start_distances[k, pair],
                    "out_of_range": self.out_of_range[k, pair],
                    "comes_back": bool(self.comes_back[k, pair]),
                }
                for k, kind in enumerate(self.kinds)
                for pair in range(len(self.targets))
            ],
        }

    def summary(self) -> list[dict]:
        return [
            {
                "kind": kind,
                "pairs": len(self.targets),
                "found": int(np.sum(self.found()[k])),
                "largest logit difference": np.max(self.logit_differences[k]),
                "least pixel distance": np.min(self.pixel_distances[k]),
                "median distance to start": np.median(self.start_distances[k]),
                "farthest out of range": np.max(self.out_of_range[k]),
                "bits come back": int(np.sum(self.comes_back[k])),
            }
            for k, kind in enumerate(self.kinds)
        ]

    def conclusion(self) -> str:
        counts = np.sum(self.found(), axis=1)
        parts = [
            f"{count} of {len(self.targets)} of kind {kind!r}"
            for kind, count in zip(self.kinds, counts, strict=True)
        ]
        worst = np.max(self.logit_differences[self.found()], initial=0.0)
        nearest = np.min(self.pixel_distances[self.found()], initial=np.inf)
        text = f"Metamers found: {' and '.join(parts)}."
        if np.any(counts):
            text += (
                f" Their logits are off by {small(worst)} at most, their "
                f"pixels by {nearest:.2g} at least (root mean square, white "
                "is 1)."
            )
        if not self.bijective:
            text += (
                " This network is injective: most representations belong to "
                "no image, so images were moved, and not representations."
            )
        return text


def metamers(
    model: keras.Model,
    starts: np.ndarray,
    targets: np.ndarray,
    *,
    tolerance: float = 1e-2,
    class_names: Sequence[str] | None = None,
    batch_size: int = 64,
    preprocessing: str | Normalization | None = None,
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
) -> Metamers:
    """Make images that have the logits of others.

    - "exchanged": decodes the target's representation with its positions in
      another order. A head that averages over the positions cannot see that.
    - "moved": decodes the start's representation, moved by the least change
      after which the head sees the same as in the target.

    In a bijective network with a head of BatchNorm, ReLU and average both are
    exact up to rounding. In an injective network, a decoded image has another
    representation than the one it was decoded from, and other heads do not see
    averages only. There, the image (for "moved": the start itself) is moved
    further, by the least change in pixels, until its logits are the target's.

    Example:

    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> model = irevnet_tf.IRevNet(
    ...     (1,), (1,), (8,), initial_downsampling=4, input_shape=(8, 8, 1)
    ... )
    >>> found = irevnet_tf.analysis.metamers(model, images[:1], images[1:])
    >>> found.metamers[1].shape  # Looks like the first, seen as the second.
    (1, 8, 8, 1)

    Args:
        model: Keras model. An i-RevNet with a classifier, or a model that
            extends or holds one.
        starts: float array (pairs, height, width, channels). Images as the
            model takes them.
        targets: float array of the same shape. The images whose logits are
            wanted.
        tolerance: float. The largest difference of logits, above 0.
        class_names: None or list of strs. The names of the classes.
        batch_size: positive int. Rows of a derivative, or images, at a time.
        preprocessing: None, str or `Normalization`. How the images were scaled,
            see `irevnet_tf.preprocess_input`. Defaults to what the model says.
        seed: int. The seed of the order of positions, and of noise.
        progress: None or function. Called with the share that is done, from 0
            to 1.

    Returns:
        A `Metamers`.

    Raises:
        ValueError: if an argument is out of range, or `model` is no i-RevNet
            that classifies.

    Reference:
        Jacobsen, Behrmann, Zemel, Bethge: Excessive Invariance Causes
        Adversarial Vulnerability, ICLR 2019
        (https://arxiv.org/abs/1811.00401).
    """
    network = Network(model, preprocessing)
    head = network.head
    starts = network.on_grid(check_images(starts, network, "starts"))
    targets = network.on_grid(check_images(targets, network, "targets"))
    batch_size = check_count(batch_size, "batch_size")
    seed = check_seed(seed)
    if starts.shape != targets.shape:
        raise ValueError(
            "`starts` and `targets` must have the same shape. Received: "
            f"starts.shape={starts.shape}, targets.shape={targets.shape}"
        )
    equal = np.flatnonzero(np.all(starts == targets, axis=(1, 2, 3)))
    if len(equal):
        raise ValueError(
            "`starts` and `targets` must be pairs of different images. "
            f"Received: equal ones at index {equal[0]}"
        )
    if not isinstance(tolerance, numbers.Real) or not tolerance > 0:
        raise ValueError(
            f"`tolerance` must be above 0. Received: tolerance={tolerance!r}"
        )
    names = check_class_names(class_names, head)
    search = MetamerSearch(network, starts[0], tolerance, batch_size, seed)
    steps = StepCounter(progress, 2 * len(starts))
    found = np.zeros((2, *starts.shape), starts.dtype)
    for pair, (start, target) in enumerate(zip(starts, targets, strict=True)):
        found[0, pair] = search.exchanged(target)
        steps.done()
        found[1, pair] = search.moved(start, target)
        steps.done()
    wanted = centred(head.logits(targets, batch_size))
    logits = [centred(head.logits(x, batch_size)) for x in (starts, *found)]
    predictions = np.argmax(logits, axis=-1)
    pixels, target_pixels = map(network.pixels, (found, targets))
    beyond = np.maximum(np.maximum(-pixels, pixels - 1.0), 0.0)
    again = [search.there_and_back(x) for x in found]
    axes = (2, 3, 4)
    return Metamers(
        kinds=KINDS,
        starts=starts,
        targets=targets,
        metamers=found,
        logit_differences=np.max(np.abs(logits[1:] - wanted), axis=-1),
        pixel_distances=np.sqrt(
            np.mean((pixels - target_pixels) ** 2, axis=axes)
        ),
        start_distances=np.sqrt(
            np.mean((pixels - network.pixels(starts)) ** 2, axis=axes)
        ),
        same_class=predictions[1:] == np.argmax(wanted, axis=-1),
        comes_back=np.all(found == np.array(again), axis=axes),
        out_of_range=np.max(beyond, axis=axes),
        tolerance=float(tolerance),
        predictions=predictions,
        target_predictions=np.argmax(wanted, axis=-1),
        bijective=search.bijective,
        class_names=names,
        normalization=network.normalization,
    )
