"""Training: the configuration of a run, its directory, and its loop."""

from irevnet_tf.training.checkpoints import Checkpoints
from irevnet_tf.training.checkpoints import ResumeError
from irevnet_tf.training.config import RunConfig
from irevnet_tf.training.guard import DivergenceError
from irevnet_tf.training.guard import Preempted
from irevnet_tf.training.loop import train
from irevnet_tf.training.optimizer import SGD
from irevnet_tf.training.optimizer import AdamW
from irevnet_tf.training.options import RunOptions
from irevnet_tf.training.run_directory import RunDirectory
from irevnet_tf.training.schedule import run_length
from irevnet_tf.training.setup import build_model
from irevnet_tf.training.setup import compile_model
from irevnet_tf.training.setup import count_parameters
from irevnet_tf.training.setup import load_data
from irevnet_tf.training.summary import estimate_memory
from irevnet_tf.training.trained import TrainedRun
from irevnet_tf.training.trained import load_trained_run

__all__ = [
    "AdamW",
    "Checkpoints",
    "DivergenceError",
    "Preempted",
    "ResumeError",
    "RunConfig",
    "RunDirectory",
    "RunOptions",
    "SGD",
    "TrainedRun",
    "build_model",
    "compile_model",
    "count_parameters",
    "estimate_memory",
    "load_data",
    "load_trained_run",
    "run_length",
    "train",
]
