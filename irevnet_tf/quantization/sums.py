"""Sums: how large partial sums can get, in units of their last bit."""

import dataclasses

import keras
import numpy as np

from irevnet_tf.layers import IntegerPooling
from irevnet_tf.layers import IntegerResidual
from irevnet_tf.layers.integer_arithmetic import EXACT_BITS
from irevnet_tf.layers.integer_arithmetic import column_unit
from irevnet_tf.layers.integer_arithmetic import last_bit
from irevnet_tf.layers.integer_arithmetic import partial_sums
from irevnet_tf.layers.integer_residual import GROUP_BITS


@dataclasses.dataclass(frozen=True)
class Sums:
    """The largest partial sum of a layer, in any order, of any input.

    Attributes:
        name: str. The stage, the block and the convolution.
        bits: float. Its logarithm to base 2, in units of the channel's weights.
        channel: int. The output channel in which it is.
    """

    name: str
    bits: float
    channel: int

    def check(self) -> None:
        """Raise ValueError if floats cannot hold all sums exactly."""
        # Shifts are multiples of half a unit.
        if not self.bits < EXACT_BITS - 1:
            raise ValueError(
                f"All partial sums must stay below 2**{EXACT_BITS - 1} units "
                "of the weights, for floats to hold them exactly. Received: "
                f"2**{self.bits:.2f} in {self.name}, channel {self.channel}"
            )


def convolution_sums(name: str, residual: IntegerResidual) -> list[Sums]:
    """Return the sums of the three convolutions of a residual.

    Args:
        name: str. The stage and the block.
        residual: `IntegerResidual`. Its weights count as they are.

    Raises:
        ValueError: if weights are no integers of their bits times a power of
            two, other factors are no powers of two, F is not on the grid, or
            `reach` is exceeded.
    """
    found = []
    for index, pair in enumerate(residual.valid_weights()):
        place = f"{name}/conv{index + 1}"
        kernel, shift = (x.numpy() for x in pair)
        unit = column_unit(kernel)
        integers = np.ldexp(kernel.astype("float64"), -unit)
        _check_weights(place, integers, residual.weight_bits)
        low, high = (
            residual.first_range
            if index == 0
            else (0, residual.largest_activation)
        )
        sums = _of_groups(integers, low, high, residual.groups[index])
        if residual.groups[index] > 1:
            # Rounded sums are added up in other units.
            places = 2.0 ** GROUP_BITS[index]
            rounded = sums * residual.groups[index] * np.ldexp(1.0, unit)
            total = rounded * places + residual.groups[index]
            shifts = np.abs(shift) * places
            found.append(_largest(f"{place} (groups)", total + shifts))
            _check_shifts(place, shift, -GROUP_BITS[index] - 1)
        else:
            # In half the unit of the shift, where that is less.
            less = np.minimum(last_bit(shift) + 1 - unit, 0)
            shifts = np.abs(np.ldexp(shift.astype("float64"), -unit))
            sums = np.ldexp(sums + shifts, -less)
        found.append(_largest(place, sums))
    _check_powers(name, residual)
    least, largest = residual.range_of_output()
    reach = max(np.max(np.abs(least)), np.max(np.abs(largest)))
    if not reach <= float(residual.reach):
        raise ValueError(
            "`reach` of an integer residual must be at least what F can be, "
            f"{reach:g}. Received: reach={float(residual.reach):g} in {name}"
        )
    return found


def dense_sums(pool: IntegerPooling, dense: keras.layers.Dense) -> Sums:
    """Return the sums of the logits of an integer head.

    Args:
        pool: `IntegerPooling`. What the logits are computed from.
        dense: Keras `Dense`. The layer of the logits.
    """
    kernel = dense.kernel.numpy()
    bias = dense.bias.numpy() if dense.use_bias else np.zeros(dense.units)
    unit = np.minimum(column_unit(kernel), last_bit(bias))
    inputs = np.full(len(kernel), float(pool.largest_output))
    least, largest = partial_sums(kernel, 0 * inputs, inputs)
    sums = np.maximum(-least, largest) + np.abs(bias)
    return _largest(dense.name, np.ldexp(sums, -unit))


def _largest(place, sums):
    channel = int(np.argmax(sums))
    return Sums(place, float(np.log2(max(sums[channel], 1.0))), channel)


def _of_groups(integers, low, high, groups):
    """Return the largest partial sum of each output channel."""
    parts = np.split(integers, groups, axis=2)
    ones = np.ones(parts[0].shape[2])
    sums = [partial_sums(part, low * ones, high * ones) for part in parts]
    return np.max([np.maximum(-a, b) for a, b in sums], axis=0)


def _check_weights(place, integers, bits):
    largest = np.abs(integers).reshape(-1, integers.shape[-1]).max(axis=0)
    if np.any(largest > 2 ** (bits - 1) - 1):
        channel = int(np.argmax(largest))
        raise ValueError(
            f"The weights of {place} must be integers of {bits} bits times a "
            f"power of two. Received: {largest[channel]:g} units in channel "
            f"{channel}"
        )


def _check_shifts(place, shift, unit):
    found = last_bit(shift)
    if np.any(found < unit):
        channel = int(np.argmin(found))
        raise ValueError(
            f"The shifts of {place} must be multiples of 2**{unit}. Received: "
            f"shift={shift[channel]!r} in channel {channel}"
        )


def _check_powers(name, residual):
    for of in ("scale0", "step"):
        values = getattr(residual, of).numpy()
        fractions = np.abs(np.frexp(values)[0])
        if not np.all(np.isin(fractions, (0.0, 0.5))):
            channel = int(np.argmin(np.isin(fractions, (0.0, 0.5))))
            raise ValueError(
                f"`{of}` of an integer residual must be powers of two. "
                f"Received: {of}={values[channel]!r} in {name}, channel "
                f"{channel}"
            )
    step = residual.step.numpy()
    if np.any(last_bit(step) < -residual.fraction_bits):
        raise ValueError(
            f"F must be a multiple of 2**-{residual.fraction_bits}. Received: "
            f"step={step.min()!r} in {name}"
        )
