"""The block of a reversible network: additive coupling of two streams."""

import keras
import tensorflow as tf

from irevnet_tf.layers.base import InvertibleLayer
from irevnet_tf.layers.base import check_pair
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.channels import append_zeros
from irevnet_tf.layers.downsampling import psi
from irevnet_tf.layers.downsampling import psi_inverse
from irevnet_tf.layers.downsampling import psi_inverse_shape
from irevnet_tf.layers.downsampling import psi_shape
from irevnet_tf.layers.fixed_point import check_fraction_bits
from irevnet_tf.layers.fixed_point import round_to_grid


@keras.saving.register_keras_serializable(package="irevnet_tf")
class AdditiveCoupling(InvertibleLayer):
    """Adds a residual of one stream to the other, and can take it off again.

    With psi the invertible downsampling by `stride`:

        forward:  y1 = psi(x2)              y2 = psi(x1) + F(x2)
        inverse:  x2 = psi^-1(y1)           x1 = psi^-1(y2 - F(x2))

    F is never inverted, so any layer will do. The next block carries y1 and
    feeds y2 to its own F. Forward and inverse have to run F in the same mode:
    the inverse of a pass with `training=True` needs `training=True`, and the
    same batch, if F contains BatchNorm; dropout has no inverse there, for its
    mask is drawn anew.

    Example:

    >>> coupling = AdditiveCoupling(keras.layers.Dense(4))
    >>> x = tf.ones((2, 4)), tf.ones((2, 4))
    >>> x1, x2 = coupling.inverse(coupling(x))

    Args:
        residual: Keras layer, F. Maps x2 to the shape of psi(x1). It may have
            its own dtype policy; its output is cast to the streams' dtype.
        stride: 1 or more. Block size of psi, and by how much F reduces height
            and width.
        zero_channels: how many channels at the end of x2 are known to be zero
            because `InjectivePadding` put them there. The inverse sets them
            back to exact zeros before it calls F. It has to: F's BatchNorms
            have seen constant channels there, with a variance of 0, and
            amplify the rounding noise that the inverse finds in them 300-fold
            each.
        fraction_bits: None for plain floats, or an integer b: F(x2) is rounded
            to multiples of 2**-b, with a gradient as if it was not. If x1 and
            x2 are such multiples too, as `FixedPoint` makes them, the inverse
            is exact to the last bit while all values stay below 2**(24 - b)
            (2**(53 - b) in float64), and F runs by the same kernels in both
            directions. A `ReversibleSequence` checks the range.

    Input shape:
        A pair (x1, x2), each `(batch, height, width, channels)`, or of any
        shape at all if `stride` is 1.

    Output shape:
        A pair (y1, y2) of `(batch, height / stride, width / stride,
        channels * stride**2)`.

    Raises:
        ValueError: at build, if F's output does not have the shape of psi(x1).

    Reference:
        Equation 1 of https://arxiv.org/abs/1802.07088, in the form of the
        authors' code, which applies psi to both streams.
    """

    def __init__(
        self, residual, stride=1, zero_channels=0, fraction_bits=None, **kwargs
    ):
        super().__init__(**kwargs)
        if not isinstance(residual, keras.layers.Layer):
            raise ValueError(
                "`residual` must be a Keras layer. "
                f"Received: residual={residual!r}"
            )
        if zero_channels:
            zero_channels = check_positive_int("zero_channels", zero_channels)
        self.residual = residual
        self.stride = check_positive_int("stride", stride)
        self.zero_channels = zero_channels
        if fraction_bits is not None:
            fraction_bits = check_fraction_bits(
                fraction_bits, self.compute_dtype
            )
        self.fraction_bits = fraction_bits

    def build(self, input_shape):
        check_pair(input_shape, self)
        _, shape2 = input_shape
        if self.zero_channels > shape2[-1]:
            raise ValueError(
                "`zero_channels` must be at most the channels of x2. Received: "
                f"zero_channels={self.zero_channels}, channels={shape2[-1]}"
            )
        # A symbolic call builds any layer, whether it has a `build` or not.
        x2 = keras.KerasTensor(shape2, dtype=self.compute_dtype)
        received = self.residual(x2).shape
        _, expected = self.compute_output_shape(input_shape)
        if not _may_be_equal(received, expected):
            raise ValueError(
                "`residual` must map x2 to the shape of psi(x1), which is "
                f"{tuple(expected)}. Received: residual={self.residual.name}, "
                f"whose output shape is {tuple(received)}"
            )

    def compute_output_shape(self, input_shape):
        shape1, shape2 = input_shape
        return psi_shape(shape2, self.stride), psi_shape(shape1, self.stride)

    def compute_inverse_shape(self, output_shape):
        shape1, shape2 = output_shape
        return (
            psi_inverse_shape(shape2, self.stride),
            psi_inverse_shape(shape1, self.stride),
        )

    def call(self, inputs, training=None):
        x2 = _add_up_gradient(inputs[1])
        return self.couple(inputs, self.residual(x2, training=training))

    def inverse(self, outputs, training=None):
        """Return the pair (x1, x2) from which `call` makes `outputs`.

        Args:
            outputs: pair (y1, y2) of float tensors.
            training: bool, the mode of F. BatchNorm's moving statistics and
                the state of random generators are left as they are.
        """
        x2 = self.residual_input(outputs)
        # What F would write (statistics, seeds) ends with the scope.
        with keras.StatelessScope():
            residual = self.residual(x2, training=training)
        return self.uncouple(outputs, x2, residual)

    def couple(self, inputs, residual):
        """Return (y1, y2), given (x1, x2) and `residual`, which is F(x2)."""
        x1, x2 = inputs
        shifted = psi(x1, self.stride) + self._shift(residual)
        return psi(x2, self.stride), shifted

    def residual_input(self, outputs):
        """Return x2, the part of the input that F needs, from (y1, y2)."""
        x2 = psi_inverse(outputs[0], self.stride)
        if not self.zero_channels:
            return x2
        return append_zeros(x2[..., : -self.zero_channels], self.zero_channels)

    def uncouple(self, outputs, x2, residual):
        """Return (x1, x2), given (y1, y2), x2 and `residual` = F(x2)."""
        x1 = psi_inverse(outputs[1] - self._shift(residual), self.stride)
        return x1, x2

    def pull_back(self, output_gradients, residual_gradient):
        """Return the gradients of (x1, x2) from those of (y1, y2).

        Args:
            output_gradients: pair of tensors, the gradients of y1 and y2.
            residual_gradient: F's share in the gradient of x2.
        """
        residual_gradient = _barrier(residual_gradient)
        # psi is a permutation of values: its transpose is its inverse.
        dy1, dy2 = (psi_inverse(dy, self.stride) for dy in output_gradients)
        return dy2, dy1 + residual_gradient

    def _shift(self, residual):
        residual = tf.cast(residual, self.compute_dtype)
        if self.fraction_bits is None:
            return residual
        return round_to_grid(residual, self.fraction_bits)

    def with_residual(self, residual):
        """Return a coupling like this one, around another F.

        Args:
            residual: Keras layer. With this one's own, the two couplings
                share their weights.
        """
        return AdditiveCoupling(
            residual,
            stride=self.stride,
            zero_channels=self.zero_channels,
            fraction_bits=self.fraction_bits,
            name=self.name,
            dtype=self.dtype_policy,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "residual": keras.saving.serialize_keras_object(self.residual),
            "stride": self.stride,
            "zero_channels": self.zero_channels,
            "fraction_bits": self.fraction_bits,
        }

    @classmethod
    def from_config(cls, config):
        residual = keras.saving.deserialize_keras_object(config["residual"])
        return cls(**{**config, "residual": residual})


@tf.custom_gradient
def _add_up_gradient(x):
    """Return x, whose gradient is added up before others' are added to it.

    Floats depend on the order: with F's share in the gradient of x2 summed by
    itself, as in `pull_back`, plain and memory-saving gradients can be equal
    to the last bit.
    """
    return tf.identity(x), _barrier


def _barrier(gradient):
    # Grappler merges sums of sums, which changes their order, but not with an
    # operation in between.
    return tf.ensure_shape(gradient, gradient.shape)


def _may_be_equal(shape, other):
    """Return whether two shapes agree wherever both are known."""
    return len(shape) == len(other) and all(
        a == b or a is None or b is None
        for a, b in zip(shape, other, strict=True)
    )
