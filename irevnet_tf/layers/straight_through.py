"""Quantization of weights with the gradient of the identity."""

import tensorflow as tf

from irevnet_tf.layers.gradients import with_gradient
from irevnet_tf.layers.integer_arithmetic import EXACT_BITS


def quantized(
    kernel,
    shift,
    unit,
    *,
    largest_weight: int,
    largest_input: int,
    is_symmetric: bool,
    groups: int,
    group_unit: float,
    sum_bits: int,
) -> tuple:
    """Return the valid weights next to trained ones, for exact sums.

    Args:
        kernel: float tensor (side, side, inputs, outputs). The trained kernel.
        shift: float tensor (outputs,). The trained shift.
        unit: float tensor (outputs,). The power of two of which the weights of
            a channel are to be multiples.
        largest_weight: int. The largest magnitude of a weight, in units.
        largest_input: int. The largest input.
        is_symmetric: bool. Whether inputs may also be negative.
        groups: int. The groups of inputs that are added up separately.
        group_unit: float. To what the sums of groups are rounded, if there are
            several.
        sum_bits: int. Partial sums stay below 2**sum_bits units.

    Returns:
        The kernel, of integers times `unit`, and the shift, of odd multiples of
        half a unit where that is less than 1. Their gradients pass to `kernel`
        and `shift`.
    """
    limit = whole = 2.0**sum_bits
    shift_unit, margin = unit, 1.0
    if groups > 1:
        # Sums of groups, each off by half a unit, are added up in any order.
        shift_unit, margin = tf.maximum(unit, group_unit), 2.0 * groups
        whole = 2.0 ** (EXACT_BITS - 1)
    offset = shift / shift_unit
    # Halves, where the sum is rounded to more than its own unit.
    is_rounded = shift_unit < 1.0
    farthest = whole - margin - 1.0
    offset = tf.clip_by_value(offset, -farthest, farthest)
    offset = tf.where(is_rounded, tf.floor(offset) + 0.5, tf.round(offset))
    room = whole - tf.abs(offset) - margin

    def reach(integers):
        """Return the largest partial sum of each channel, 1 for too large."""
        parts = tf.reshape(
            integers, [*kernel.shape[:2], groups, -1, kernel.shape[3]]
        )
        signs = [tf.abs(parts)] if is_symmetric else [parts, -parts]
        sums = [tf.reduce_sum(tf.nn.relu(x), [0, 1, 3]) for x in signs]
        sums = largest_input * tf.stack(sums)
        total = tf.reduce_max(tf.reduce_sum(sums, 1), 0) * (unit / shift_unit)
        return tf.maximum(total / room, tf.reduce_max(sums, [0, 1]) / limit)

    integers = tf.clip_by_value(kernel / unit, -largest_weight, largest_weight)
    integers /= tf.maximum(reach(integers), 1.0)
    nearest = tf.round(integers)
    # What is cut off instead of rounded stays below what it was cut from.
    integers = tf.where(
        reach(nearest) < 1.0,
        nearest,
        tf.sign(integers) * tf.floor(tf.abs(integers)),
    )
    valid = [integers * unit, offset * shift_unit]
    valid = [tf.stop_gradient(x) for x in valid]
    return tuple(with_gradient(valid, [kernel, shift], lambda *dy: list(dy)))
