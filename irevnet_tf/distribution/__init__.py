"""Training on several devices and machines with Keras and TensorFlow."""

from irevnet_tf.distribution.keras_fit import enable_multi_worker_fit
from irevnet_tf.distribution.statistics import average_statistics
from irevnet_tf.distribution.statistics import synchronize_batch_norm
from irevnet_tf.distribution.strategies import STRATEGIES
from irevnet_tf.distribution.strategies import make_strategy
from irevnet_tf.distribution.workers import WORKER_LOST
from irevnet_tf.distribution.workers import ChiefError
from irevnet_tf.distribution.workers import PeerWatch
from irevnet_tf.distribution.workers import any_worker
from irevnet_tf.distribution.workers import is_chief
from irevnet_tf.distribution.workers import on_chief
from irevnet_tf.distribution.workers import same_on_all_workers
from irevnet_tf.distribution.workers import worker_count

__all__ = [
    "ChiefError",
    "PeerWatch",
    "STRATEGIES",
    "WORKER_LOST",
    "any_worker",
    "average_statistics",
    "enable_multi_worker_fit",
    "is_chief",
    "make_strategy",
    "on_chief",
    "same_on_all_workers",
    "synchronize_batch_norm",
    "worker_count",
]
