"""Quantization of weights with the gradient of the identity."""

import tensorflow as tf

from irevnet_tf.layers.gradients import with_gradient


def trained_scales(residual, index: int) -> tuple:
    """Return what trained kernels and shifts are to be multiplied by.

    Trained variables are of the order of 1, so that optimizers need no other
    learning rates than for other networks.

    Args:
        residual: `IntegerResidual`. The layer.
        index: int. Which of its convolutions.
    """
    unit = tf.convert_to_tensor(residual.units[index])
    bits = residual.fraction_bits if index == 2 else residual.activation_bits
    return unit * 2.0 ** (residual.weight_bits - 1), 2.0**bits


def valid_pair(residual, index: int, kernel, shift) -> tuple:
    """Return the valid kernel and shift next to trained ones.

    Args:
        residual: `IntegerResidual`. The layer.
        index: int. Which of its convolutions.
        kernel: float tensor (side, side, inputs, outputs). Trained.
        shift: float tensor (outputs,). Trained.
    """
    low, high = residual.first_range if index == 0 else (0, 1)
    kernel_scale, shift_scale = trained_scales(residual, index)
    unit, per_unit = (
        tf.convert_to_tensor(x[index])
        for x in (residual.units, residual.per_unit)
    )
    limit, half = 2.0**residual.sum_bits, 0.0
    if residual.groups[index] == 1:
        # Half an integer from the next one, for which sums are to be smaller.
        half = tf.where(unit > 1.0, 0.5, 0.0)
        limit = tf.minimum(limit, (2.0**23 - 1.0) * per_unit)
    integers, offset = quantized(
        kernel * kernel_scale * per_unit,
        shift * shift_scale * residual.per_sum_unit(index),
        largest_weight=2 ** (residual.weight_bits - 1) - 1,
        largest_input=high if index == 0 else residual.largest_activation,
        is_symmetric=low < 0,
        groups=residual.groups[index],
        limit=limit,
    )
    return integers * unit, offset * residual.sum_unit(index) + half


def quantized(
    kernel,
    shift,
    *,
    largest_weight: int,
    largest_input: int,
    is_symmetric: bool,
    groups: int,
    limit,
) -> tuple:
    """Return the valid integers next to trained weights, for exact sums.

    Args:
        kernel: float tensor (side, side, inputs, outputs). The trained kernel,
            in units.
        shift: float tensor (outputs,). The trained shift, in units of sums.
        largest_weight: int. The largest magnitude of a weight.
        largest_input: int. The largest input.
        is_symmetric: bool. Whether inputs may also be negative.
        groups: int. The groups of inputs that are added up separately.
        limit: float or float tensor (outputs,). What partial sums stay below.

    Returns:
        The kernel, of integers, and the shift, of integers and a half. Their
        gradients pass to `kernel` and `shift`.
    """
    # Of several groups, half is left for what their sums add up to.
    farthest = limit - 2.0 if groups == 1 else limit / 2
    offset = tf.floor(tf.clip_by_value(shift, -farthest, farthest - 1.0)) + 0.5
    room = limit - 1.0 - (tf.abs(offset) if groups == 1 else 0.0)

    def reach(integers):
        """Return the largest partial sum of each output channel."""
        parts = tf.reshape(
            integers, [*kernel.shape[:2], groups, -1, kernel.shape[3]]
        )
        signs = [tf.abs(parts)] if is_symmetric else [parts, -parts]
        sums = [tf.reduce_sum(tf.nn.relu(x), [0, 1, 3]) for x in signs]
        return largest_input * tf.reduce_max(tf.stack(sums), [0, 1])

    integers = tf.clip_by_value(kernel, -largest_weight, largest_weight)
    # A little less, for the rounding of all this.
    most = room * (1.0 - 2.0**-18)
    integers *= tf.minimum(1.0, most / tf.maximum(reach(integers), 1.0))
    nearest = tf.round(integers)
    # What is cut off instead of rounded stays below what it was cut from.
    cut = tf.sign(integers) * tf.floor(tf.abs(integers))
    integers = tf.where(reach(nearest) < room, nearest, cut)
    valid = [tf.stop_gradient(x) for x in (integers, offset)]
    return tuple(with_gradient(valid, [kernel, shift], lambda *dy: list(dy)))
