"""Functions of many images, computed some at a time."""

from collections.abc import Callable

import numpy as np

# Values that are held at a time, in a batch of activations.
BATCH_VALUES = 2**23


def in_batches(function: Callable, *arrays: np.ndarray) -> np.ndarray:
    """Return `function` of arrays, computed some images at a time."""
    size = max(1, BATCH_VALUES // max(x[0].size for x in arrays))
    parts = [
        np.asarray(function(*(x[start : start + size] for x in arrays)))
        for start in range(0, len(arrays[0]), size)
    ]
    return np.concatenate(parts)
