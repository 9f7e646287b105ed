"""Examples that are read from the files of a prepared TFDS set."""

import math
from typing import Self

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from irevnet_tf.data.sharding import local_positions

# Encoded images. The order of the files is shuffled as well, and TFDS has
# shuffled the examples over the files when it wrote them.
SHUFFLE_BUFFER = 4096


class StreamExamples:
    """The examples of a split, read in the order of the files.

    It is for sets that are too large for memory, or with images of varying
    size. Every input pipeline reads a part of its own (`tfds.even_splits`),
    so that the order depends on the number of pipelines, but not on the
    number of replicas that each one feeds.

    Args:
        builder: A prepared `tfds.core.DatasetBuilder`.
        split: string. Its split, such as "train" or "train[:10%]".
        image_key: string. The name of the feature with the image.
        label_key: string. The name of the feature with the label.
    """

    def __init__(
        self,
        builder: tfds.core.DatasetBuilder,
        split: str,
        image_key: str = "image",
        label_key: str = "label",
    ):
        self._builder = builder
        self._split = split
        self._keys = image_key, label_key
        self.count = builder.info.splits[split].num_examples

    def _read(self, context, *, shuffle_seed=None):
        """Return (encoded image, label) of the part of one pipeline."""
        part = tfds.even_splits(self._split, n=context.num_input_pipelines)[
            context.input_pipeline_id
        ]
        image, label = self._keys
        features = self._builder.info.features
        examples = self._builder.as_dataset(
            split=part,
            shuffle_files=shuffle_seed is not None,
            read_config=tfds.ReadConfig(
                shuffle_seed=shuffle_seed,
                try_autocache=False,
                skip_prefetch=True,
                # Some sets are stored in a meaningful order. It is lost here
                # on purpose.
                enable_ordering_guard=False,
            ),
            decoders=tfds.decode.PartialDecoding(
                {key: features[key] for key in self._keys},
                decoders={image: tfds.decode.SkipDecoding()},
            ),
        )
        return examples.map(lambda example: (example[image], example[label]))

    def first_label(self) -> int:
        """Return the label of one example."""
        examples = self._read(tf.distribute.InputContext())
        return next(label for _, label in examples.as_numpy_iterator())

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

        The order of the files is shuffled, then examples within a buffer.
        The examples of the steps before `first_step` are read, but not
        decoded. As everywhere in tf.data, `tf.random.set_seed` changes the
        order too.

        Args:
            context: Which input pipeline this is, and of how many.
            batch_size: int. Examples per step, over all pipelines.
            seed: int. The seed of the run.
            epoch: int. The epoch.
            first_step: int. The step to begin with.
            steps: int. The step to stop before.

        Returns:
            A `tf.data.Dataset` of single examples: the encoded image, the
            int64 label, and the int64 position in the epoch.
        """
        mixed = np.random.SeedSequence([seed, epoch])
        file_seed, buffer_seed = map(int, mixed.generate_state(2))
        examples = self._read(context, shuffle_seed=file_seed)
        examples = examples.shuffle(SHUFFLE_BUFFER, seed=buffer_seed)
        skipped = first_step * batch_size // context.num_input_pipelines
        positions = local_positions(context, batch_size, first_step, steps)
        return tf.data.Dataset.zip(
            examples.skip(skipped), positions.unbatch()
        ).map(lambda example, position: (*example, position))

    def ordered(
        self, context: tf.distribute.InputContext, batch_size: int
    ) -> tf.data.Dataset:
        """Return every example once over all input pipelines.

        All pipelines get the same number of examples, which fill whole
        steps: at the end, examples of weight 0 are added.

        Args:
            context: Which input pipeline this is, and of how many.
            batch_size: int. Examples per step, over all pipelines.

        Returns:
            A `tf.data.Dataset` of single examples: the encoded image, the
            int64 label, and the float32 weight, 0 or 1.
        """
        pipelines = context.num_input_pipelines
        local_batch_size = batch_size // pipelines
        steps = math.ceil(math.ceil(self.count / pipelines) / local_batch_size)
        examples = self._read(context)
        filling = examples.take(1).repeat()
        return (
            examples.map(lambda image, label: (image, label, 1.0))
            .concatenate(filling.map(lambda image, label: (image, label, 0.0)))
            .take(steps * local_batch_size)
        )

    def split(self, fraction: float) -> tuple[Self, Self]:
        """Hold out the last examples. TFDS has shuffled them.

        Args:
            fraction: float. The part of the examples to hold out.

        Returns:
            The other examples, and those that are held out.

        Raises:
            ValueError: if the split is a part of one already, or if the
                examples are stored in an order that means something.
        """
        if self._builder.info.disable_shuffling:
            raise ValueError(
                "`validation_fraction` must be 0 for a data set that TFDS "
                "stores in a meaningful order. Received: "
                f"{self._builder.info.name}"
            )
        if "[" in self._split or "+" in self._split:
            raise ValueError(
                "`train_split` must be a whole split if "
                "`validation_fraction` is not 0. Received: "
                f"train_split={self._split!r}"
            )
        rest = self.count - round(self.count * fraction)
        return tuple(
            StreamExamples(self._builder, f"{self._split}[{part}]", *self._keys)
            for part in (f":{rest}", f"{rest}:")
        )
