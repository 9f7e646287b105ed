"""Training: its configuration, its run directory, its recipe."""

from irevnet_tf.training.config import RunConfig
from irevnet_tf.training.recipe import build_model
from irevnet_tf.training.recipe import compile_model
from irevnet_tf.training.recipe import count_parameters
from irevnet_tf.training.run_directory import RunDirectory
from irevnet_tf.training.trainer import DivergenceError
from irevnet_tf.training.trainer import train

__all__ = [
    "DivergenceError",
    "RunConfig",
    "RunDirectory",
    "build_model",
    "compile_model",
    "count_parameters",
    "train",
]
