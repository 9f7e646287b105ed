"""The entrance of a portable network, which knows the range of its images."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers.fixed_point import FixedPointRounding
from irevnet_tf.layers.fixed_point import without_sign_of_zero
from irevnet_tf.layers.gradients import round_straight_through

# How the message of the error begins.
OUTSIDE = "The images of a portable network must be in its pixel range"
# What is made of other images, where errors are unknown.
FAR = 2.0**100


@keras.saving.register_keras_serializable(package="irevnet_tf")
class PixelRange(FixedPointRounding):
    """Rounds images to multiples of 2**-fraction_bits, and checks their range.

        y = round(x * 2**fraction_bits + offset) * 2**-fraction_bits

    `irevnet_tf.certify` proves a portable network exact for images in the
    range. The layer returns zeros without a sign, so that no zero in the
    network has one. The inverse rounds representations, which may have any
    values in the exact range. `offset` is below 1/2, and does not change values
    on the grid.

    Example:

    >>> layer = irevnet_tf.layers.PixelRange(fraction_bits=2)
    >>> layer.build((None, 8, 8, 1))
    >>> layer.set_range(0.0, 1.0, offset=np.zeros(1))
    >>> layer(tf.fill((1, 8, 8, 1), 0.3))[0, 0, 0].numpy()
    array([0.25], dtype=float32)

    Args:
        fraction_bits: int from 0 to 23. As in `FixedPointRounding`.
        certificate: None or dict. The network's certificate, as
            `irevnet_tf.certify(model).to_dict()` returns it.
        dtype: dtype policy. Must be float32, the default.

    Call arguments:
        inputs: float32 tensor. The images.

    Input shape:
        `(batch, height, width, channels)`, float32.

    Output shape:
        Same as the input, float32.

    Raises:
        ValueError: if an argument is out of range, or `dtype` is not float32.
        tf.errors.InvalidArgumentError: when called on images out of range.
            XLA and other runtimes have no errors: there all values of such an
            image become 2**100, and NaN in the blocks that follow.
    """

    def __init__(
        self,
        fraction_bits: int,
        certificate: dict | None = None,
        *,
        dtype: str | keras.DTypePolicy | None = "float32",
        **kwargs,
    ) -> None:
        super().__init__(fraction_bits, dtype=dtype, **kwargs)
        if self.dtype_policy.name != "float32":
            raise ValueError(
                "`dtype` of a portable network must be float32. "
                f"Received: dtype={self.dtype_policy.name}"
            )
        self.certificate = certificate
        self.bounds = self.offset = None

    def build(self, input_shape):
        if self.bounds is not None:
            return
        # The least and the largest value of a pixel.
        self.bounds = self.add_weight(
            name="bounds", shape=(2,), initializer="zeros", trainable=False
        )
        # By channel, in units of the grid: where all values that 8 bits can
        # have are far from being rounded the other way.
        self.offset = self.add_weight(
            name="offset",
            shape=(input_shape[-1],),
            initializer="zeros",
            trainable=False,
        )

    def call(self, inputs):
        bounds = tf.convert_to_tensor(self.bounds)
        # Of every pixel: some runtimes pass over NaN in a minimum.
        within = tf.reduce_all(
            (inputs >= bounds[0]) & (inputs <= bounds[1]),
            range(1, inputs.shape.rank),
        )
        tf.debugging.Assert(
            tf.reduce_all(within),
            [
                f"{OUTSIDE}, for which alone its inverse is proven to be "
                "exact. Expected: all pixels from",
                bounds[0],
                "to",
                bounds[1],
                "Received: pixels from",
                tf.reduce_min(inputs),
                "to",
                tf.reduce_max(inputs),
            ],
        )
        # The first blocks take this for out of range, and make NaN of all
        # values; NaN in some channels would not spread everywhere.
        within = tf.reshape(within, [-1] + [1] * (inputs.shape.rank - 1))
        return tf.where(within, self._rounded(inputs), FAR)

    def inverse(self, outputs):
        return without_sign_of_zero(super().call(outputs), outputs)

    def _rounded(self, x):
        scale = 2.0**self.fraction_bits
        shifted = x * scale + tf.convert_to_tensor(self.offset)
        y = round_straight_through(shifted, 1.0) * (1.0 / scale)
        return without_sign_of_zero(y, x)

    def share(self):
        if type(self) is not PixelRange or not self.built:
            return super().share()
        layer = PixelRange.from_config(self.get_config())
        layer.bounds, layer.offset = self.bounds, self.offset
        # By the shape of images: the inverse would make it of that of
        # representations, and files say by which shape to build.
        layer.build((None, None, None, *self.offset.shape))
        return layer

    def set_range(self, low: float, high: float, offset: np.ndarray) -> None:
        """Set the variables: the range, one step wider, and the offset."""
        step = 2.0**-self.fraction_bits
        wide = [np.floor(low / step) - 1, np.ceil(high / step) + 1]
        self.bounds.assign(np.multiply(wide, step))
        self.offset.assign(offset)

    def get_config(self):
        return {**super().get_config(), "certificate": self.certificate}
