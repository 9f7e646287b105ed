"""How exactly the network being trained is inverted."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.data import Dataset
from irevnet_tf.evaluation import on_grid
from irevnet_tf.evaluation import relative_errors
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert

# Enough to see an inverse that is getting worse, at the price of one batch.
IMAGES = 16


class InversionProbe:
    """Inverts the representations of a few images, always the same.

    Args:
        model: A network of this package. Its current weights count.
        dataset: Where the images come from.
        split: `"validation"` or `"test"`.
    """

    def __init__(self, model: keras.Model, dataset: Dataset, split: str):
        available = getattr(dataset, split).count
        encode = encoder(model)
        decode = invert(encode)
        images, _ = dataset.arrays(split, min(IMAGES, available))
        self._images = on_grid(encode, images)
        self._rebuild = tf.function(
            lambda x: decode(encode(x, training=False), training=False)
        )

    def measure(self) -> float:
        """Return the largest relative error `||x - x'|| / ||x||`."""
        rebuilt = self._rebuild(tf.constant(self._images)).numpy()
        return float(np.max(relative_errors(self._images, rebuilt)))
