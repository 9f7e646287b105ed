"""Quantization of weights with the gradient of the identity."""

import tensorflow as tf

from irevnet_tf.layers.gradients import with_gradient


def quantized(
    kernel,
    shift,
    unit,
    *,
    largest_weight: int,
    largest_input: int,
    is_symmetric: bool,
    groups: int,
    shift_unit: float | None,
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
        shift_unit: None or float. The unit of the shift; None for that of the
            weights.
        sum_bits: int. Partial sums stay below 2**sum_bits units.

    Returns:
        The kernel, of integers times `unit`, and the shift, of odd multiples of
        half a unit where that is less than 1. Their gradients pass to `kernel`
        and `shift`.
    """
    limit = 2.0**sum_bits
    shift_unit = unit if shift_unit is None else shift_unit
    offset = shift / shift_unit
    # Halves, where the sum is rounded to more than its own unit.
    is_rounded = shift_unit < 1.0
    offset = tf.where(is_rounded, tf.floor(offset) + 0.5, tf.round(offset))
    offset = tf.clip_by_value(offset, -limit / 2 + 0.5, limit / 2 - 0.5)
    room = limit - tf.abs(offset) - 1.0

    def reach(integers):
        """Return the largest partial sum of each output channel."""
        parts = tf.reshape(
            integers, [*kernel.shape[:2], groups, -1, kernel.shape[3]]
        )
        signs = [tf.abs(parts)] if is_symmetric else [parts, -parts]
        sums = [tf.reduce_sum(tf.nn.relu(x), [0, 1, 3]) for x in signs]
        return largest_input * tf.reduce_max(tf.stack(sums), [0, 1])

    integers = tf.clip_by_value(kernel / unit, -largest_weight, largest_weight)
    integers *= tf.minimum(1.0, room / tf.maximum(reach(integers), 1.0))
    nearest = tf.round(integers)
    # What is cut off instead of rounded stays below what it was cut from.
    integers = tf.where(
        reach(nearest) < room,
        nearest,
        tf.sign(integers) * tf.floor(tf.abs(integers)),
    )
    valid = [integers * unit, offset * shift_unit]
    valid = [tf.stop_gradient(x) for x in valid]
    return tuple(with_gradient(valid, [kernel, shift], lambda *dy: list(dy)))
