"""The warning about inexact rebuilt inputs in a backward pass.

In floats an inverse returns its input up to rounding. A network whose streams
explode multiplies that rounding from block to block, until the backward pass
works on noise. Its gradients are then wrong, and the loss does not show it.
"""

import functools
import math
import warnings
import weakref

import tensorflow as tf

from irevnet_tf.layers.gradients import is_compiled

ACTIONS = ("warn", "raise", "ignore")

# Relative error of the rebuilt inputs above which gradients are in doubt.
# The gradient's error is a tenth to a fifth of it (`benchmarks/drift.py`).
LIMIT = 1e-3

# Values of an image that are compared, taken from all over it. Keeping the
# whole input of every sequence would cost the memory that is to be saved.
SAMPLES = 256

# The graphs, or layers in eager steps, that have given a warning.
_warned = weakref.WeakSet()


class RebuiltInputsWarning(UserWarning):
    """The gradients of a memory-saving step are inexact."""


def check_action(on_drift: str) -> str:
    """Return `on_drift` if it is one of `ACTIONS`, else raise ValueError."""
    if on_drift not in ACTIONS:
        raise ValueError(
            "`on_drift` must be 'warn', 'raise' or 'ignore'. "
            f"Received: on_drift={on_drift!r}"
        )
    return on_drift


class DriftCheck:
    """Compares a sample of rebuilt inputs with the real ones.

    Args:
        inputs: list of tensors, batch first. The real inputs.
        layer: `ReversibleSequence`. The layer that they enter. Its `on_drift`
            is what to do if they are far apart.
    """

    def __init__(self, inputs, layer):
        self._samples = list(map(_sample, inputs))
        self._layer = weakref.ref(layer)
        self._on_drift = layer.on_drift
        self._message = (
            f"The inputs that {layer.name} rebuilds in its backward pass are "
            "not those of the forward pass: its streams grow so much that "
            "their rounding errors do, and its gradients are wrong by about a "
            "tenth as much. Normalise inside of the residuals, "
            "scale their last layers down, use `fraction_bits` (lossless) or "
            "`memory_saving=False`. If no stream grows, a residual computes "
            "something else the second time. Received: relative error of the "
            "rebuilt inputs="
        )

    def compare(self, rebuilt):
        """Warn or raise if `rebuilt` differs too much from the inputs.

        Returns:
            A tensor whose computation does so, for `tf.control_dependencies`.
        """
        differences = [
            _sample(x) - sample
            for x, sample in zip(rebuilt, self._samples, strict=True)
        ]
        size = _norm(self._samples)
        error = tf.math.divide_no_nan(_norm(differences), size)
        # The loss shows a forward pass that is not finite.
        drifts = tf.math.is_finite(size) & ~(error <= LIMIT)
        if self._on_drift == "raise":
            with tf.control_dependencies(
                [tf.debugging.Assert(~drifts, [self._message, error])]
            ):
                return tf.identity(error)
        if tf.executing_eagerly():
            if drifts:
                _warn_once(self._layer, self._message, error)
            return error
        if is_compiled():
            return error
        # TensorFlow keeps a function that a graph calls for ever, so it must
        # not hold on to anything.
        graph = weakref.ref(tf.compat.v1.get_default_graph())
        warn = functools.partial(_warn_once, graph, self._message)
        return tf.cond(
            drifts,
            lambda: tf.numpy_function(warn, [error], tf.bool),
            lambda: True,
        )


def _warn_once(key, message, error):
    """Warn of the first error in a graph, for all sequences of a model.

    Args:
        key: weak reference. To the graph or, of an eager step, to the layer.
        message: str. The message without the number.
        error: array or tensor. The number.

    Returns:
        True, since TensorFlow asks for a value.
    """
    if key() is None or key() not in _warned:
        if key() is not None:
            _warned.add(key())
        warnings.warn(
            f"{message}{float(error):.1e}", RebuiltInputsWarning, stacklevel=2
        )
    return True


def _sample(x):
    """Return up to `SAMPLES` values of each image, or a few more."""
    if None in x.shape[1:]:
        size = tf.reduce_prod(tf.shape(x)[1:])
        stride = tf.maximum(size // SAMPLES, 1)
    else:
        size = math.prod(x.shape[1:])
        stride = max(size // SAMPLES, 1)
    return tf.reshape(x, [-1, size])[:, ::stride]


def _norm(tensors):
    # In half precision the sum would overflow.
    tensors = [tf.cast(x, "float32") for x in tensors]
    return tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(x)) for x in tensors]))
