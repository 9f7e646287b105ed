"""Inversion error, finite weights and accuracy during training."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.data import Dataset
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data.dataset import Examples
from irevnet_tf.data.unreadable import naming_unreadable_files
from irevnet_tf.evaluation import on_grid
from irevnet_tf.evaluation import relative_errors
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert
from irevnet_tf.training.config import RunConfig
from irevnet_tf.training.errors import DivergenceError

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


def require_finite(model: keras.Model, step: int, last: str) -> None:
    """Refuse to go on with weights that are not finite.

    Args:
        model: The model.
        step: int. Optimizer steps that are done, for the message.
        last: Name of the last good checkpoint, for the message.

    Raises:
        DivergenceError: if a variable is not finite.
    """
    for variable in model.variables:
        if not np.all(np.isfinite(variable.numpy())):
            raise DivergenceError(
                f"{variable.path} is not finite after step {step}. The last "
                f"good checkpoint is {last}. Try a lower learning rate or a "
                "longer warm-up."
            )


def evaluate_on(
    model: keras.Model, dataset: Dataset, examples: Examples, config: RunConfig
) -> dict[str, float]:
    """Measure loss and accuracy on all devices that a model is on.

    Args:
        model: A model that `compile_model` compiled.
        dataset: The data.
        examples: Its part to evaluate on.
        config: The run's configuration.

    Returns:
        `"loss"`, the cross-entropy without label smoothing, `"accuracy"`,
        and `"top_5_accuracy"` if there are many classes.

    Raises:
        UnreadableImageError: if a file of the data is no whole image.
    """
    # What training computes at a time; more might not fit.
    size = config.batch_size // config.accumulation_steps
    batches = model.distribute_strategy.distribute_datasets_from_function(
        lambda context: evaluation_batches(
            dataset, examples, size, context=context
        )
    )
    with naming_unreadable_files(examples, dataset.image_shape):
        values = model.evaluate(
            batches,
            # Keras counts an empty step at the end of a distributed data set.
            steps=-(-examples.count // size),
            verbose=0,
            return_dict=True,
        )
    values["loss"] = values.pop("cross_entropy")
    return values
