"""Data sets and the input pipeline that feeds them to training."""

from irevnet_tf.data.augmentation import Augmentation
from irevnet_tf.data.dataset import Dataset
from irevnet_tf.data.loading import load_dataset
from irevnet_tf.data.pipeline import evaluation_batches
from irevnet_tf.data.pipeline import steps_per_epoch
from irevnet_tf.data.pipeline import training_batches
from irevnet_tf.preprocessing import NORMALIZATIONS
from irevnet_tf.preprocessing import Normalization

__all__ = [
    "NORMALIZATIONS",
    "Augmentation",
    "Dataset",
    "Normalization",
    "evaluation_batches",
    "load_dataset",
    "steps_per_epoch",
    "training_batches",
]
