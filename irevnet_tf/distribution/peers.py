"""Ends a worker whose training has lost another one."""

import os
import re
import sys

import tensorflow as tf

from irevnet_tf.distribution.workers import worker_addresses

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


class PeerWatch:
    """Ends the process, with a clear message, if another worker is lost.

    A context manager to be put around training. TensorFlow notices in a
    collective operation that another worker has died (at once) or does not
    answer (after 10 seconds), and raises an error that says little, after which
    leaving Python can take as long again. This writes to standard error which
    worker it was, and ends the process with status `WORKER_LOST`, at once and
    without cleaning up, so that whatever started the workers can start them
    again. Other errors pass. Does nothing if there is one worker.

    >>> with PeerWatch(strategy):
    ...     model.fit(data)

    Args:
        strategy: the `tf.distribute.Strategy` of the training.
    """

    def __init__(self, strategy):
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
