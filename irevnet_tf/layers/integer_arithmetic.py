"""Integers in floats: what a sum of products needs to be exact in any order.

Floats hold integers below 2**24 exactly, and multiples of a power of two alike.
If all partial sums of products stay below that, no sum is ever rounded, so that
neither its order nor fused operations matter: every runtime finds the same
bits.
"""

import numpy as np

from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.base import is_integer

# How many bits the sums of a float32 convolution may have.
EXACT_BITS = 24
# Numbers of bits beyond which nothing fits into float32.
MOST_BITS = 16
# The last bit of zero, which is a multiple of everything.
NO_BIT = 1000


def last_bit(values: np.ndarray) -> np.ndarray:
    """Return the exponent of the last bit that is set in each float32.

    Args:
        values: float array. Finite values, in the precision of float32.

    Returns:
        int array of the same shape: the largest e for which a value is a
        multiple of 2**e; `NO_BIT` for zeros.
    """
    fractions, exponents = np.frexp(np.asarray(values, "float32"))
    integers = np.ldexp(fractions, EXACT_BITS).astype("int64")
    lowest = np.frexp((integers & -integers).astype("float64"))[1] - 1
    found = exponents - EXACT_BITS + lowest
    return np.where(integers == 0, NO_BIT, found)


def column_unit(kernel: np.ndarray) -> np.ndarray:
    """Return the exponent of the unit of every output channel of a kernel.

    Args:
        kernel: float array (..., outputs). The weights.

    Returns:
        int array (outputs,): the weights of a channel are integers times 2 to
        the power of it; 0 for a channel of zeros.
    """
    bits = last_bit(kernel).reshape(-1, kernel.shape[-1]).min(axis=0)
    return np.where(bits == NO_BIT, 0, bits)


def partial_sums(
    kernel: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far sums of some of the products can reach, in any order.

    Args:
        kernel: float array (..., inputs, outputs). The weights.
        low: float array (inputs,). The least value of every input, 0 or less.
        high: float array (inputs,). The largest one, 0 or more.

    Returns:
        Two float64 arrays (outputs,): the least sum, 0 or less, and the
        largest, 0 or more.
    """
    kernel = np.asarray(kernel, "float64")
    kernel = kernel.reshape(-1, *kernel.shape[-2:])
    positive = np.maximum(kernel, 0.0).sum(axis=0)
    negative = np.minimum(kernel, 0.0).sum(axis=0)
    largest = high @ positive + low @ negative
    least = low @ positive + high @ negative
    return least, largest


def check_bits(name: str, value, most: int = MOST_BITS) -> int:
    """Return a number of bits as an int, or raise ValueError."""
    if not is_integer(value, 2) or value > most:
        raise ValueError(
            f"`{name}` must be an integer from 2 to {most}. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def check_groups(groups):
    """Return three numbers of groups as a tuple, or raise ValueError."""
    found = tuple(groups) if np.iterable(groups) else ()
    found = tuple(check_positive_int("groups", x) for x in found)
    if len(found) != 3:
        raise ValueError(
            "`groups` must be three positive integers. "
            f"Received: groups={groups}"
        )
    return found
