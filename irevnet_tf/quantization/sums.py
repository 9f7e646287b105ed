"""Sums: how large partial sums can get, in units of their last bit."""

import dataclasses
import math

import keras
import numpy as np

from irevnet_tf.layers import IntegerPooling
from irevnet_tf.layers import IntegerResidual
from irevnet_tf.layers import PixelRange
from irevnet_tf.layers.integer_arithmetic import EXACT_BITS
from irevnet_tf.layers.integer_arithmetic import column_unit
from irevnet_tf.layers.integer_arithmetic import last_bit
from irevnet_tf.layers.integer_arithmetic import partial_sums
from irevnet_tf.layers.integer_residual import GROUP_UNITS


@dataclasses.dataclass(frozen=True)
class Sums:
    """The largest partial sum of a layer, in any order, of any input.

    Attributes:
        name: str. The stage, the block and the convolution.
        bits: float. Its logarithm to base 2, in units of the channel's weights
            and, but for a half, its shift.
        channel: int. The output channel in which it is.
    """

    name: str
    bits: float
    channel: int

    def check(self) -> None:
        """Raise ValueError if floats cannot hold all sums exactly."""
        # Shifts are multiples of half a unit, and floats hold 2**24 itself.
        if not self.bits <= EXACT_BITS - 1:
            raise ValueError(
                f"All partial sums must stay below 2**{EXACT_BITS - 1} units "
                "of the weights and shifts, for floats to hold them exactly. "
                f"Received: 2**{self.bits:.2f} in {self.name}, channel "
                f"{self.channel}"
            )


def convolution_sums(name: str, residual: IntegerResidual) -> list[Sums]:
    """Return the sums of the three convolutions of a residual.

    Args:
        name: str. The stage and the block.
        residual: `IntegerResidual`. Its weights count as they are.

    Raises:
        ValueError: if weights are no integers of their bits times a power of
            two, other factors are no powers of two, F could be -0, or
            `reach` is exceeded.
    """
    found = []
    scale0, shift0 = residual.scale0.numpy(), residual.shift0.numpy()
    # Products that may be fused with the sum must be exact.
    _check_powers(name, "scale0", scale0)
    _check_finite(name, scale0, shift0)
    for index, pair in enumerate(residual.valid_weights()):
        place = f"{name}/conv{index + 1}"
        kernel, shift = (x.numpy() for x in pair)
        _check_finite(place, kernel, shift)
        unit = residual.units[index].numpy().astype("float64")
        _check_powers(place, "unit", unit, positive=True)
        if not np.array_equal(
            residual.per_unit[index].numpy() * unit, 1 + 0 * unit
        ):
            raise ValueError(
                "`per_unit` must be the inverse of `unit`. "
                f"Received: another one in {place}"
            )
        integers = kernel / unit
        _check_weights(place, integers, residual.weight_bits)
        low, high = (
            residual.first_range
            if index == 0
            else (0, residual.largest_activation)
        )
        groups = residual.groups[index]
        sums = sums_of_groups(integers, low, high, groups)
        if groups > 1:
            # Rounded, they are added up in larger units.
            found.append(_largest(place, sums))
            place = f"{place} (groups)"
            sums = groups * (sums / GROUP_UNITS + 1)
            unit = unit * GROUP_UNITS
        # In half the unit of the shift, where that is less.
        less = np.minimum(np.exp2(last_bit(shift) + 1.0) / unit, 1.0)
        found.append(_largest(place, (sums + np.abs(shift) / unit) / less))
        # Of the last convolution, whose zeros go into the streams.
        is_whole = shift / unit == np.rint(shift / unit)
        if index == 2 and is_whole.any():
            raise ValueError(
                "The shifts before F must be no multiples of the unit of the "
                "sums, or F could be -0. Received: such a shift in "
                f"{place}, channel {int(np.argmax(is_whole))}"
            )
    reach = reach_of(residual)
    known = float(residual.reach.numpy())
    if not reach <= known:
        raise ValueError(
            "`reach` of an integer residual must be at least what F can be, "
            f"{reach:g}. Received: reach={known:g} in {name}"
        )
    return found


def range_of(residual: IntegerResidual) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest F of each channel, of any x2."""
    kernel, shift = (x.numpy() for x in residual.valid_weights()[2])
    groups, unit = residual.groups[2], residual.sum_unit(2).numpy()
    least, largest = 0.0, 0.0
    for part in np.split(kernel, groups, axis=2):
        inputs = np.full(part.shape[2], residual.largest_activation)
        sums = partial_sums(part, 0 * inputs, inputs)
        if groups > 1:
            sums = [np.floor(x / unit) * unit for x in sums]
        least, largest = least + sums[0], largest + sums[1]
    grid = 2.0**-residual.fraction_bits
    return np.floor(least + shift) * grid, np.floor(largest + shift) * grid


def reach_of(residual: IntegerResidual) -> float:
    """Return what no |F| of a residual exceeds."""
    return float(max(np.max(np.abs(bound)) for bound in range_of(residual)))


def dense_sums(pool: IntegerPooling, dense: keras.layers.Dense) -> Sums:
    """Return the sums of the logits of an integer head.

    Args:
        pool: `IntegerPooling`. What the logits are computed from.
        dense: Keras `Dense`. The layer of the logits.
    """
    kernel = dense.kernel.numpy()
    bias = dense.bias.numpy() if dense.use_bias else np.zeros(dense.units)
    _check_finite(dense.name, kernel, bias)
    unit = column_unit(kernel) + int(np.log2(pool.output_unit))
    unit = np.minimum(unit, last_bit(bias))
    inputs = np.full(len(kernel), pool.largest_output)
    least, largest = partial_sums(kernel, 0 * inputs, inputs)
    sums = np.maximum(-least, largest) + np.abs(bias)
    return _largest(dense.name, np.ldexp(sums, -unit))


def _largest(place, sums):
    channel = int(np.argmax(sums))
    bits = math.log2(max(sums[channel], 1.0))
    # Upwards, to what all machines agree about.
    return Sums(place, math.ceil(bits * 1e6 - 1e-3) / 1e6, channel)


def sums_of_groups(
    integers: np.ndarray, low: float, high: float, groups: int
) -> np.ndarray:
    """Return the largest partial sum of each output channel, of any group.

    Args:
        integers: float64 array (side, side, inputs, outputs). The weights.
        low: float. The least input.
        high: float. The largest input.
        groups: int. In how many groups inputs are added up.
    """
    parts = np.split(integers, groups, axis=2)
    ones = np.ones(parts[0].shape[2])
    sums = [partial_sums(part, low * ones, high * ones) for part in parts]
    return np.max([np.maximum(-a, b) for a, b in sums], axis=0)


def _check_weights(place, integers, bits):
    largest = 2 ** (bits - 1) - 1
    fits = (integers == np.rint(integers)) & (np.abs(integers) <= largest)
    if not fits.all():
        channel = int(np.argwhere(~fits)[0][-1])
        value = integers[~fits][0]
        raise ValueError(
            f"The weights of {place} must be integers of {bits} bits times a "
            f"power of two. Received: {value:g} units in channel {channel}"
        )


def _check_powers(place, name, values, positive=False):
    fractions = np.frexp(values)[0]
    fits = fractions == 0.5
    if not positive:
        fits |= np.isin(fractions, (0.0, -0.5))
    if not fits.all():
        channel = int(np.argmin(fits))
        above = " above 0" if positive else ""
        raise ValueError(
            f"`{name}` of integers must be powers of two{above}. Received: "
            f"{name}={values[channel]:g} in {place}, channel {channel}"
        )


def check_pool(pool: IntegerPooling) -> None:
    """Raise ValueError unless products in pooling are exact."""
    scale, shift = pool.scale.numpy(), pool.shift.numpy()
    _check_powers(pool.name, "scale", scale)
    _check_finite(pool.name, scale, shift)


def check_entrance(entrance: PixelRange) -> None:
    """Raise ValueError unless its bounds and offsets are such."""
    bounds, offset = entrance.bounds.numpy(), entrance.offset.numpy()
    if not (np.all(np.isfinite(bounds)) and bounds[0] < bounds[1]):
        raise ValueError(
            "The bounds of pixels must be finite, the least one first. "
            f"Received: bounds={bounds.tolist()} in {entrance.name}"
        )
    if not np.all(np.abs(offset) < 0.5):
        raise ValueError(
            "The offsets of pixels must be below half a step of the grid. "
            f"Received: offset={offset.tolist()} in {entrance.name}"
        )


def _check_finite(place, kernel, shift):
    """Raise ValueError unless weights (..., channels) are finite."""
    finite = np.isfinite(kernel).reshape(-1, len(shift)).all(axis=0)
    finite &= np.isfinite(shift)
    if not np.all(finite):
        raise ValueError(
            "All weights must be finite. Received: NaN or infinity in "
            f"{place}, channel {int(np.argmin(finite))}"
        )
