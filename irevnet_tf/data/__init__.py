"""Data sets and the input pipeline that feeds them to training."""

from irevnet_tf.data.dataset import Dataset
from irevnet_tf.data.pipeline import training_batches
from irevnet_tf.data.registry import dataset_names
from irevnet_tf.data.registry import load_dataset

__all__ = [
    "Dataset",
    "dataset_names",
    "load_dataset",
    "training_batches",
]
