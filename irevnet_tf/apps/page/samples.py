"""Sample pictures for a network, all on this machine."""

import pathlib

import numpy as np
import sklearn.datasets
from PIL import Image

from irevnet_tf.apps.invert import classes_in_turn
from irevnet_tf.apps.network_source import Source
from irevnet_tf.apps.page.uploads import fitted
from irevnet_tf.data import digits
from irevnet_tf.models.predictions import class_names

COUNT = 10
# Ten test images of Fashion-MNIST side by side, one of every class.
FASHION_MNIST = pathlib.Path(__file__).with_name("static") / "samples.png"
# Among which there is one of every class, mostly.
_CANDIDATES = 500


def samples_for(
    source: Source, shape: tuple[int, int, int]
) -> list[tuple[str, np.ndarray]]:
    """Return sample pictures for a network, with their captions.

    They are test images of the network's data set where these are at hand,
    and photographs otherwise.

    Args:
        source: `Source`. The network.
        shape: tuple of ints. Height, width and channels of its images.

    Returns:
        A list of captions and uint8 arrays of the shape `shape`.
    """
    if source.trained is not None:
        dataset = source.trained.dataset
        if dataset.image_shape == shape:
            return _of_tests(dataset)
    return samples_of(source.dataset_name, shape)


def samples_of(
    dataset_name: str | None, shape: tuple[int, int, int]
) -> list[tuple[str, np.ndarray]]:
    """Return sample pictures for a data set's name, as `samples_for`."""
    if (dataset_name, shape) == ("digits", (8, 8, 1)):
        return _of_tests(digits.load())
    if (dataset_name, shape) == ("fashion_mnist", (28, 28, 1)):
        strip = np.asarray(Image.open(FASHION_MNIST).convert("L"))
        images = np.split(strip[..., np.newaxis], COUNT, axis=1)
        names = class_names("fashion_mnist")
        return list(zip(names, images, strict=True))
    return [
        (
            name,
            fitted(
                Image.fromarray(sklearn.datasets.load_sample_image(file)), shape
            ),
        )
        for name, file in (("temple", "china.jpg"), ("flower", "flower.jpg"))
    ]


def dataset_with(names: list[str] | None) -> str | None:
    """Return which of the data sets with samples has these classes, if any."""
    for dataset_name in ("digits", "fashion_mnist"):
        if names is not None and [*class_names(dataset_name)] == [*names]:
            return dataset_name
    return None


def _of_tests(dataset):
    images, labels = dataset.arrays(
        "test", min(_CANDIDATES, dataset.test.count)
    )
    chosen = classes_in_turn(labels, COUNT)
    scale = dataset.normalization
    pixels = np.asarray(scale.undo(images[chosen])) * (255.0 / scale.maximum)
    pixels = np.clip(np.rint(pixels), 0, 255).astype("uint8")
    captions = [dataset.class_names[label] for label in labels[chosen]]
    return list(zip(captions, pixels, strict=True))
