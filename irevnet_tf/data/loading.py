"""load_dataset: data sets by name or folder."""

import dataclasses
import os
import pathlib

import tensorflow_datasets as tfds

from irevnet_tf.data import digits
from irevnet_tf.data import image_folder
from irevnet_tf.data import tfds_source
from irevnet_tf.data.dataset import Dataset
from irevnet_tf.preprocessing import normalization_for

# The sets that come with a requirement of this package: the functions that
# load them, without arguments.
SHIPPED = {"digits": digits.load}


def load_dataset(
    name: str,
    *,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    image_channels: int | None = None,
    normalization: str | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
    validation_fraction: float = 0.0,
    download: bool = True,
) -> Dataset:
    """Load a data set for the classification of images.

    Example:

    >>> digits = irevnet_tf.data.load_dataset("digits")
    >>> images, labels = digits.arrays("test", 8)
    >>> images.shape
    (8, 8, 8, 1)

    Args:
        name: str. One of these, the first that fits:

            - "digits": scikit-learn's handwritten digits;
            - a folder with a prepared set of TensorFlow Datasets (TFDS), the
              one with the file dataset_info.json;
            - a folder of images, folder/split/class/image.jpg;
            - the name of a TFDS set, such as "cifar10" or
              "imagenet_resized/32x32". It is downloaded and prepared if
              needed.
        data_dir: None, str or path. The folder in which TFDS keeps prepared
            sets. If None, it is the environment variable TFDS_DATA_DIR, or else
            ~/tensorflow_datasets.
        image_size: None or int. Height and width of the images, which are
            resized to it. It must be given for images of varying size, and for
            those that do not fit into memory. For the digits, and for images in
            memory that are not square, it must be None, or what they have.
        image_channels: None or int. 1 for grayscale, 3 for RGB. Folders of
            images are converted to it, RGB if None. For others it must be None,
            or the number that they have.
        normalization: None or str. A key of `NORMALIZATIONS`. If None,
            "cifar10" and "cifar100" for the TFDS sets of these names,
            "imagenet" for those whose names begin with it, and otherwise
            "unit", values from 0.0 to 1.0.
        train_split: None or str. The split to train with, "train" if None. TFDS
            sets can have "train[:10%]" and the like.
        test_split: None or str. The split to test with. If None, "test", or if
            there is none, "validation", as for ImageNet, whose test images have
            no public classes.
        validation_fraction: float in [0, 1). The part of the training split to
            hold out, always the same part.
        download: bool. Whether TFDS may download what is not prepared.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: if there is no such data set, or if the arguments do not
            fit it.
    """
    if not 0 <= validation_fraction < 1:
        raise ValueError(
            "`validation_fraction` must be at least 0 and less than 1. "
            f"Received: validation_fraction={validation_fraction}"
        )
    if image_size is not None and image_size < 1:
        raise ValueError(
            "`image_size` must be at least 1. "
            f"Received: image_size={image_size}"
        )
    splits = {"train_split": train_split, "test_split": test_split}
    if name in SHIPPED:
        _require_own_splits(name, **splits)
        dataset = SHIPPED[name]()
    elif is_image_folder(name):
        dataset = image_folder.load(
            name,
            image_size=image_size,
            image_channels=image_channels,
            **splits,
        )
    elif _is_path(name) and not pathlib.Path(name).is_dir():
        raise ValueError(
            "`name` must be a folder that exists, if it is a path. "
            f"Received: name={name!r}"
        )
    else:
        if _is_prepared(name):
            builder = tfds.builder_from_directory(name)
        else:
            builder = tfds_source.prepared_builder(name, data_dir, download)
        dataset = tfds_source.load(
            builder, name=name, image_size=image_size, **splits
        )
    _require_image_shape(dataset, image_size, image_channels)
    if normalization is not None:
        dataset = dataclasses.replace(
            dataset, normalization=_normalization(dataset, normalization)
        )
    if validation_fraction:
        dataset = _with_validation(dataset, validation_fraction)
    return dataset


def _is_path(name):
    """Return whether a name can only be that of a folder."""
    path = pathlib.Path(name)
    return path.is_absolute() or name.endswith("/") or name.startswith(".")


def is_image_folder(name: str) -> bool:
    """Return whether `load_dataset` takes a name for a folder of images."""
    is_folder = name not in SHIPPED and pathlib.Path(name).is_dir()
    return is_folder and not _is_prepared(name)


def _is_prepared(name):
    return (pathlib.Path(name) / "dataset_info.json").exists()


def _require_own_splits(name, train_split, test_split):
    if train_split not in (None, "train") or test_split not in (None, "test"):
        raise ValueError(
            f"The splits of {name} must be 'train' and 'test'. Received: "
            f"train_split={train_split!r}, test_split={test_split!r}"
        )


def _require_image_shape(dataset, image_size, image_channels):
    height, width, channels = dataset.image_shape
    if image_size is not None and (height, width) != (image_size, image_size):
        raise ValueError(
            "`image_size` must be None or the size of the images "
            f"(={height}x{width}) if they are kept in memory. "
            f"Received: image_size={image_size}"
        )
    if image_channels not in (None, channels):
        raise ValueError(
            "`image_channels` must be None or the number of channels of the "
            f"images (={channels}). Received: image_channels={image_channels}"
        )


def _normalization(dataset, name):
    chosen = normalization_for(name, dataset.image_shape[2])
    if chosen.maximum != dataset.normalization.maximum:
        raise ValueError(
            f"`normalization` must be None for {dataset.name}, with values "
            f"from 0 to {dataset.normalization.maximum:g}. "
            f"Received: normalization={name!r}"
        )
    return chosen


def _with_validation(dataset, fraction):
    train, validation = dataset.train.split(fraction)
    if not train.count or not validation.count:
        raise ValueError(
            "`validation_fraction` must leave examples for training and for "
            f"validation, of {dataset.train.count}. "
            f"Received: validation_fraction={fraction}"
        )
    return dataclasses.replace(dataset, train=train, validation=validation)
