"""Data sets from folders of images, `root/split/class/image.jpg`."""

import pathlib

import keras
import numpy as np

from irevnet_tf.data.dataset import Dataset
from irevnet_tf.data.examples import FileExamples
from irevnet_tf.preprocessing import NORMALIZATIONS

TRAIN_SPLIT = "train"
TEST_SPLITS = ("test", "validation", "val")


def load(
    root: str,
    *,
    image_size: int | None,
    image_channels: int | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
) -> Dataset:
    """List the images of a folder. They are read when they are needed.

    Args:
        root: str. A folder with a folder for each split, and in these one for
            each class, with JPEG, PNG, GIF or BMP files.
        image_size: int. Height and width that images are resized to.
        image_channels: None or int. 1 for grayscale, 3 for RGB, to which all
            images are converted. 3 if None.
        train_split: None or str. The folder to train with, "train" if None.
        test_split: None or str. The folder to test with. If None, the first of
            "test", "validation" and "val" that there is.

    Returns:
        A `Dataset` with values from 0.0 to 1.0. Classes are in the
        alphabetical order of their folders.

    Raises:
        ValueError: if the arguments do not fit the folder, if a split has no
            images, or if the splits have different classes.
    """
    _check_images(image_size, image_channels)
    folders = sorted(p.name for p in pathlib.Path(root).iterdir() if p.is_dir())
    if test_split is None:
        present = [split for split in TEST_SPLITS if split in folders]
        test_split = present[0] if present else TEST_SPLITS[0]
    train_split = train_split or TRAIN_SPLIT
    for split in (train_split, test_split):
        if split not in folders:
            raise ValueError(
                f"Expected a folder for every split in {root}, which has "
                f"{', '.join(folders) or 'none'}. Received: split={split!r}"
            )
    train, classes = _examples(pathlib.Path(root, train_split))
    test, test_classes = _examples(pathlib.Path(root, test_split))
    if classes != test_classes:
        differences = sorted(set(classes) ^ set(test_classes))
        raise ValueError(
            f"{train_split} and {test_split} in {root} must have the same "
            "classes. Received: only in one of them: "
            f"{', '.join(differences)}"
        )
    shape = (image_size, image_size, image_channels or 3)
    return _dataset(root, classes, shape, train, test)


def load_tests(
    root: str, *, image_size: int | None, image_channels: int | None = None
) -> Dataset:
    """List the images of a folder that are only for testing.

    Args:
        root: str. As for `load`, but without need of training images; or a
            folder for each class, with the image files.
        image_size: int. As for `load`.
        image_channels: None or int. As for `load`.

    Returns:
        A `Dataset` whose training images are its test images.

    Raises:
        ValueError: if the arguments do not fit, or if there are no images.
    """
    _check_images(image_size, image_channels)
    folder = pathlib.Path(root)
    splits = [split for split in TEST_SPLITS if (folder / split).is_dir()]
    if not splits and (folder / TRAIN_SPLIT).is_dir():
        raise ValueError(
            f"Expected a folder of test images, one of {', '.join(TEST_SPLITS)}"
            f", in {root}, beside that of training images. Received: none"
        )
    test, classes = _examples(folder / splits[0] if splits else folder)
    shape = (image_size, image_size, image_channels or 3)
    return _dataset(root, classes, shape, test, test)


def _check_images(size, channels):
    if size is None:
        raise ValueError(
            "`image_size` must be given for a folder of images. "
            "Received: image_size=None"
        )
    if channels not in (None, 1, 3):
        raise ValueError(
            "`image_channels` must be 1 or 3 for a folder of images. "
            f"Received: image_channels={channels}"
        )


def _dataset(root, classes, shape, train, test):
    return Dataset(
        name=str(root),
        class_names=classes,
        image_shape=shape,
        normalization=NORMALIZATIONS["unit"],
        train=train,
        test=test,
    )


def _examples(folder):
    # Only the list of files comes from Keras; images are read elsewhere.
    listing = keras.utils.image_dataset_from_directory(
        folder,
        batch_size=None,
        shuffle=False,
        follow_links=True,
        verbose=False,
    )
    indices = {name: i for i, name in enumerate(listing.class_names)}
    labels = [
        indices[pathlib.Path(path).relative_to(folder).parts[0]]
        for path in listing.file_paths
    ]
    return (
        FileExamples(listing.file_paths, np.array(labels)),
        tuple(listing.class_names),
    )
