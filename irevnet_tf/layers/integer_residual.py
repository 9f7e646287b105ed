"""F in integers, whose results have the same bits in every runtime."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.fixed_point import check_fraction_bits
from irevnet_tf.layers.gradients import floor_straight_through
from irevnet_tf.layers.integer_arithmetic import check_bits
from irevnet_tf.layers.integer_arithmetic import check_groups
from irevnet_tf.layers.integer_files import read_integers
from irevnet_tf.layers.integer_files import write_integers
from irevnet_tf.layers.parts import TrackedParts
from irevnet_tf.layers.residual import check_kernel_sizes
from irevnet_tf.layers.straight_through import valid_pair

# Sums of groups of input channels are rounded to multiples of so many units of
# the weights, so that up to 16 groups add up to a quarter of what one may.
GROUP_UNITS = 64
MOST_GROUPS = 16


@keras.saving.register_keras_serializable(package="irevnet_tf")
class IntegerResidual(TrackedParts, keras.layers.Layer):
    """The residual of a portable network: convolutions of integers.

    With A = 2**activation_bits - 1, and integers a0, a1, a2 from 0 to A:

        a0 = floor(clip(x2 * scale0 + shift0, 0, A))
        a1 = floor(clip(conv(a0, kernel1) + shift1, 0, A))
        a2 = floor(clip(conv(a1, kernel2) + shift2, 0, A))
        F  = floor(conv(a2, kernel3) + shift3) * 2**-fraction_bits

    A kernel's weights are integers of `weight_bits` bits times a power of two
    for each output channel, its unit; shifts are odd multiples of half of it
    (and 1/2, if it is more than 1), so that `floor` never meets an integer.
    `scale0` are powers of two. All summands are multiples of a power of
    two. `irevnet_tf.certify` proves that all partial sums stay below 2**24 of
    them, so that only `floor` rounds: F has the same bits in every runtime,
    with every order of summation, in batches of every size. F has no -0.

    `irevnet_tf.portable` makes these layers of `BottleneckResidual` layers.

    Example:

    >>> residual = irevnet_tf.layers.IntegerResidual(filters=16, stride=2)
    >>> residual(tf.zeros((2, 32, 32, 4))).shape
    TensorShape([2, 16, 16, 16])

    Args:
        filters: positive int. Output channels.
        stride: positive int. Stride of the first convolution.
        kernel_sizes: sequence of three odd ints. The sides of the kernels.
        bottleneck_ratio: positive int. The first two convolutions have
            `filters//bottleneck_ratio` output channels.
        preactivation: bool. Whether F starts with a threshold, as BatchNorm
            and ReLU do. If not, a0 = floor(clip(x2 * scale0 + shift0, -M, M))
            with M = 2**(activation_bits - 1) - 1.
        weight_bits: int from 2 to 16. Bits of the weights, with the sign.
        activation_bits: int from 2 to 16. Bits of the activations.
        sum_bits: int up to 23. Partial sums are kept below 2**sum_bits while
            the layer is fine-tuned.
        fraction_bits: int. F is a multiple of 2**-fraction_bits.
        groups: sequence of three positive ints. In how many groups of input
            channels each convolution is split. The sum of each of several
            groups is rounded downwards to multiples of 64 units.
        fine_tuning: bool. Whether kernels and shifts are trained, by
            straight-through gradients. The variables are then any floats of
            the order of 1; the layer computes with the nearest valid values.
        dtype: dtype policy. Must be float32, the default.

    Call arguments:
        inputs: float32 tensor. x2, the stream that F reads.
        training: bool. The mode, which makes no difference.

    Input shape:
        `(batch, height, width, channels)`, float32.

    Output shape:
        `(batch, height / stride, width / stride, filters)`, float32.

    Raises:
        ValueError: if an argument is out of range, or `dtype` is not float32;
            when a file is loaded whose weights are not of this form.

    Reference:
        Ballé, Johnston, Minnen: Integer Networks for Data Compression with
        Latent-Variable Models, ICLR 2019.
    """

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        kernel_sizes: Sequence[int] = (3, 3, 3),
        bottleneck_ratio: int = 4,
        preactivation: bool = True,
        weight_bits: int = 8,
        activation_bits: int = 8,
        sum_bits: int = 23,
        fraction_bits: int = 14,
        groups: Sequence[int] = (1, 1, 1),
        fine_tuning: bool = False,
        *,
        dtype: str | keras.DTypePolicy | None = "float32",
        **kwargs,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        if self.dtype_policy.name != "float32":
            raise ValueError(
                "`dtype` of integer residuals must be float32, whose sums are "
                "exact; halves are too short, and nothing needs more. "
                f"Received: dtype={self.dtype_policy.name}"
            )
        self.filters = check_positive_int("filters", filters)
        self.stride = check_positive_int("stride", stride)
        self.kernel_sizes = check_kernel_sizes(kernel_sizes)
        self.bottleneck_ratio = check_positive_int(
            "bottleneck_ratio", bottleneck_ratio
        )
        self.preactivation = preactivation
        self.weight_bits = check_bits("weight_bits", weight_bits)
        self.activation_bits = check_bits("activation_bits", activation_bits)
        self.sum_bits = check_bits("sum_bits", sum_bits, 23)
        self.fraction_bits = check_fraction_bits(fraction_bits, "float32")
        self.groups = check_groups(groups)
        self.fine_tuning = fine_tuning

    @property
    def largest_activation(self) -> int:
        return 2**self.activation_bits - 1

    @property
    def first_range(self) -> tuple[int, int]:
        """The least and the largest value of a0."""
        if self.preactivation:
            return 0, self.largest_activation
        largest = 2 ** (self.activation_bits - 1) - 1
        return -largest, largest

    def build(self, input_shape):
        channels = input_shape[-1]
        width = self.filters // self.bottleneck_ratio
        self.scale0 = self._constant("scale0", (channels,))
        self.shift0 = self._constant("shift0", (channels,))
        self.kernels, self.shifts = [], []
        self.units, self.per_unit = [], []
        sizes = (channels, width, width, self.filters)
        for index, side in enumerate(self.kernel_sizes, start=1):
            outputs = sizes[index]
            if sizes[index - 1] % self.groups[index - 1]:
                raise ValueError(
                    "`groups` must divide the input channels of the "
                    f"convolutions, {sizes[:3]}. "
                    f"Received: groups={self.groups}"
                )
            shape = side, side, sizes[index - 1], outputs
            self.kernels.append(self._weight(f"kernel{index}", shape))
            self.shifts.append(self._weight(f"shift{index}", (outputs,)))
            # The power of two of which a channel's weights are multiples.
            # And its inverse: graphs are changed to multiply by reciprocals,
            # which are not exact in TensorFlow.
            for name, values in (
                ("unit", self.units),
                ("per_unit", self.per_unit),
            ):
                one = self._constant(f"{name}{index}", (outputs,), "ones")
                values.append(one)
        # No |F| is larger.
        self.reach = self._constant("reach", ())

    def _constant(self, name, shape, initializer="zeros"):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False
        )

    def _weight(self, name, shape):
        return self.add_weight(
            shape, "zeros", trainable=self.fine_tuning, name=name
        )

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        sides = [side and -(-side // self.stride) for side in sides]
        return (batch, *sides, self.filters)

    def call(self, inputs, training=None):
        weights = self.valid_weights()
        a = self.first_activation(inputs)
        for index in (0, 1):
            a = self.activate(self.convolve(a, index, *weights[index]))
        sums = self.convolve(a, 2, *weights[2])
        return floor_straight_through(sums) * 2.0**-self.fraction_bits

    def first_activation(self, x: tf.Tensor) -> tf.Tensor:
        """Return a0, given x2."""
        x = x * self.scale0 + self.shift0
        if self.preactivation:
            return self.activate(x)
        low, high = self.first_range
        return floor_straight_through(tf.clip_by_value(x, low, high))

    def activate(self, sums: tf.Tensor) -> tf.Tensor:
        """Return the activations, integers from 0 to A, of sums."""
        # In this order, runtimes make one operation of a convolution, its
        # shift and ReLU.
        clipped = tf.minimum(tf.nn.relu(sums), float(self.largest_activation))
        return floor_straight_through(clipped)

    def convolve(
        self, a: tf.Tensor, index: int, kernel: tf.Tensor, shift: tf.Tensor
    ) -> tf.Tensor:
        """Return a convolution of integers plus its shift, not rounded yet."""
        side, stride = self.kernel_sizes[index], self.stride
        stride = stride if index == 0 else 1
        padding = "SAME"
        if stride > 1:
            # "SAME" would pad right and below only.
            around = [side // 2] * 2
            a = tf.pad(a, [[0, 0], around, around, [0, 0]])
            padding = "VALID"
        groups = self.groups[index]
        parts = [
            tf.nn.conv2d(part, weights, stride, padding)
            for part, weights in zip(
                tf.split(a, groups, axis=-1) if groups > 1 else [a],
                tf.split(kernel, groups, axis=2) if groups > 1 else [kernel],
                strict=True,
            )
        ]
        if groups > 1:
            factor = self.per_sum_unit(index)
            parts = [floor_straight_through(x * factor) for x in parts]
            sums = tf.add_n(parts) * self.sum_unit(index)
        else:
            sums = parts[0]
        return tf.nn.bias_add(sums, shift)

    def set_unit(self, index: int, unit: np.ndarray) -> None:
        """Set the units of a convolution's weights, an array (outputs,)."""
        self.units[index].assign(unit)
        self.per_unit[index].assign(1.0 / np.asarray(unit, "float64"))

    def sum_unit(self, index: int) -> tf.Tensor:
        """Return the unit of the sums of a convolution, by output channel."""
        unit = tf.convert_to_tensor(self.units[index])
        return unit * float(GROUP_UNITS) if self.groups[index] > 1 else unit

    def per_sum_unit(self, index: int) -> tf.Tensor:
        """Return the inverse of `sum_unit`."""
        inverse = tf.convert_to_tensor(self.per_unit[index])
        return (
            inverse * (1.0 / GROUP_UNITS) if self.groups[index] > 1 else inverse
        )

    def valid_weights(self) -> list:
        """Return the pairs (kernel, shift) to compute with."""
        pairs = [
            (tf.convert_to_tensor(kernel), tf.convert_to_tensor(shift))
            for kernel, shift in zip(self.kernels, self.shifts, strict=True)
        ]
        if not self.fine_tuning:
            return pairs
        return [
            valid_pair(self, index, *pair) for index, pair in enumerate(pairs)
        ]

    def save_own_variables(self, store):
        if self.fine_tuning:
            super().save_own_variables(store)
        else:
            write_integers(self, store)

    def load_own_variables(self, store):
        if self.fine_tuning:
            super().load_own_variables(store)
        else:
            read_integers(self, store)

    def get_config(self):
        names = (
            "filters",
            "stride",
            "kernel_sizes",
            "bottleneck_ratio",
            "preactivation",
            "weight_bits",
            "activation_bits",
            "sum_bits",
            "fraction_bits",
            "groups",
            "fine_tuning",
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
        }
