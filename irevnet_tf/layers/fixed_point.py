"""Fixed-point arithmetic in floats, which makes an inverse exact.

Floats with 24 significant bits hold every multiple of 2**-b below a magnitude
of 2**(24 - b), and add and subtract them without rounding as long as the
result stays below it. What is added to a stream of such values can therefore
be subtracted without error.
"""

import functools

import keras
import tensorflow as tf

from irevnet_tf.layers.base import WeightlessLayer
from irevnet_tf.layers.base import is_integer
from irevnet_tf.layers.gradients import is_compiled
from irevnet_tf.layers.gradients import round_straight_through

SIGNIFICAND_BITS = {"float32": 24, "float64": 53}

# How the message of the error begins.
OUT_OF_RANGE = "The values in a lossless network must stay below"


def round_to_grid(x, fraction_bits):
    """Round to multiples of 2**-fraction_bits; the gradient passes through."""
    return round_straight_through(x, 2.0**fraction_bits)


def exact_limit(dtype: str, fraction_bits: int) -> float:
    """Return the magnitude below which `dtype` holds the whole grid."""
    return 2.0 ** (SIGNIFICAND_BITS[dtype] - fraction_bits)


def check_fraction_bits(value, dtype: str) -> int:
    """Return `value` as an int if `dtype` has that many bits, else raise."""
    if dtype not in SIGNIFICAND_BITS:
        raise ValueError(
            "`dtype` must be float32 or float64 where `fraction_bits` are "
            f"given. Received: dtype={dtype}"
        )
    bits = SIGNIFICAND_BITS[dtype]
    if not is_integer(value, 0) or value >= bits:
        raise ValueError(
            f"`fraction_bits` must be an integer from 0 to {bits - 1} for "
            f"streams of {dtype}. Received: fraction_bits={value!r}"
        )
    return int(value)


def common_fraction_bits(blocks) -> int | None:
    """Return the `fraction_bits` that all blocks have, or raise ValueError."""
    found = {block.fraction_bits for block in blocks}
    if len(found) > 1:
        raise ValueError(
            "`blocks` must all have the same `fraction_bits`. "
            f"Received: blocks with fraction_bits={sorted(found, key=str)}"
        )
    return found.pop()


class RangeCheck:
    """Collects values that must stay in the exact range.

    Args:
        dtype: str. The dtype of the values.
        fraction_bits: None or int. None for values that are not on a grid, of
            which nothing is collected.
    """

    def __init__(self, dtype, fraction_bits):
        self._fraction_bits = fraction_bits
        self._peaks = []
        if fraction_bits is not None:
            self._limit = exact_limit(dtype, fraction_bits)

    def see(self, x, more=0.0):
        """Note the largest magnitude in each image of a batch.

        Args:
            x: tensor (batch, ...). The values.
            more: float or scalar tensor. How much larger they may become.
        """
        if self._fraction_bits is not None:
            self._peaks.append(_peak(x) + more)

    # The same inside a loop, which passes on the peaks that it has seen.

    def no_peaks(self, x):
        """Return the peaks that a loop over tensors like `x` starts with."""
        if self._fraction_bits is None:
            return ()
        return (tf.zeros_like(_peak(x)),)

    def larger(self, peaks, x):
        """Return the peaks of a loop after it has seen `x` as well."""
        return tuple(tf.maximum(peak, _peak(x)) for peak in peaks)

    def note(self, peaks):
        """Take over the peaks of a finished loop."""
        self._peaks.extend(peaks)

    def guard(self, *tensors):
        """Return the tensors, or raise if a value seen was out of range.

        Raises:
            tf.errors.InvalidArgumentError: with the largest magnitude. XLA
                has no errors: there the tensors of the images concerned
                become NaN.
        """
        if self._fraction_bits is None:
            return tensors
        peaks = functools.reduce(tf.maximum, self._peaks)
        # A sum that was rounded is at the limit or above, never below. NaN is
        # not below it either.
        within = peaks < self._limit
        message = (
            f"{OUT_OF_RANGE} {self._limit:g} in magnitude: below it, floats "
            f"hold every multiple of 2**-{self._fraction_bits} and the inverse "
            "is exact. Scale the images down, lower the learning rate, or use "
            "fewer `fraction_bits`. "
            f"Received: fraction_bits={self._fraction_bits}, largest magnitude="
        )
        tf.debugging.Assert(
            tf.reduce_all(within), [message, tf.reduce_max(peaks)]
        )
        return tuple(nan_unless(within, x) for x in tensors)


def nan_unless(within, x):
    """Return x, with NaN for every image that is not within a range.

    Args:
        within: bool tensor (batch,). Which images are.
        x: float tensor (batch, ...). The values.
    """
    # 1 or NaN. A NaN constant in the graph would make
    # `tf.debugging.enable_check_numerics` complain.
    one = tf.ones(tf.shape(within), x.dtype)
    factor = tf.stop_gradient(tf.sqrt(tf.where(within, one, -one)))
    return x * tf.reshape(factor, [-1] + [1] * (x.shape.rank - 1))


def without_sign_of_zero(rounded, x):
    """Return `rounded` with +0 for -0, and the gradient that it has.

    The sign of a zero in a sum would depend on other zeros in it, which
    runtimes do not agree about. Adding 0 would do, but Grappler and others
    take that out.

    Args:
        rounded: float tensor. Values that are `x`, rounded.
        x: float tensor. The values before.
    """
    return tf.where(tf.equal(rounded, 0.0), x - tf.stop_gradient(x), rounded)


def _peak(x):
    magnitude = tf.abs(x)
    if is_compiled():
        # XLA's maximum leaves NaN out.
        magnitude = tf.where(tf.math.is_nan(x), x.dtype.max, magnitude)
    return tf.reduce_max(magnitude, axis=range(1, x.shape.rank))


# Files have it under its first name.
@keras.saving.register_keras_serializable("irevnet_tf", "FixedPoint")
class FixedPointRounding(WeightlessLayer):
    """Rounds to multiples of 2**-fraction_bits: the entrance of lossless mode.

    The inverse rounds as well, which does not change values that this layer
    returned. Both have the gradient of the identity.

    Example:

    >>> layer = irevnet_tf.layers.FixedPointRounding(2)
    >>> layer(tf.constant([[0.3, 0.9]])).numpy()
    array([[0.25, 1.  ]], dtype=float32)

    Args:
        fraction_bits: int from 0 to 23, or to 52 for float64. Values are off by
            at most 2**-(fraction_bits + 1), and must have a magnitude below
            2**(24 - fraction_bits), or 2**(53 - fraction_bits).

    Call arguments:
        inputs: float tensor. The values to round.

    Input shape:
        `(batch, ...)`, cast to the layer's dtype: float32 (float64 under a
        float64 policy).

    Output shape:
        Same as the input, in the layer's dtype.

    Raises:
        ValueError: if `fraction_bits` is out of range.
        tf.errors.InvalidArgumentError: when called on a larger magnitude.
            Under XLA it returns NaN for that image instead.
    """

    def __init__(self, fraction_bits: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.fraction_bits = check_fraction_bits(
            fraction_bits, self.compute_dtype
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_inverse_shape(self, output_shape):
        return output_shape

    def call(self, inputs):
        check = RangeCheck(self.compute_dtype, self.fraction_bits)
        check.see(inputs)
        (inputs,) = check.guard(inputs)
        return round_to_grid(inputs, self.fraction_bits)

    def inverse(self, outputs):
        return self.call(outputs)

    def get_config(self):
        return {**super().get_config(), "fraction_bits": self.fraction_bits}
