"""From a trained residual to one of integers, calibrated on its inputs."""

import functools

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import IntegerResidual
from irevnet_tf.layers.integer_residual import GROUP_UNITS
from irevnet_tf.layers.integer_residual import MOST_GROUPS
from irevnet_tf.quantization.batches import in_batches
from irevnet_tf.quantization.bits import Bits
from irevnet_tf.quantization.sums import reach_of
from irevnet_tf.quantization.sums import sums_of_groups
from irevnet_tf.quantization.thresholds import Threshold
from irevnet_tf.quantization.thresholds import best_range
from irevnet_tf.quantization.thresholds import sample
from irevnet_tf.quantization.thresholds import squared_error


def quantize_residual(
    residual: BottleneckResidual, x2: np.ndarray, bits: Bits
) -> IntegerResidual:
    """Return the integer residual that is next to a trained one.

    The threshold of BatchNorm and ReLU becomes a shift; its gain goes into the
    weights of the next convolution before these are rounded. The shift of a
    convolution is corrected so that its mean is that of the trained one.

    Args:
        residual: `BottleneckResidual`. Trained; it is left as it is.
        x2: float32 array (images, height, width, channels). What it takes, for
            the images of the calibration.
        bits: `Bits`. How many bits there are.
    """
    norms = [
        Threshold.of(layer)
        for layer in residual.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    kernels = [
        layer.kernel.numpy().astype("float64")
        for layer in residual.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    made = IntegerResidual(
        residual.filters,
        stride=residual.stride,
        kernel_sizes=residual.kernel_sizes,
        bottleneck_ratio=residual.bottleneck_ratio,
        preactivation=residual.preactivation,
        weight_bits=bits.weight_bits,
        activation_bits=bits.activation_bits,
        sum_bits=bits.sum_bits,
        fraction_bits=bits.fraction_bits,
        name=residual.name,
    )
    made.build((None, *x2.shape[1:]))
    if residual.preactivation:
        gain = _set_entrance(made, norms.pop(0), x2, bits)
    else:
        gain = _set_bare_entrance(made, x2, bits)
    a = in_batches(made.first_activation, x2)
    for index, kernel in enumerate(kernels):
        y = in_batches(functools.partial(_trained, residual, index), x2)
        if index < 2:
            norm = norms[index]
            gain = _set_inner(made, index, kernel, gain, norm, a, y, bits)
            a = in_batches(functools.partial(_activations, made, index), a)
        else:
            _set_last(made, kernel, gain, a, y, bits)
    made.reach.assign(reach_of(made))
    return made


def _trained(residual, index, x):
    """Return what the trained residual's convolution of an index returns."""
    found = -1
    for layer in residual.layers:
        x = layer(x, training=False)
        found += isinstance(layer, keras.layers.Conv2D)
        if found == index:
            return tf.cast(x, "float32")
    raise AssertionError(index)


def _activations(made, index, a):
    """Return the activations behind a convolution of integers."""
    weights = made.valid_weights()[index]
    return made.activate(made.convolve(a, index, *weights))


def _set_entrance(made, norm, x2, bits):
    """Set `scale0` and `shift0`; return the gain of every input channel."""
    values = sample(x2)
    excess = norm.excess(values)
    largest, grid = bits.largest_activation, 2.0**bits.fraction_bits
    is_constant = (values.max(axis=0) == values.min(axis=0)) | (norm.gain == 0)
    value = np.where(
        norm.gain == 0, norm.constant, norm.gain * excess.max(axis=0)
    )
    peaks = np.maximum(excess.max(axis=0), 1.0 / grid)
    first = np.floor(np.log2(largest / peaks))
    # At least half a step of activations to the next step of the grid, so that
    # the threshold, half a step of the grid, is never met.
    options = np.minimum(
        np.stack([first, first + 1, first + 2]), bits.fraction_bits - 1
    )
    errors = [squared_error(excess, 0.5**x, largest) for x in options]
    power = options[np.argmin(errors, axis=0), np.arange(len(first))]
    scale = norm.sign * 2.0**power
    threshold = (np.floor(norm.threshold * grid) + 0.5) / grid
    # No threshold lies beyond what streams can be.
    threshold = np.clip(threshold, -(2.0**24) / grid, 2.0**24 / grid)
    made.scale0.assign(np.where(is_constant, 0.0, scale))
    constant = np.where(value > 0, float(largest), 0.0)
    made.shift0.assign(np.where(is_constant, constant, 0.5 - scale * threshold))
    return np.where(is_constant, value / largest, norm.gain * 0.5**power)


def _set_bare_entrance(made, x2, bits):
    """Set `scale0` where F begins with a convolution; return the gains."""
    values = sample(x2)
    least, largest = made.first_range
    peaks = np.abs(values).max(axis=0)
    first = np.floor(np.log2(largest / np.where(peaks > 0, peaks, 1.0)))
    options = np.minimum(np.stack([first, first + 1]), bits.fraction_bits - 1)
    errors = [squared_error(values, 0.5**x, largest, least) for x in options]
    power = options[np.argmin(errors, axis=0), np.arange(len(first))]
    made.scale0.assign(np.where(peaks > 0, 2.0**power, 0.0))
    made.shift0.assign(np.where(peaks > 0, 0.5, 0.0))
    return np.where(peaks > 0, 0.5**power, 0.0)


def _set_inner(made, index, kernel, gain, norm, a, y, bits):
    """Set a convolution before a threshold; return the gain behind it."""
    weights = kernel * gain[:, None]
    largest = bits.largest_activation
    excess = norm.excess(sample(y))
    peaks = best_range(excess, largest)
    heaviest = np.abs(weights).max(axis=(0, 1, 2))
    lives = (heaviest > 0) & (norm.gain > 0) & (peaks > 0)
    heaviest = np.where(lives, heaviest, 1.0)
    step = np.where(lives, peaks, 1.0) / largest
    scale = np.where(lives, bits.largest_weight / heaviest, 0.0)

    def rounded(scale):
        """Return a scale's power of two, itself next to it, and weights."""
        power = np.floor(np.log2(np.where(lives, scale, 1.0) * step) + 0.25)
        power = np.maximum(power, 1.0)
        scale = np.minimum(scale, 2.0**power / step)
        return power, scale, np.rint(weights * scale * norm.sign)

    def too_large(scale):
        power, scale, integers = rounded(scale)
        sums = _largest_sum(made, index, integers, made.groups[index])
        # The shift is that of the threshold, and 1/2.
        sums += np.abs(scale * norm.threshold) + 2.0 ** (power - 1) + 2
        return scale, sums / bits.room

    _split_groups(made, index, rounded(scale)[2], bits)
    scale = _shrunk(scale, too_large)
    power, scale, integers = rounded(scale)
    unit = np.where(lives, 0.5**power, _unit_without_weights(made, index))
    _set_kernel(made, index, integers, unit)
    threshold = scale * norm.sign * norm.threshold * unit
    # The mean of the sums is to be that of the trained ones.
    shift = scale * norm.sign * _channel_mean(y) * unit
    shift -= _mean(made, index, a)
    shift = _corrected(-threshold, shift, made, index, bits)
    constant = np.where(norm.gain == 0, norm.constant, 0.0)
    on = np.where(constant > 0, float(largest), 0.0)
    made.shifts[index].assign(np.where(lives, shift, on + 0.5))
    behind = norm.gain * 2.0**power / np.where(lives, scale, 1.0)
    return np.where(lives, behind, constant / largest)


def _set_last(made, kernel, gain, a, y, bits):
    """Set the last convolution, whose scale is a power of two."""
    weights = kernel * gain[:, None]
    heaviest = np.abs(weights).max(axis=(0, 1, 2))
    lives = heaviest > 0
    power = np.floor(
        np.log2(bits.largest_weight / np.where(lives, heaviest, 1.0))
    )
    # Smaller weights would add up to less than a step of the grid.
    power = np.minimum(power, bits.fraction_bits + bits.sum_bits)
    scale = np.where(lives, 2.0**power, 0.0)
    grid = 2.0**bits.fraction_bits

    def too_large(scale):
        integers = np.rint(weights * scale)
        sums = _largest_sum(made, 2, integers, made.groups[2])
        # The shift is 1/2, which the means then correct, also in units above 1.
        excess = (sums + scale / grid / 2 + 2) / bits.room
        whole = bits.room / bits.room_of_integers * grid
        return scale, excess * np.maximum(
            whole / np.where(scale > 0, scale, whole), 1.0
        )

    _split_groups(made, 2, np.rint(weights * scale), bits)
    scale = _shrunk(scale, too_large, halves=True)
    unit = grid / np.where(lives, scale, grid)
    unit = np.where(lives, unit, _unit_without_weights(made, 2))
    _set_kernel(made, 2, np.rint(weights * scale), unit)
    shift = _channel_mean(y) * scale * unit - _mean(made, 2, a)
    shift = _corrected(0.0, shift, made, 2, bits)
    made.shifts[2].assign(np.where(lives, shift, 0.5))


def _unit_without_weights(made, index):
    """Return the unit of channels of zeros: that of their sums is 1."""
    return 1.0 / GROUP_UNITS if made.groups[index] > 1 else 1.0


def _set_kernel(made, index, integers, unit):
    """Set a kernel, and its shift to 0."""
    # Zeros without a sign, which files do not keep.
    made.kernels[index].assign(integers * unit + 0.0)
    made.set_unit(index, unit)
    made.shifts[index].assign(np.zeros(len(unit)))


def _corrected(shift, correction, made, index, bits):
    """Return a shift with what corrects the mean, where it may be.

    Args:
        shift: float64 array (outputs,). What follows from the threshold.
        correction: float64 array (outputs,). What is to be added.
        made: `IntegerResidual`. The layer.
        index: int. Which of its convolutions.
        bits: `Bits`. How many bits there are.
    """
    # What was left free when the weights were scaled.
    limit = bits.slack * np.minimum(made.units[index].numpy(), 1.0)
    shift = shift + np.clip(correction, -limit, limit)
    unit = made.sum_unit(index).numpy().astype("float64")
    # `floor` is to round to the nearest, and half an integer from the next one.
    shift = (np.floor((shift + 0.5) / unit) + 0.5) * unit
    is_whole = (unit > 1) & (made.groups[index] == 1)
    return np.where(is_whole, shift + 0.5, shift)


def _shrunk(scale, too_large, halves=False):
    """Return scales made smaller until their sums are not too large.

    Args:
        scale: float64 array (outputs,). The largest scales.
        too_large: function. Takes scales; returns those that are used instead,
            and how many times too large their sums are.
        halves: bool. Whether scales are powers of two.
    """
    for _ in range(64):
        used, excess = too_large(scale)
        if np.all(excess <= 1):
            return scale
        factor = 0.5 if halves else 0.998 / np.maximum(excess, 1.0)
        scale = np.where(excess > 1, used * factor, scale)
    raise ValueError(
        "`sum_bits` must leave room for weights and thresholds of this size. "
        f"Received: sums {float(excess.max()):.2f} times too large"
    )


def _split_groups(made, index, integers, bits):
    """Choose in how many groups to add up, if that is to be done."""
    if bits.overflow != "split":
        return
    inputs, groups = integers.shape[2], 1
    while (
        _largest_sum(made, index, integers, groups).max() > bits.room / 2
        and inputs % (2 * groups) == 0
        and groups < MOST_GROUPS
    ):
        groups *= 2
    made.groups = (
        *made.groups[:index],
        groups,
        *made.groups[index + 1 :],
    )


def _largest_sum(made, index, integers, groups):
    """Return the largest partial sum of each output channel, of any input."""
    low, high = made.first_range if index == 0 else (0, made.largest_activation)
    return sums_of_groups(integers, low, high, groups)


def _mean(made, index, a):
    """Return the mean of every channel of a convolution of integers."""
    weights = made.valid_weights()[index]
    return _channel_mean(
        in_batches(lambda a: made.convolve(a, index, *weights), a)
    )


def _channel_mean(x):
    return x.reshape(-1, x.shape[-1]).mean(axis=0, dtype="float64")
