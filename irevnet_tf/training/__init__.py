"""Training: what a run is, its directory, and carrying it out."""

from irevnet_tf.training.checkpoints import Checkpoints
from irevnet_tf.training.config import RunConfig
from irevnet_tf.training.errors import DivergenceError
from irevnet_tf.training.errors import Preempted
from irevnet_tf.training.errors import ResumeError
from irevnet_tf.training.measuring import evaluate_on
from irevnet_tf.training.memory_estimate import estimate_memory
from irevnet_tf.training.optimizer import SGD
from irevnet_tf.training.options import RunOptions
from irevnet_tf.training.recipe import build_model
from irevnet_tf.training.recipe import compile_model
from irevnet_tf.training.recipe import count_parameters
from irevnet_tf.training.recipe import load_data
from irevnet_tf.training.run_directory import RunDirectory
from irevnet_tf.training.trainer import run_length
from irevnet_tf.training.trainer import train

__all__ = [
    "Checkpoints",
    "DivergenceError",
    "Preempted",
    "ResumeError",
    "RunConfig",
    "RunDirectory",
    "RunOptions",
    "SGD",
    "build_model",
    "compile_model",
    "count_parameters",
    "estimate_memory",
    "evaluate_on",
    "load_data",
    "run_length",
    "train",
]
