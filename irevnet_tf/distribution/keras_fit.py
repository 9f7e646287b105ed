"""A fix of Keras' `fit`, `evaluate` and `predict` for several workers.

With several workers, Keras 3 averages the metrics of a step over the first
axis of scalars, which is an error, and runs collective operations on the
first batch's values outside a step
(https://github.com/keras-team/keras/issues/20585). The two functions here
replace those that do so, and treat several workers like several replicas.
"""

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import trainer as keras_trainer

# Versions whose trainer was read and tested; the functions are private.
CHECKED_VERSIONS = ("3.15",)

_keras_build = keras_trainer.TensorFlowTrainer._maybe_symbolic_build
_keras_reduce = keras_trainer.reduce_per_replica


def enable_multi_worker_fit() -> None:
    """Make Keras models train on `tf.distribute.MultiWorkerMirroredStrategy`.

    Replaces two private functions of Keras in this process, which behave as
    before unless there are several workers. Call it before the first `fit`;
    calling it again changes nothing.

    Example:

    >>> irevnet_tf.distribution.enable_multi_worker_fit()

    Raises:
        ValueError: if this version of Keras has not been checked.
    """
    version = keras.__version__
    if not version.startswith(tuple(f"{v}." for v in CHECKED_VERSIONS)):
        raise ValueError(
            "The fix that lets Keras train on several workers was checked "
            f"with Keras {', '.join(CHECKED_VERSIONS)} only. Received: "
            f"keras.__version__={version!r}"
        )
    trainer = keras_trainer.TensorFlowTrainer
    trainer._maybe_symbolic_build = _maybe_symbolic_build
    keras_trainer.reduce_per_replica = _reduce_per_replica


def _has_several_workers(strategy):
    return keras_trainer._collective_all_reduce_multi_worker(strategy)


def _maybe_symbolic_build(self, iterator=None, data_batch=None):
    """Build the model from the shapes of a batch.

    Keras averages the first batch over the replicas only to know its shapes,
    which are also those of the first local replica.
    """
    strategy = self.distribute_strategy
    if iterator is not None and _has_several_workers(strategy):
        _, _, batches = next(iter(iterator))
        data_batch = tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0],
            next(batches),
        )
        iterator = None
    return _keras_build(self, iterator, data_batch)


def _reduce_per_replica(values, strategy, reduction):
    """Reduce metrics, which are scalars, over all replicas of all workers."""
    operation = {"auto": "MEAN", "mean": "MEAN", "sum": "SUM"}.get(reduction)
    if operation is None or not _has_several_workers(strategy):
        return _keras_reduce(values, strategy, reduction)
    return tf.nest.map_structure(
        lambda value: strategy.reduce(operation, value, axis=None), values
    )
