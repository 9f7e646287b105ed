"""inversion: errors of reconstructions from every depth."""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.arguments import check_seed
from irevnet_tf.analysis.modes import both_modes
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.network import batches
from irevnet_tf.analysis.points import stage_points
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.analysis.words import small
from irevnet_tf.preprocessing import Normalization
from irevnet_tf.reconstruction import relative_errors

INPUTS = ("test", "photograph", "noise")
# Rows of reconstructions in the figure.
_SHOWN = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Inversion(Result):
    """Errors of images that were encoded up to a point and decoded again.

    Attributes:
        points: tuple of strs. Names of the P points.
        depths: int array (P,). How many blocks, or other layers with weights,
            lead to each.
        modes: tuple of strs. "ordinary", "lossless", or both; the weights are
            the same in both.
        missing: None or str. Why one of the modes is missing, None if none is.
        inputs: tuple of strs. The kind of each of the N images, one of
            `INPUTS`.
        relative_errors: float64 array (modes, P, N). `||x - x'|| / ||x||`. In
            lossless mode x is the image as rounded to the grid.
        largest_errors: float64 array (modes, P, N). The largest `|x - x'|` of a
            value, where black is 0 and white 1.
        shown_mode: str. The model's own mode.
        shown_points: tuple of strs. Names of S of the points.
        originals: float array (examples, height, width, channels). Images as
            the network takes them.
        reconstructions: float array (S, examples, height, width, channels). The
            same images, rebuilt.
        normalization: `Normalization`. The scale of the images.
    """

    points: tuple[str, ...]
    depths: np.ndarray
    modes: tuple[str, ...]
    missing: str | None
    inputs: tuple[str, ...]
    relative_errors: np.ndarray
    largest_errors: np.ndarray
    shown_mode: str
    shown_points: tuple[str, ...]
    originals: np.ndarray
    reconstructions: np.ndarray
    normalization: Normalization

    def tables(self) -> dict[str, list[dict]]:
        return {
            "inversion": [
                {
                    "point": point,
                    "mode": mode,
                    "input": kind,
                    "image": image,
                    "relative_error": self.relative_errors[m, p, image],
                    "largest_error": self.largest_errors[m, p, image],
                }
                for p, point in enumerate(self.points)
                for m, mode in enumerate(self.modes)
                for image, kind in enumerate(self.inputs)
            ]
        }

    def summary(self) -> list[dict]:
        return [
            {
                "point": point,
                **{
                    f"{mode}, {kind}": self.worst(m, p, kind)
                    for m, mode in enumerate(self.modes)
                    for kind in self.kinds()
                },
            }
            for p, point in enumerate(self.points)
        ]

    def kinds(self) -> list[str]:
        """Return the kinds of inputs in the result."""
        return [kind for kind in INPUTS if kind in self.inputs]

    def conclusion(self) -> str:
        worst = [
            f"{small(np.max(errors))} in {mode} mode"
            for mode, errors in zip(
                self.modes, self.relative_errors, strict=True
            )
        ]
        text = (
            f"Of {len(self.inputs)} images, from each of {len(self.points)} "
            "points, the largest relative error of a reconstruction is "
            f"{' and '.join(worst)}."
        )
        if self.missing:
            text += f" The other mode was not tried, since {self.missing}."
        return text

    def worst(self, mode: int, point: int, kind: str) -> float:
        """Return the largest relative error of a kind of inputs.

        Args:
            mode: int. The index of the mode in `modes`.
            point: int. The index of the point in `points`.
            kind: str. One of `INPUTS`.

        Returns:
            The error, a float.
        """
        errors = self.relative_errors[mode, point]
        return np.max(errors[np.array(self.inputs) == kind])


def inversion(
    model: keras.Model,
    images: np.ndarray,
    *,
    photographs: np.ndarray | None = None,
    noise_images: int = 32,
    points: Sequence[int | str] | None = None,
    examples: int = 6,
    batch_size: int = 64,
    preprocessing: str | Normalization | None = None,
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
) -> Inversion:
    """Measure reconstructions from every depth, in ordinary and lossless mode.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 8)
    >>> model = irevnet_tf.IRevNet28(weights="digits", lossless=True)
    >>> found = irevnet_tf.analysis.inversion(model, images, points=[1, 2])
    >>> found.modes
    ('ordinary', 'lossless')

    Args:
        model: Keras model. Any model that `irevnet_tf.encoder` takes. The other
            mode runs with its weights; if a layer has no known form there, only
            the model's own mode is tried.
        images: float array (N, height, width, channels). Images as the model
            takes them.
        photographs: None or float array of the same size. Listed separately in
            the result.
        noise_images: int, 0 or more. How many images of uniform noise, from
            black to white, are tried as well.
        points: None or list of points. As in `irevnet_tf.features`. Defaults to
            all blocks.
        examples: positive int. How many images' reconstructions are returned.
        batch_size: positive int. Images at a time.
        preprocessing: None, str or `Normalization`. How the images were scaled,
            see `irevnet_tf.preprocess_input`. Defaults to what the model says.
        seed: int. The seed of the noise.
        progress: None or function. Called with the share that is done, from 0
            to 1.

    Returns:
        An `Inversion`.

    Raises:
        ValueError: if an argument is out of range, or `model` is no i-RevNet.

    Reference:
        Section 4.2 of https://arxiv.org/abs/1802.07088.
    """
    network = Network(model, preprocessing)
    images = check_images(images, network)
    batch_size = check_count(batch_size, "batch_size")
    seed = check_seed(seed)
    noise_images = check_count(noise_images, "noise_images", 0)
    examples = check_count(examples, "examples")
    found_points = network.points(points)
    names = tuple(point.name for point in found_points)
    given = {"test": images}
    if photographs is not None:
        photographs = check_images(photographs, network, "photographs")
        given["photograph"] = photographs
    if noise_images:
        given["noise"] = _noise(network, images, noise_images, seed)
    inputs = [kind for kind, x in given.items() for _ in x]
    images = np.concatenate(list(given.values()))
    models = both_modes(network.chain, network.fraction_bits)
    own = "ordinary" if network.fraction_bits is None else "lossless"
    kept = _in_turn(inputs, examples)
    rows = _shown(found_points, stage_points(network.chain))
    steps = StepCounter(progress, len(models) * len(images) * len(names))
    modes, relative, largest = [], [], []
    missing = None
    if len(models) == 1:
        missing = "the model has layers whose form in it is not known"
    for mode, model_of_mode in models.items():
        runner = Network(model_of_mode, network.normalization)
        try:
            errors, rebuilt, originals = _errors(
                runner, images, names, batch_size, steps, kept, rows
            )
        except tf.errors.InvalidArgumentError:
            if mode == own:
                raise
            missing = "values leave the range of lossless mode"
            continue
        modes.append(mode)
        relative.append(errors[0])
        largest.append(errors[1])
        if mode == own:
            shown = rebuilt, originals
    return Inversion(
        points=names,
        depths=np.array([point.depth for point in found_points]),
        modes=tuple(modes),
        missing=missing,
        inputs=tuple(inputs),
        relative_errors=np.array(relative),
        largest_errors=np.array(largest),
        shown_mode=own,
        shown_points=tuple(names[row] for row in rows),
        originals=shown[1],
        reconstructions=shown[0],
        normalization=network.normalization,
    )


def _errors(network, images, names, batch_size, steps, kept, rows):
    """Return errors (2, points, images), reconstructions and originals."""
    errors = np.zeros((2, len(names), len(images)))
    rebuilt = np.zeros((len(rows), len(kept), *images.shape[1:]), images.dtype)
    originals = network.on_grid(images[kept])
    for batch in batches(np.arange(len(images)), batch_size):
        x = network.on_grid(images[batch])
        walk = network.walk(images[batch], names)
        for p, (name, representations) in enumerate(walk):
            again = network.decode(representations, name)
            # Scaled afterwards, since pixels would be rounded once more.
            difference = np.abs(x - again) * network.normalization.std
            errors[0, p, batch] = relative_errors(x, again)
            errors[1, p, batch] = np.max(difference, axis=(1, 2, 3))
            here = np.isin(kept, batch)
            if p in rows and np.any(here):
                row = np.flatnonzero(rows == p)[0]
                rebuilt[row, here] = again[kept[here] - batch[0]]
            steps.done(len(batch))
    return errors, rebuilt, originals


def _noise(network, images, count, seed):
    generator = np.random.default_rng(seed)
    shape = (count, *images.shape[1:])
    raw = generator.uniform(0.0, network.normalization.maximum, shape)
    return np.asarray(network.normalization.apply(raw)).astype(images.dtype)


def _shown(points, stages):
    """Return indices of some points, preferably stages."""
    rows = [p for p, point in enumerate(points) if point in stages]
    rows = np.array(rows or range(len(points)))
    return rows[np.unique(np.linspace(0, len(rows) - 1, _SHOWN).astype(int))]


def _in_turn(inputs, count):
    """Return indices of `count` images, taken from each kind in turn."""
    seen = {}
    order = []
    for index, kind in enumerate(inputs):
        seen[kind] = seen.get(kind, -1) + 1
        order.append((seen[kind], index))
    return np.array(sorted(index for _, index in sorted(order)[:count]))
