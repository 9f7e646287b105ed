"""match_logits: the least change of an image that gives it wanted logits."""

import numpy as np
import tensorflow as tf

from irevnet_tf.analysis.head import Head

# Limits of a step, in root mean squares of the image's values: the first one,
# and the one at which the search ends. The limit grows after steps that help,
# and shrinks after those that do not, which are undone.
_FIRST_STEP = 0.05
_LEAST_STEP = 1e-6
_ROUNDS = 60


def match_logits(
    head: Head,
    image: np.ndarray,
    wanted: np.ndarray,
    *,
    tolerance: float,
    batch_size: int,
) -> np.ndarray:
    """Move an image until the logits are those wanted, up to a constant.

    Gauss-Newton with a limit on the steps: each is the least step, in pixels,
    that would suffice in a linear network.

    Args:
        head: `Head`. The classifier.
        image: float array (height, width, channels). The image to move.
        wanted: float array (classes,). The wanted logits, of mean 0.
        tolerance: float. The norm of the difference at which to stop.
        batch_size: positive int. Classes at a time.

    Returns:
        float array (height, width, channels): the best that was found.
    """
    best, least, limit = image, np.inf, _FIRST_STEP
    x, step = image, None
    for _ in range(_ROUNDS):
        try:
            logits, jacobian = head.logits_and_jacobian(x, batch_size)
        except tf.errors.InvalidArgumentError:
            # Lossless streams have left their range.
            logits = np.full_like(wanted, np.nan)
        missing = wanted - centred(logits)
        difference = np.linalg.norm(missing)
        if difference < least:
            best, least = x, difference
            limit *= 2.0
            jacobian = centred(jacobian.astype("float64"), axis=0)
            # The least step, by a matrix of classes, not of pixels.
            inverse = np.linalg.pinv(
                jacobian @ jacobian.T, rcond=1e-12, hermitian=True
            )
            step = jacobian.T @ (inverse @ missing)
        else:
            limit /= 4.0  # Also for NaN.
        if least <= tolerance or limit < _LEAST_STEP or step is None:
            break
        length = np.sqrt(np.mean(step**2))
        part = min(1.0, limit / max(length, 1e-30))
        x = (best + part * step.reshape(best.shape)).astype(image.dtype)
    return best


def centred(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return logits less their mean, on which no probability depends."""
    return logits - np.mean(logits, axis=axis, keepdims=True)
