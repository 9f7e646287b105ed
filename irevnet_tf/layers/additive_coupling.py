"""The block of an i-RevNet: additive coupling of two streams."""

import keras

from irevnet_tf.layers.base import check_pair
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.channels import append_zeros
from irevnet_tf.layers.coupling import Coupling
from irevnet_tf.layers.downsampling import psi
from irevnet_tf.layers.downsampling import psi_inverse
from irevnet_tf.layers.downsampling import psi_inverse_shape
from irevnet_tf.layers.downsampling import psi_shape


@keras.saving.register_keras_serializable(package="irevnet_tf")
class AdditiveCoupling(Coupling):
    """Adds a residual of one stream to the other; the inverse subtracts it.

    With psi the invertible downsampling by `stride`:

        forward:  y1 = psi(x2)              y2 = psi(x1) + F(x2)
        inverse:  x2 = psi^-1(y1)           x1 = psi^-1(y2 - F(x2))

    The next block carries y1 and feeds y2 to its own F.

    Example:

    >>> coupling = irevnet_tf.layers.AdditiveCoupling(keras.layers.Dense(4))
    >>> x = tf.ones((2, 4)), tf.ones((2, 4))
    >>> x1, x2 = coupling.inverse(coupling(x))

    Args:
        residual: Keras layer. F, which maps x2 to the shape of psi(x1). It may
            have its own dtype policy; its output is cast to the streams' dtype.
        stride: positive int. Block size of psi, and the factor by which F
            reduces height and width.
        zero_channels: int, 0 or more. How many channels at the end of x2 are
            known to be zero because `InjectivePadding` put them there. The
            inverse sets them back to exact zeros before it calls F. It has to:
            F's BatchNorms have seen constant channels there, with a variance of
            0, and amplify the rounding noise that the inverse finds in them
            300-fold each.
        fraction_bits: None or int. None for plain floats. With an int b, F(x2)
            is rounded to multiples of 2**-b, with the gradient of the identity.
            If x1 and x2 are such multiples too, as `FixedPointRounding` makes
            them, the inverse is exact to the last bit while all values stay
            below 2**(24 - b) (2**(53 - b) in float64), and F runs by the same
            kernels in both directions. A `ReversibleSequence` checks the range.

    Call arguments:
        inputs: pair (x1, x2) of float tensors. The two streams.
        training: bool. The mode of F: whether its BatchNorms use the batch's
            statistics and its dropout is active.

    Input shape:
        A pair (x1, x2), each `(batch, height, width, channels)`, or of any
        shape if `stride` is 1. Streams are cast to the layer's dtype, float32
        (float64 under a float64 policy).

    Output shape:
        A pair (y1, y2) of `(batch, height / stride, width / stride,
        channels * stride**2)`, in the layer's dtype.

    Raises:
        ValueError: at build, if F's output does not have the shape of psi(x1),
            or another dtype than it computes in.

    Reference:
        Equation 1 of https://arxiv.org/abs/1802.07088, in the form of the
        authors' code, which applies psi to both streams.
    """

    can_be_lossless = True

    def __init__(
        self,
        residual: keras.layers.Layer,
        stride: int = 1,
        zero_channels: int = 0,
        fraction_bits: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(residual, fraction_bits=fraction_bits, **kwargs)
        if zero_channels:
            zero_channels = check_positive_int("zero_channels", zero_channels)
        self.stride = check_positive_int("stride", stride)
        self.zero_channels = zero_channels

    @property
    def downsampling(self):
        return self.stride

    def build(self, input_shape):
        check_pair(input_shape, self)
        channels = input_shape[1][-1]
        if self.zero_channels > channels:
            raise ValueError(
                "`zero_channels` must be at most the channels of x2. Received: "
                f"zero_channels={self.zero_channels}, channels={channels}"
            )
        super().build(input_shape)

    def residual_shape(self, input_shape):
        return psi_shape(input_shape[0], self.stride)

    def compute_output_shape(self, input_shape):
        shape1, shape2 = input_shape
        return psi_shape(shape2, self.stride), psi_shape(shape1, self.stride)

    def compute_inverse_shape(self, output_shape):
        shape1, shape2 = output_shape
        return (
            psi_inverse_shape(shape2, self.stride),
            psi_inverse_shape(shape1, self.stride),
        )

    def couple(self, inputs, fx2):
        x1, x2 = inputs
        shifted = psi(x1, self.stride) + self.on_grid(fx2)
        return psi(x2, self.stride), shifted

    def residual_input(self, outputs):
        x2 = psi_inverse(outputs[0], self.stride)
        if not self.zero_channels:
            return x2
        return append_zeros(x2[..., : -self.zero_channels], self.zero_channels)

    def uncouple(self, outputs, x2, fx2):
        x1 = psi_inverse(outputs[1] - self.on_grid(fx2), self.stride)
        return x1, x2

    def pull_back(self, inputs, fx2, output_gradients, weights):
        if type(self).couple is not AdditiveCoupling.couple:
            return super().pull_back(inputs, fx2, output_gradients, weights)
        # psi is a permutation of values: its transpose is its inverse.
        dy1, dy2 = (psi_inverse(dy, self.stride) for dy in output_gradients)
        return (dy2, dy1), output_gradients[1], [None] * len(weights)

    def share(self):
        if type(self) is not AdditiveCoupling:
            return super().share()
        return self.with_residual(self.residual)

    def with_residual(self, residual: keras.layers.Layer) -> "AdditiveCoupling":
        """Return an `AdditiveCoupling` like this one, around another F.

        Args:
            residual: Keras layer. The new F. With this coupling's own F, the
                two couplings share their weights.
        """
        return self._like(residual, self.fraction_bits)

    def with_fraction_bits(
        self, fraction_bits: int | None
    ) -> "AdditiveCoupling":
        """Return an `AdditiveCoupling` with these weights, on another grid.

        Args:
            fraction_bits: None or int. The new grid; None for plain floats.
        """
        return self._like(self.residual, fraction_bits)

    def _like(self, residual, fraction_bits):
        return AdditiveCoupling(
            residual,
            stride=self.stride,
            zero_channels=self.zero_channels,
            fraction_bits=fraction_bits,
            name=self.name,
            dtype=self.dtype_policy,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "stride": self.stride,
            "zero_channels": self.zero_channels,
        }
