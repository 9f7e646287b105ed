"""depth_gallery: images decoded from the principal components of stages."""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np
from sklearn.decomposition import PCA

from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_counts
from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.arguments import check_seed
from irevnet_tf.analysis.arguments import require_differences
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.network import batches
from irevnet_tf.analysis.points import stage_points
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.analysis.words import percent
from irevnet_tf.preprocessing import Normalization

COMPONENTS = (1, 4, 16, 64, 256)
# Channels of a representation in the figure, in a square.
_TILES = 4
# Training images that determine the shades of the tiles.
_FOR_SHADES = 64


@dataclasses.dataclass(frozen=True, eq=False)
class DepthGallery(Result):
    """Images decoded from the first principal components of their stages.

    Attributes:
        points: tuple of strs. Names of the P points.
        components: int array (K,). How many components were kept.
        examples: float array (N, height, width, channels). Images as the
            network takes them.
        tiles: tuple of P float arrays (N, tiles, height', width'). The channels
            that vary most over the training images.
        decoded: float array (P, K, N, height, width, channels). The decoded
            images.
        errors: float array (P, K, N). Root mean square of the pixels'
            differences to the examples, where white is 1.
        variance: float array (P, K). The share of the training images' variance
            in the components that were kept.
        train_size: int. How many training images the components come from.
        normalization: `Normalization`. The scale of the images.
    """

    points: tuple[str, ...]
    components: np.ndarray
    examples: np.ndarray
    tiles: tuple[np.ndarray, ...]
    decoded: np.ndarray
    errors: np.ndarray
    variance: np.ndarray
    train_size: int
    normalization: Normalization

    def tables(self) -> dict[str, list[dict]]:
        return {
            "depth_gallery": [
                {
                    "point": self.points[p],
                    "components": self.components[k],
                    "image": image,
                    "pixel_error": self.errors[p, k, image],
                }
                for p, k, image in np.ndindex(self.errors.shape)
            ]
        }

    def summary(self) -> list[dict]:
        return [
            {
                "point": point,
                **{
                    f"error from {count}": np.mean(self.errors[p, k])
                    for k, count in enumerate(self.components)
                },
                f"variance in {self.components[-1]}": self.variance[p, -1],
            }
            for p, point in enumerate(self.points)
        ]

    def conclusion(self) -> str:
        first, last = (np.mean(self.errors[p, -1]) for p in (0, -1))
        return (
            f"Decoded from {self.components[-1]} principal components of "
            f"{self.train_size} images, {len(self.examples)} others are off "
            f"by {first:.2f} at {self.points[0]} and by {last:.2f} at "
            f"{self.points[-1]} (root mean square of pixels, white is 1); the "
            f"components hold {percent(self.variance[0, -1])} and "
            f"{percent(self.variance[-1, -1])} of the variance."
        )


def depth_gallery(
    model: keras.Model,
    images: np.ndarray,
    examples: np.ndarray,
    *,
    points: Sequence[int | str] | None = None,
    components: Sequence[int] | None = None,
    batch_size: int = 64,
    preprocessing: str | Normalization | None = None,
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
) -> DepthGallery:
    """Decode images from the first principal components of representations.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 34)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.depth_gallery(
    ...     model, images[:32], images[32:], points=["stage1"]
    ... )
    >>> found.components  # That were kept, one number after the other.
    array([ 1,  4, 16])

    Args:
        model: Keras model. Any model that `irevnet_tf.encoder` takes.
        images: float array (M, height, width, channels). Training images, as
            the model takes them; the components are those of their
            representations. All of their representations at one point are held
            in memory.
        examples: float array (N, height, width, channels). Other images, to
            decode.
        points: None or list of points. As in `irevnet_tf.features`. Defaults to
            all stages.
        components: None or list of positive ints. How many components to keep,
            less than M and no more than a representation has values. Defaults
            to those of 1, 4, 16, 64, 256 in this range.
        batch_size: positive int. Images at a time.
        preprocessing: None, str or `Normalization`. How the images were scaled,
            see `irevnet_tf.preprocess_input`. Defaults to what the model says.
        seed: int. The seed of the randomized decomposition.
        progress: None or function. Called with the share that is done, from 0
            to 1.

    Returns:
        A `DepthGallery`.

    Raises:
        ValueError: if an argument is out of range, or `model` is no i-RevNet.
    """
    network = Network(model, preprocessing)
    images = check_images(images, network)
    examples = check_images(examples, network, "examples")
    batch_size = check_count(batch_size, "batch_size")
    seed = check_seed(seed)
    names = tuple(p.name for p in network.points(points, stage_points))
    # Representations may have fewer values than there are images.
    values = min(x.numpy()[0].size for _, x in network.walk(images[:1], names))
    components = _components(components, min(len(images) - 1, values))
    steps = StepCounter(progress, len(names) * (len(components) + 2))
    originals = network.on_grid(examples)
    tiles, decoded, variance = [], [], []
    for name in names:
        seen = _encoded(network, images, name, batch_size)
        require_differences(seen.reshape(len(seen), -1), name)
        steps.done()
        of_examples = _encoded(network, examples, name, batch_size)
        tiles.append(_tiles(seen, of_examples))
        pca = PCA(n_components=components[-1], random_state=seed)
        pca.fit(seen.reshape(len(seen), -1))
        steps.done()
        codes = pca.transform(of_examples.reshape(len(examples), -1))
        rebuilt = []
        for count in components:
            kept = codes[:, :count] @ pca.components_[:count] + pca.mean_
            kept = kept.reshape(of_examples.shape).astype(of_examples.dtype)
            parts = batches(kept, batch_size)
            rebuilt.append(
                np.concatenate([network.decode(x, name) for x in parts])
            )
            steps.done()
        decoded.append(rebuilt)
        shares = np.cumsum(pca.explained_variance_ratio_)
        variance.append(shares[components - 1])
    decoded = np.array(decoded)
    difference = network.pixels(decoded) - network.pixels(originals)
    return DepthGallery(
        points=names,
        components=components,
        examples=originals,
        tiles=tuple(tiles),
        decoded=decoded,
        errors=np.sqrt(np.mean(difference**2, axis=(3, 4, 5))),
        variance=np.array(variance),
        train_size=len(images),
        normalization=network.normalization,
    )


def _components(components, most):
    """Return which numbers of components to keep, rising."""
    if components is None:
        components = [count for count in COMPONENTS if count <= most] or [most]
    components = check_counts(components, "components")
    if max(components) > most:
        raise ValueError(
            "`components` must be below the number of `images`, and no more "
            f"than a representation has values, {most} or less here. "
            f"Received: components={components}"
        )
    return np.unique(components)


def _encoded(network, images, name, batch_size):
    """Return the representations of all images, (N, ...)."""
    found = None
    for rows in batches(np.arange(len(images)), batch_size):
        part = network.encode(images[rows], name)
        if found is None:
            found = np.empty((len(images), *part.shape[1:]), part.dtype)
        found[rows] = part
    return found


def _tiles(seen, examples):
    """Return the channels of the examples that vary most, from 0 to 1."""
    axes = tuple(range(seen.ndim - 1))
    spread = np.std(seen, axis=axes)
    chosen = np.argsort(-spread, kind="stable")[: _TILES**2]
    some = seen[:_FOR_SHADES, ..., chosen]
    low, high = np.percentile(some, (1, 99), axis=axes)
    scaled = (examples[..., chosen] - low) / np.maximum(high - low, 1e-12)
    return np.moveaxis(np.clip(scaled, 0.0, 1.0), -1, 1)
