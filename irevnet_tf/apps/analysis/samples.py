"""Images for studies, drawn from a data set."""

import dataclasses
import hashlib
import importlib.util

import numpy as np
import sklearn.datasets
import tensorflow as tf

from irevnet_tf.apps.image_files import decode_image
from irevnet_tf.data import Dataset
from irevnet_tf.data.decoding import central_crop
from irevnet_tf.data.decoding import naming_unreadable_files

# Images among which pairs are looked for: of ImageNet, about 600 MB.
CANDIDATES = 1000

_DECODED_AT_ONCE = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Images that were drawn, their labels, and a description.

    Attributes:
        images: float32 array (N, height, width, channels). Images as a network
            takes them.
        labels: int64 array (N,). Their classes.
        text: str. The description, such as "4 of 360 test images".
    """

    images: np.ndarray
    labels: np.ndarray
    text: str


def draw_images(dataset: Dataset, part: str, count: int, seed: int) -> Sample:
    """Draw images at random, without replacement.

    They are cropped and resized as for testing, as in `Dataset.arrays`.

    Args:
        dataset: `Dataset`. The data set.
        part: str. "train" or "test".
        count: int. How many images; there may be fewer.
        seed: int. The seed of the choice.

    Raises:
        UnreadableImageError: if a file is no whole image.
    """
    examples = getattr(dataset, part)
    count = min(count, examples.count)

    def picture(raw, label, _):
        image = central_crop(raw, dataset.image_shape)
        return dataset.normalization.apply(image), label

    batches = (
        examples.shuffled(
            tf.distribute.InputContext(),
            1,
            seed=seed,
            epoch=0,
            first_step=0,
            steps=count,
        )
        .map(picture, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(_DECODED_AT_ONCE)
    )
    with naming_unreadable_files(
        examples,
        dataset.image_shape,
        lambda: examples.order(seed=seed, epoch=0, position=0)[:count],
    ):
        images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    name = {"train": "training", "test": "test"}[part]
    return Sample(
        np.concatenate(images),
        np.concatenate(labels),
        f"{count:,} of {examples.count:,} {name} images",
    )


def find_pairs(
    labels: np.ndarray, *, across: int, within: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Pair images of different classes, and others of one class.

    Takes the first images that fit, none of them twice.

    Args:
        labels: int array (N,). The classes of the images.
        across: int. How many pairs of different classes; there may be fewer.
        within: int. How many pairs of one class; there may be fewer.

    Returns:
        Two int arrays of indices, (across, 2) and (within, 2).
    """
    used = set()

    def take(fits, count):
        found, waiting = [], []
        for index in range(len(labels)):
            if len(found) == count:
                break
            if index in used:
                continue
            partner = next((i for i in waiting if fits(i, index)), None)
            if partner is None:
                waiting.append(index)
                continue
            waiting.remove(partner)
            found.append((partner, index))
        used.update(np.ravel(found).astype(int))
        return np.array(found, int).reshape(-1, 2)

    return (
        take(lambda i, j: labels[i] != labels[j], across),
        take(lambda i, j: labels[i] == labels[j], within),
    )


def file_sha256(path: str) -> str:
    """Return the SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def photographs(dataset: Dataset) -> tuple[np.ndarray | None, str]:
    """Return unrelated photographs in the format of a data set's images.

    They come from scikit-learn, and from scikit-image if it is installed.

    Returns:
        float32 array (N, height, width, channels), and their names; None
        where the data set's images are neither gray nor of three colours.
    """
    if dataset.image_shape[-1] not in (1, 3):
        return None, "no photographs"
    found = {
        "china": sklearn.datasets.load_sample_image("china.jpg"),
        "flower": sklearn.datasets.load_sample_image("flower.jpg"),
    }
    if importlib.util.find_spec("skimage"):
        import skimage.data

        for name in ("astronaut", "coffee", "chelsea"):
            found[name] = getattr(skimage.data, name)()
    images = [
        decode_image(
            tf.io.encode_png(image), dataset.image_shape, dataset.normalization
        )
        for image in found.values()
    ]
    return np.stack(images), f"the photographs {', '.join(found)}"
