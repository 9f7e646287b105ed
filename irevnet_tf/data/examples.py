"""Examples: images in memory, or files of images, and their order.

An epoch is a sequence of positions 0, 1, 2, ... Step t of training takes
those from t * batch_size up to (t + 1) * batch_size, and the input pipelines
(one per worker) share them in contiguous parts of equal length. So a step does
not depend on the number of pipelines and replicas.
"""

import abc
import math
from typing import Self

import numpy as np
import tensorflow as tf

SPLIT_SEED = 0


def replica_batch_size(
    context: tf.distribute.InputContext, batch_size: int
) -> int:
    """Return the number of examples that one replica gets in one step.

    Args:
        context: `InputContext`. The replicas and input pipelines.
        batch_size: int. Examples per step, over all replicas.

    Returns:
        `batch_size` divided by the number of replicas.

    Raises:
        ValueError: if `batch_size` is no positive multiple of that number.
    """
    replicas = context.num_replicas_in_sync
    if batch_size < 1 or batch_size % replicas:
        raise ValueError(
            "`batch_size` must be a positive multiple of the number of "
            f"replicas (={replicas}). Received: batch_size={batch_size}"
        )
    return batch_size // replicas


def local_positions(
    context: tf.distribute.InputContext,
    batch_size: int,
    first_step: int,
    steps: int,
) -> tf.data.Dataset:
    """Return the positions in the epoch that one input pipeline handles.

    Args:
        context: `InputContext`. Which pipeline it is.
        batch_size: int. Examples per step, over all pipelines.
        first_step: int. The first step to handle.
        steps: int. The step to stop before.

    Returns:
        A `tf.data.Dataset` of int64 vectors, one per step.
    """
    local = batch_size // context.num_input_pipelines
    start = context.input_pipeline_id * local
    return tf.data.Dataset.range(first_step, steps).map(
        lambda step: step * batch_size + start + tf.range(local, dtype="int64")
    )


class Examples(abc.ABC):
    """The examples of a part of a data set.

    An image is raw in all of them: a uint8 tensor (height, width, channels),
    or a string tensor with the bytes of a file.

    Attributes:
        count: int. Number of examples.
    """

    count: int

    @abc.abstractmethod
    def shuffled(
        self,
        context: tf.distribute.InputContext,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        first_step: int,
        steps: int,
    ) -> tf.data.Dataset:
        """Return the examples of some steps of an epoch, in random order.

        Args:
            context: `InputContext`. Which input pipeline this is, and of how
                many.
            batch_size: int. Examples per step, over all pipelines.
            seed: int. The seed of the run.
            epoch: int. The number of the epoch.
            first_step: int. The step to begin with.
            steps: int. The step to stop before.

        Returns:
            A `tf.data.Dataset` of single examples: the raw image, the int64
            label, and the int64 position in the epoch.
        """

    @abc.abstractmethod
    def ordered(
        self, context: tf.distribute.InputContext, batch_size: int
    ) -> tf.data.Dataset:
        """Return every example once over all input pipelines.

        All pipelines get the same number of examples, which fill whole
        steps: at the end, examples of weight 0 are added.

        Args:
            context: `InputContext`. Which input pipeline this is, and of how
                many.
            batch_size: int. Examples per step, over all pipelines.

        Returns:
            A `tf.data.Dataset` of single examples: the raw image, the int64
            label, and the float32 weight, 0 or 1.
        """

    @abc.abstractmethod
    def split(self, fraction: float) -> tuple[Self, Self]:
        """Hold a part out, always the same.

        Args:
            fraction: float. The part of the examples to hold out.

        Returns:
            The other examples, and those that are held out.

        Raises:
            ValueError: if these examples cannot be split.
        """


class _IndexedExamples(Examples):
    """Base class of examples that can be read in any order.

    The random order of an epoch is a permutation of all examples that `seed`
    and `epoch` determine. It is computed index by index, so that any step can
    be the first, and there is no buffer to fill. Examples to hold out are
    chosen at random.
    """

    def __init__(self, labels: np.ndarray):
        self.labels = np.asarray(labels, "int64")
        self.count = len(self.labels)

    @abc.abstractmethod
    def _reader(self):
        """Return the function from int64 indices to raw images."""

    @abc.abstractmethod
    def _subset(self, indices: np.ndarray) -> Self:
        """Return the examples with these indices."""

    def shuffled(self, context, batch_size, *, seed, epoch, first_step, steps):
        read, labels = self._reader(), _on_cpu(self.labels)

        def indices(positions):
            return self._shuffled_indices(positions, seed, epoch), positions

        def example(index, position):
            return read(index), tf.gather(labels, index), position

        return (
            local_positions(context, batch_size, first_step, steps)
            # A whole step at a time, which is faster.
            .map(indices)
            .unbatch()
            .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        )

    def _shuffled_indices(self, positions, seed, epoch):
        return tf.random.experimental.index_shuffle(
            positions,
            seed=tf.constant([seed, epoch], "int64"),
            max_index=tf.constant(self.count - 1, "int64"),
        )

    def order(self, *, seed: int, epoch: int, position: int) -> np.ndarray:
        """Return the indices of all examples as `shuffled` takes them.

        Args:
            seed: int. The seed of the run.
            epoch: int. The number of the epoch.
            position: int. The position in the epoch to begin with. The first
                position follows the last one.

        Returns:
            int64 array (count,).
        """
        with tf.device("CPU"):
            positions = tf.roll(
                tf.range(self.count, dtype="int64"), -position, axis=0
            )
            return self._shuffled_indices(positions, seed, epoch).numpy()

    def ordered(self, context, batch_size):
        read, labels = self._reader(), _on_cpu(self.labels)

        def example(position):
            index = position % self.count
            weight = tf.cast(position < self.count, "float32")
            return read(index), tf.gather(labels, index), weight

        steps = math.ceil(self.count / batch_size)
        return (
            local_positions(context, batch_size, 0, steps)
            .unbatch()
            .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        )

    def split(self, fraction):
        order = np.random.default_rng(SPLIT_SEED).permutation(self.count)
        held_out = round(self.count * fraction)
        return (
            self._subset(np.sort(order[held_out:])),
            self._subset(np.sort(order[:held_out])),
        )


class ArrayExamples(_IndexedExamples):
    """Images of one size, in memory.

    Args:
        images: uint8 array (N, height, width, channels). The images.
        labels: int array (N,). Their classes.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        super().__init__(labels)
        self.images = images

    def _reader(self):
        images = _on_cpu(self.images)
        return lambda index: tf.gather(images, index)

    def _subset(self, indices):
        return ArrayExamples(self.images[indices], self.labels[indices])


class FileExamples(_IndexedExamples):
    """Files of images, of any size, read when they are needed.

    Args:
        paths: list of N strs. Names of JPEG, PNG, GIF or BMP files.
        labels: int array (N,). Their classes.
    """

    def __init__(self, paths: list[str], labels: np.ndarray):
        super().__init__(labels)
        self.paths = np.array(paths)

    def _reader(self):
        paths = _on_cpu(self.paths)

        return lambda index: tf.io.read_file(tf.gather(paths, index))

    def _subset(self, indices):
        return FileExamples(self.paths[indices], self.labels[indices])


def _on_cpu(array):
    """Keep the data of the input pipeline out of the memory of a GPU."""
    with tf.device("CPU"):
        return tf.constant(array)
