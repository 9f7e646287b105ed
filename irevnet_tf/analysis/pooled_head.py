"""least_change of a representation that gives a pooled head wanted means."""

import numpy as np


def least_change(representation, factor, shift, wanted) -> np.ndarray:
    """Move a representation until its pooled activations are those wanted.

    The head sees the mean over the positions of `relu(factor * z + shift)`,
    channel by channel. Of all z' with the wanted means, this is one with the
    least `||z' - z||`.

    Args:
        representation: float array (height, width, channels). The z to move.
        factor: float array (channels,). Where it is 0, nothing can change.
        shift: float array (channels,). It is added to `factor * z`.
        wanted: float array (channels,). The wanted means, 0 or more.

    Returns:
        float64 array (height, width, channels).
    """
    z = representation.astype("float64")
    height, width, channels = z.shape
    factor, shift = factor.astype("float64"), shift.astype("float64")
    u = (z * factor + shift).reshape(-1, channels)
    total = np.maximum(wanted.astype("float64"), 0.0) * len(u)
    falls = np.sum(np.maximum(u, 0.0), axis=0) >= total
    moved = np.where(falls, _lowered(u, total), _raised(u, total))
    divisor = np.where(factor == 0.0, 1.0, factor)
    changed = (moved - shift) / divisor
    changed = np.where(factor == 0.0, z.reshape(-1, channels), changed)
    return changed.reshape(height, width, channels)


def _lowered(u, total):
    """Return the nearest u' whose positive parts add up to less.

    Positive values fall by the same amount, or to zero: a projection onto a
    simplex in every channel.
    """
    order = -np.sort(-np.maximum(u, 0.0), axis=0)
    count = np.arange(1, len(u) + 1)[:, None]
    amounts = (np.cumsum(order, axis=0) - total) / count
    last = np.sum(order > amounts, axis=0) - 1
    amount = np.take_along_axis(amounts, np.maximum(last, 0)[None], axis=0)
    return np.where(u > 0.0, np.maximum(u - amount, 0.0), u)


def _raised(u, total):
    """Return the nearest u' whose positive parts add up to more.

    Positive values rise by the same amount, and so do the k largest of the
    others, if the total change is then smaller: their cost of becoming
    positive is less than the change that they save the rest.
    """
    order = -np.sort(-u, axis=0)
    count = np.arange(1, len(u) + 1)[:, None]
    amounts = (total - np.cumsum(order, axis=0)) / count
    # The k largest include all positive values: fewer would cost more.
    allowed = order + amounts >= 0.0
    costs = np.where(allowed, count * amounts**2, np.inf)
    best = np.argmin(costs, axis=0)[None]
    amount = np.take_along_axis(amounts, best, axis=0)
    # By rank, since values may be equal.
    ranks = np.argsort(np.argsort(-u, axis=0, kind="stable"), axis=0)
    return np.where(ranks <= best, u + amount, u)
