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
    shift_unit,
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
        shift_unit: float tensor (outputs,). The power of two of which the sums
            are multiples.
        sum_bits: int. Partial sums stay below 2**sum_bits units.

    Returns:
        The kernel, of integers times `unit`, and the shift, an odd multiple of
        half of `shift_unit`. Their gradients pass to `kernel` and `shift`.
    """
    limit = 2.0**sum_bits
    # Not beyond what a sum may reach: there it makes no difference.
    offset = tf.clip_by_value(shift / shift_unit, -limit / 2, limit / 2 - 1.0)
    offset = tf.floor(offset) + 0.5
    # Of several groups, the shift is added to what is left of their sums.
    room = limit - 1.0 - (tf.abs(offset) if groups == 1 else 0.0)

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
    cut = tf.sign(integers) * tf.floor(tf.abs(integers))
    integers = tf.where(reach(nearest) < room, nearest, cut)
    valid = [integers * unit, offset * shift_unit]
    valid = [tf.stop_gradient(x) for x in valid]
    return tuple(with_gradient(valid, [kernel, shift], lambda *dy: list(dy)))
