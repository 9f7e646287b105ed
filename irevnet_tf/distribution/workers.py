"""Chief, agreement between workers, and the end of training if one is lost."""

import os
import re
import sys
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

# Exit status of a process whose training ended because of another worker.
WORKER_LOST = 76

# How TensorFlow's collective operations fail when a worker is gone: its
# connection was closed, or its heartbeats stopped for 10 seconds.
_LOSSES = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes files for all.

    Example:

    >>> irevnet_tf.distribution.is_chief(tf.distribute.get_strategy())
    True

    Args:
        strategy: distribution strategy. The one to train with.

    Returns:
        A bool, True for the only process, too.
    """
    return strategy.extended.should_checkpoint


def worker_count(strategy: tf.distribute.Strategy) -> int:
    """Return how many processes train together.

    Example:

    >>> irevnet_tf.distribution.worker_count(tf.distribute.get_strategy())
    1

    Args:
        strategy: distribution strategy. The one to train with.

    Returns:
        The number of processes, an int.
    """
    return max(1, len(worker_addresses(strategy)))


def worker_addresses(strategy: tf.distribute.Strategy) -> dict[str, str]:
    """Return the workers' names, as TensorFlow writes them, and addresses.

    Args:
        strategy: distribution strategy. The one to train with.

    Returns:
        Like `{"/job:worker/task:0": "host0:2222", ...}`; empty if there is no
        cluster.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return {}
    cluster = strategy.cluster_resolver.cluster_spec()
    return {
        f"/job:{job}/task:{task}": cluster.task_address(job, task)
        for job in ("chief", "worker")
        if job in cluster.jobs
        for task in cluster.task_indices(job)
    }


class ChiefError(OSError):
    """What the chief did for all workers failed."""


def on_chief(
    strategy: tf.distribute.Strategy, function: Callable[[], object]
) -> None:
    """Let the chief do something for all workers, and wait for it.

    All workers must call this at the same point of their program. If it fails,
    it fails on all of them, so that none is left waiting.

    Example:

    >>> strategy = irevnet_tf.distribution.make_strategy("none")
    >>> irevnet_tf.distribution.on_chief(
    ...     strategy, lambda: print("written once")
    ... )
    written once

    Args:
        strategy: distribution strategy. The one to train with.
        function: function without arguments. What the chief does.

    Raises:
        ChiefError: if `function` raised an error on another worker, the chief.
            There, that error is raised.
    """
    error = None
    if is_chief(strategy):
        try:
            function()
        except Exception as caught:  # Any error: the others are waiting.
            error = caught
    if any_worker(strategy, error is not None):
        raise error or ChiefError(
            "the first worker could not do its part; its output says why"
        )


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Return whether a flag is set on any worker.

    All workers must call this at the same point of their program, as it waits
    for them.

    Example:

    >>> strategy = irevnet_tf.distribution.make_strategy("none")
    >>> irevnet_tf.distribution.any_worker(strategy, False)
    False

    Args:
        strategy: distribution strategy. The one to train with.
        flag: bool. The flag of this worker.

    Returns:
        A bool, the same on all workers.
    """
    return bool(np.any(gather_from_workers(strategy, [flag], tf.int64)))


def same_on_all_workers(strategy: tf.distribute.Strategy, value: int) -> bool:
    """Return whether an integer is the same on all workers.

    All workers must call this at the same point of their program, as it waits
    for them.

    Example:

    >>> strategy = irevnet_tf.distribution.make_strategy("none")
    >>> irevnet_tf.distribution.same_on_all_workers(strategy, 1000)
    True

    Args:
        strategy: distribution strategy. The one to train with.
        value: int of 64 bits. The value of this worker.

    Returns:
        A bool, the same on all workers.
    """
    values = gather_from_workers(strategy, [value], tf.int64)
    return len(np.unique(values)) == 1


def gather_from_workers(
    strategy: tf.distribute.Strategy,
    values: Sequence[float] | np.ndarray,
    dtype: tf.DType = tf.float64,
) -> np.ndarray:
    """Return the values of all workers, one row for each.

    All workers must call this at the same point of their program, as it waits
    for them.

    Args:
        strategy: distribution strategy. The one to train with.
        values: sequence of N numbers. The values of this worker.
        dtype: TensorFlow dtype. The dtype in which they are sent.

    Returns:
        Array (workers, N).
    """
    rows = tf.cast([values], dtype)
    workers = worker_count(strategy)
    if workers == 1:
        return rows.numpy()
    rows = strategy.experimental_distribute_values_from_function(lambda _: rows)
    # Each of a worker's devices sends the same.
    return _gather(strategy, rows).numpy()[
        :: strategy.num_replicas_in_sync // workers
    ]


@tf.function(autograph=False)  # Traced once; it is called every few steps.
def _gather(strategy, values):
    return strategy.gather(values, axis=0)


class PeerWatch:
    """Ends the process, with a clear message, if another worker is lost.

    A context manager around training. In a collective operation, TensorFlow
    notices that another worker has died (at once) or does not answer (after 10
    seconds), and raises an error that says little, after which leaving Python
    can take as long again. This writes to standard error which worker it was,
    and ends the process with status `WORKER_LOST`, at once and without
    cleaning up, so that whatever started the workers can start them again.
    Other errors pass. Does nothing if there is one worker.

    Example:

    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with irevnet_tf.distribution.PeerWatch(model.distribute_strategy):
    ...     history = model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)

    Args:
        strategy: distribution strategy. The one to train with.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self._addresses = worker_addresses(strategy)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if len(self._addresses) < 2 or not isinstance(error, _LOSSES):
            return
        sys.stdout.flush()
        message = _message(error, self._strategy, self._addresses)
        print(message, file=sys.stderr, flush=True)
        os._exit(WORKER_LOST)


def _message(error, strategy, addresses):
    resolver = strategy.cluster_resolver
    this = f"/job:{resolver.task_type}/task:{resolver.task_id}"
    named = re.findall(r"/job:\w+(?:/replica:0)?/task:\d+", str(error))
    named = {name.replace("/replica:0", "") for name in named} - {this}
    lost = [f"{name} at {addresses[name]}" for name in sorted(named)]
    return (
        f"{this} lost contact with {', '.join(lost) or 'another worker'}, "
        "which has ended or does not answer; its own output may say why. "
        f"This worker ends with status {WORKER_LOST}. "
        f"TensorFlow said: {type(error).__name__}: {error.message}"
    )
