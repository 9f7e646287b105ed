"""Data sets of TensorFlow Datasets (TFDS)."""

import difflib
import functools
import math
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from irevnet_tf.data.dataset import Dataset
from irevnet_tf.data.examples import ArrayExamples
from irevnet_tf.data.tfds_stream import StreamExamples
from irevnet_tf.preprocessing import NORMALIZATIONS

# Images of one size are kept in memory up to this size, others are streamed.
MEMORY_LIMIT = 4 * 1024**3  # bytes


def prepared_builder(
    name: str, data_dir: str | os.PathLike | None, download: bool
) -> tfds.core.DatasetBuilder:
    """Find a TFDS set, and download and prepare it if needed.

    Args:
        name: str. What `tfds.load` knows it by, such as "cifar10" or
            "imagenet_resized/32x32:0.1.0".
        data_dir: None, str or path. The folder of prepared sets. If None, TFDS
            decides: it is the environment variable TFDS_DATA_DIR, or else
            ~/tensorflow_datasets.
        download: bool. Whether to download and prepare it if needed.

    Returns:
        The prepared `tfds.core.DatasetBuilder`.

    Raises:
        ValueError: if there is no such set, or if it cannot be prepared.
    """
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        raise ValueError(_unknown(name)) from None
    except (AssertionError, ValueError) as error:
        raise ValueError(
            "`name` must have the form 'name/config:version', with a "
            f"configuration and a version that TFDS has. Received: "
            f"name={name!r}. TFDS says: {error}"
        ) from error
    if builder.is_prepared():
        return builder
    if not download:
        raise ValueError(
            "`name` must be a data set that is prepared already if it may "
            f"not be downloaded. Received: name={name!r}, of which there is "
            f"nothing in {builder.data_path}"
        )
    try:
        builder.download_and_prepare()
    except AssertionError as error:
        # A set that a person has to download. TFDS explains how.
        raise ValueError(
            f"{name} could not be prepared. TFDS says: {error}"
        ) from error
    except OSError as error:
        raise ValueError(
            f"{name} could not be downloaded and prepared in "
            f"{builder.data_path}. Without a network connection, prepare it "
            "on another machine, and copy the folder of the data set here or "
            f"name it. The reason: {error}"
        ) from error
    return builder


def _unknown(name):
    near = difflib.get_close_matches(
        name.split("/")[0], tfds.list_builders(with_community_datasets=False)
    )
    message = (
        "`name` must be 'digits', a folder with a prepared TFDS set or with "
        "images (folder/split/class/image.jpg), or the name of a TFDS set, "
        f"'name/config:version'. Received: name={name!r}"
    )
    return message + (f". TFDS has: {', '.join(near)}" if near else "")


def load(
    builder: tfds.core.DatasetBuilder,
    *,
    name: str,
    image_size: int | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
) -> Dataset:
    """Load a prepared set for the classification of images.

    Images of one size are loaded into memory if they fit (`MEMORY_LIMIT`).
    Otherwise they are read and decoded when they are needed.

    Args:
        builder: prepared TFDS builder. The set to load.
        name: str. What the data set is called.
        image_size: None or int. Height and width that images are resized to.
            None for images in memory that are used as they are.
        train_split: None or str. The split to train with, "train" if None.
        test_split: None or str. The split to test with. If None, "test" or, if
            there is none, "validation".

    Returns:
        A `Dataset`.

    Raises:
        ValueError: if the set is not for classification, or if the arguments
            do not fit it.
    """
    keys = _supervised_keys(builder.info)
    image, label = (builder.info.features[key] for key in keys)
    train_split = train_split or "train"
    test_split = test_split or _default_test_split(builder)
    counts = [_count(builder, split) for split in (train_split, test_split)]
    if None not in image.shape and (
        sum(counts) * math.prod(image.shape) <= MEMORY_LIMIT
    ):
        image_shape = shape_in_memory(image.shape, image_size)
        read = functools.partial(_in_memory, image_shape=image_shape)
    elif image_size is None:
        raise ValueError(
            "`image_size` must be given for images of varying size, and for "
            "those that do not fit into memory. Received: image_size=None"
        )
    else:
        image_shape = (image_size, image_size, image.shape[-1] or 3)
        read = _streamed
    return Dataset(
        name=name,
        class_names=tuple(label.names),
        image_shape=image_shape,
        normalization=NORMALIZATIONS[_default_normalization(builder.name)],
        train=read(builder, train_split, keys),
        test=read(builder, test_split, keys),
    )


def shape_in_memory(shape, image_size):
    """Return the shape of images in memory, or raise ValueError."""
    height, width, channels = shape
    if image_size is None or (height, width) == (image_size, image_size):
        return tuple(shape)
    if height != width:
        raise ValueError(
            "`image_size` must be None for images that are kept in memory and "
            f"are not square (={height}x{width}). "
            f"Received: image_size={image_size}"
        )
    return image_size, image_size, channels


def _supervised_keys(info):
    """Return the names of the features that are the image and its label."""
    keys = info.supervised_keys
    if keys is None or len(keys) != 2:
        keys = ("image", "label")
    image, label = (dict(info.features).get(key) for key in keys)
    if (
        not isinstance(image, tfds.features.Image)
        or not isinstance(label, tfds.features.ClassLabel)
        or image.np_dtype != np.uint8
    ):
        raise ValueError(
            f"{info.full_name} must consist of uint8 images with a class "
            "each, or name the features that do as its supervised keys. "
            f"Received: features={', '.join(info.features)}, "
            f"supervised_keys={info.supervised_keys}"
        )
    return keys


def _default_test_split(builder):
    # The labels of ImageNet's own test split are secret.
    has_test = "test" in builder.info.splits
    if has_test and not builder.name.startswith("imagenet2012"):
        return "test"
    return "validation"


def _count(builder, split):
    try:
        count = builder.info.splits[split].num_examples
    except (KeyError, ValueError):
        count = 0
    if not count:
        raise ValueError(
            f"Expected a split of {builder.info.full_name} that has examples, "
            f"of {', '.join(builder.info.splits)}, or a part such as "
            f"'train[:10%]'. Received: split={split!r}"
        )
    return count


def _default_normalization(builder_name):
    if builder_name.startswith("imagenet"):
        return "imagenet"
    return builder_name if builder_name in NORMALIZATIONS else "unit"


def _in_memory(builder, split, keys, image_shape):
    image, label = keys
    features = builder.info.features
    count = builder.info.splits[split].num_examples
    images = np.empty((count, *image_shape), "uint8")
    labels = np.empty(count, "int64")
    batches = builder.as_dataset(
        split=split,
        batch_size=1024,
        decoders=tfds.decode.PartialDecoding({k: features[k] for k in keys}),
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    done = 0
    for batch in batches.as_numpy_iterator():
        here = slice(done, done + len(batch[label]))
        images[here] = _resized(batch[image], image_shape)
        labels[here] = batch[label]
        done = here.stop
    _require_labels(labels, split)
    return ArrayExamples(images, labels)


def _resized(images, image_shape):
    """Return whole images of another size, uint8."""
    if images.shape[1:] == image_shape:
        return images
    resized = tf.image.resize(images, image_shape[:2], antialias=True)
    return np.rint(resized.numpy())


def _streamed(builder, split, keys):
    examples = StreamExamples(builder, split, *keys)
    _require_labels(examples.first_label(), split)
    return examples


def _require_labels(labels, split):
    # TFDS gives -1 to examples whose class is not public.
    if np.min(labels) < 0:
        raise ValueError(
            "Expected a split with labels. Received: "
            f"split={split!r}, which has the label -1"
        )
