"""The batches of training and of evaluation.

The batches of an epoch are a function of the seed, the epoch and the position
of each example in the epoch. A run can continue in the middle of an epoch
without a saved state, and on any number of devices or workers it sees the same
examples in each step, changed in the same way. There are two exceptions: mixed
images (`mixup_alpha`, `cutmix_alpha`) have their partners in the batch of the
same replica, and the order of streamed examples (`StreamExamples`) depends on
the number of workers.
"""

import tensorflow as tf

from irevnet_tf.data.augmentation import Augmentation
from irevnet_tf.data.dataset import Dataset
from irevnet_tf.data.decoding import central_crop
from irevnet_tf.data.decoding import random_resized_crop
from irevnet_tf.data.examples import ArrayExamples
from irevnet_tf.data.examples import Examples
from irevnet_tf.data.examples import replica_batch_size


def steps_per_epoch(dataset: Dataset, batch_size: int) -> int:
    """Return the number of full batches in the examples for training.

    Example:

    >>> digits = irevnet_tf.data.load_dataset("digits")
    >>> irevnet_tf.data.steps_per_epoch(digits, batch_size=64)
    22

    Args:
        dataset: `Dataset`. The data set.
        batch_size: int. Examples per step, over all replicas.

    Returns:
        The number of steps, at least 1.

    Raises:
        ValueError: if there is not one full batch.
    """
    count = dataset.train.count
    if not 1 <= batch_size <= count:
        raise ValueError(
            "`batch_size` must be between 1 and the number of training "
            f"examples (={count}). Received: batch_size={batch_size}"
        )
    return count // batch_size


def training_batches(
    dataset: Dataset,
    augmentation: Augmentation,
    batch_size: int,
    *,
    epoch: int,
    first_step: int = 0,
    steps: int,
    seed: int,
    deterministic: bool = True,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Make the batches of an epoch, or of what is left of it.

    Example:

    >>> digits = irevnet_tf.data.load_dataset("digits")
    >>> shifted = irevnet_tf.data.Augmentation(max_shift=1)
    >>> batches = irevnet_tf.data.training_batches(
    ...     digits, shifted, batch_size=64, epoch=0, steps=22, seed=0
    ... )
    >>> images, labels = next(iter(batches))

    Args:
        dataset: `Dataset`. The data set.
        augmentation: `Augmentation`. How images are changed.
        batch_size: int. Examples per step, over all replicas.
        epoch: int. The number of the epoch, which determines its order and its
            random changes.
        first_step: int. The step to begin with.
        steps: int. The step to stop before, at most `steps_per_epoch`.
        seed: int. The seed of the run, at least 0.
        deterministic: bool. Whether examples come in exactly the same order
            every time, for which fast examples sometimes wait for slow ones.
            Examples in memory always do, since all of them are fast.
        context: None or `InputContext`. Which input pipeline this is, and of
            how many, as
            `tf.distribute.Strategy.distribute_datasets_from_function` says. One
            for a single device if None.

    Returns:
        A `tf.data.Dataset` of `steps - first_step` batches for each replica
        that this input pipeline feeds: float32 images (b, height, width,
        channels), normalised, and float32 labels (b, classes), one-hot or
        mixed, where b is `batch_size` divided by the number of replicas. It
        does not know its own length: `fit` with `steps_per_epoch` then makes
        no second iterator.

    Raises:
        ValueError: if the arguments do not fit each other.
        tf.errors.OpError: while it is read, if a file is no whole image;
            `irevnet_tf.data.decoding.naming_unreadable_files` says which.
    """
    context = context or tf.distribute.InputContext()
    replica_batch = replica_batch_size(context, batch_size)
    available = steps_per_epoch(dataset, batch_size)
    if not 0 <= first_step < steps <= available:
        raise ValueError(
            "`first_step` must be at least 0 and less than `steps`, which "
            f"must be at most the number of full batches (={available}). "
            f"Received: first_step={first_step}, steps={steps}"
        )
    if seed < 0 or epoch < 0:
        raise ValueError(
            "`seed` and `epoch` must be at least 0. "
            f"Received: seed={seed}, epoch={epoch}"
        )
    shape, classes = dataset.image_shape, len(dataset.class_names)
    normalization = dataset.normalization
    change = augmentation.for_images(shape, normalization.maximum)
    mix = augmentation.for_batches()

    def example(raw, label, position):
        crop_seed, change_seed, mix_seed = tf.unstack(
            tf.random.split(
                tf.random.fold_in(
                    tf.constant([seed, epoch], "int64"), position
                ),
                3,
            )
        )
        if augmentation.random_resized_crop:
            image = random_resized_crop(raw, shape, crop_seed)
        else:
            image = central_crop(raw, shape)
        image = change(image, change_seed)
        return image, tf.one_hot(label, classes), mix_seed

    def batch(images, labels, mix_seeds):
        images, labels = mix(images, labels, mix_seeds[0])
        return normalization.apply(images), labels

    return (
        dataset.train.shuffled(
            context,
            batch_size,
            seed=seed,
            epoch=epoch,
            first_step=first_step,
            steps=steps,
        )
        .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(replica_batch, drop_remainder=True)
        .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
        # Keeps all batches, but makes their number unknown to Keras.
        .filter(lambda images, labels: True)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(
            _options(deterministic or isinstance(dataset.train, ArrayExamples))
        )
    )


def evaluation_batches(
    dataset: Dataset,
    examples: Examples,
    batch_size: int,
    *,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Make batches in which every example has weight 1 exactly once.

    All batches are full, and every replica gets the same number of them:
    examples of weight 0 fill them up at the end.

    Example:

    >>> digits = irevnet_tf.data.load_dataset("digits")
    >>> batches = irevnet_tf.data.evaluation_batches(digits, digits.test, 64)
    >>> sum(float(tf.reduce_sum(weights)) for _, _, weights in batches)
    360.0

    Args:
        dataset: `Dataset`. The data set.
        examples: `Examples`. The part of it, such as `dataset.test`.
        batch_size: int. Examples per step, over all replicas.
        context: None or `InputContext`. Which input pipeline this is, and of
            how many. One for a single device if None.

    Returns:
        A `tf.data.Dataset` of float32 images (b, height, width, channels),
        normalised, one-hot float32 labels (b, classes), and float32 weights
        (b,), where b is `batch_size` divided by the number of replicas.

    Raises:
        ValueError: if `batch_size` is no multiple of the number of replicas.
        tf.errors.OpError: while it is read, as by `training_batches`.
    """
    context = context or tf.distribute.InputContext()
    replica_batch = replica_batch_size(context, batch_size)
    classes = len(dataset.class_names)

    def example(raw, label, weight):
        image = central_crop(raw, dataset.image_shape)
        image = dataset.normalization.apply(image)
        return image, tf.one_hot(label, classes), weight

    return (
        examples.ordered(context, batch_size)
        .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(replica_batch, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(_options(deterministic=True))
    )


def _options(deterministic):
    options = tf.data.Options()
    options.deterministic = deterministic
    # The thread that tunes sleeps ever longer, and the end of an iterator
    # waits for it: after six seconds of work, four more were lost.
    options.autotune.enabled = False
    return options
