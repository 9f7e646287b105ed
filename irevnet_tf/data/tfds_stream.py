"""Examples that are read from the files of a prepared TFDS set."""

import math

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from irevnet_tf.data.examples import Examples
from irevnet_tf.data.examples import local_positions

# In encoded images. The order of the files is shuffled as well, and TFDS
# shuffled the examples over the files when it wrote them.
SHUFFLE_BUFFER = 4096


class StreamExamples(Examples):
    """The examples of a split, read in the order of the files.

    It is for sets that are too large for memory, or with images of varying
    size. Every input pipeline reads another part (`tfds.even_splits`), so the
    order depends on the number of pipelines, but not on the number of replicas
    that each one feeds.

    For a random order, the files are shuffled, and then the examples within a
    buffer. Examples of the steps before the first are read, but not decoded.
    As everywhere in tf.data, `tf.random.set_seed` changes the order too. The
    last examples are held out, since TFDS has shuffled them; a part of a
    split, or a set whose order means something, cannot be split.

    Args:
        builder: prepared TFDS builder. The set to read.
        split: str. Its split, such as "train" or "train[:10%]".
        image_key: str. The name of the feature with the image.
        label_key: str. The name of the feature with the label.
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
                # Some sets are stored in a meaningful order, which is lost
                # here on purpose.
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

    def shuffled(self, context, batch_size, *, seed, epoch, first_step, steps):
        mixed = np.random.SeedSequence([seed, epoch])
        file_seed, buffer_seed = map(int, mixed.generate_state(2))
        examples = self._read(context, shuffle_seed=file_seed)
        examples = examples.shuffle(SHUFFLE_BUFFER, seed=buffer_seed)
        skipped = first_step * batch_size // context.num_input_pipelines
        positions = local_positions(context, batch_size, first_step, steps)
        return tf.data.Dataset.zip(
            examples.skip(skipped), positions.unbatch()
        ).map(lambda example, position: (*example, position))

    def ordered(self, context, batch_size):
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

    def split(self, fraction):
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
