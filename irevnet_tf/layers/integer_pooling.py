"""Pooling in integers: where a portable network leaves its representation."""

import keras
import tensorflow as tf

from irevnet_tf.layers.fixed_point import nan_unless
from irevnet_tf.layers.gradients import floor_straight_through
from irevnet_tf.layers.integer_arithmetic import EXACT_BITS
from irevnet_tf.layers.integer_arithmetic import check_bits

# Averages have two bits more than the activations.
AVERAGE_SCALE = 4


@keras.saving.register_keras_serializable(package="irevnet_tf")
class IntegerPooling(keras.layers.Layer):
    """BatchNorm, ReLU and pooling in integers, with the same bits everywhere.

    With A = 2**activation_bits - 1, n pixels, and sums over all pixels:

        a       = floor(clip(x * scale + shift, 0, A))
        average = floor(sum(a) * (4 / n) + 1/2 + 1/(4 n)) / 4
        maximum = max(a)

    The sums are exact. 1/(4 n) keeps the argument of `floor` from integers,
    where the product's rounding could change the result, for up to
    2**(18 - activation_bits) pixels, 1024 at 8 bits. Pooled features are these
    values times `gain`; a classifier of integers takes them divided by A + 1.
    `irevnet_tf.portable` makes this layer.

    Example:

    >>> pool = irevnet_tf.layers.IntegerPooling("avg")
    >>> pool(tf.zeros((2, 8, 8, 16))).shape
    TensorShape([2, 16])

    Args:
        pooling: str. Either "avg" or "max".
        activation_bits: int from 2 to 16. Bits of the activations.
        scaled: bool. Whether to multiply by `gain`, for features of the size
            that they had in training, and not to divide by A + 1.
        dtype: dtype policy. Must be float32, the default.

    Call arguments:
        inputs: float32 tensor. The invertible representation.

    Input shape:
        `(batch, height, width, channels)`, float32.

    Output shape:
        `(batch, channels)`, float32. NaN for an image whose representation is
        NaN.

    Raises:
        ValueError: if an argument is out of range, or `dtype` is not float32;
            when called, if an average is of too many pixels.
        tf.errors.InvalidArgumentError: the same, where the size of images is
            not fixed. XLA and other runtimes return NaN.
    """

    def __init__(
        self,
        pooling: str = "avg",
        activation_bits: int = 8,
        scaled: bool = True,
        *,
        dtype: str | keras.DTypePolicy | None = "float32",
        **kwargs,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        if pooling not in ("avg", "max"):
            raise ValueError(
                "`pooling` must be 'avg' or 'max'. "
                f"Received: pooling={pooling!r}"
            )
        if self.dtype_policy.name != "float32":
            raise ValueError(
                "`dtype` of integer pooling must be float32. "
                f"Received: dtype={self.dtype_policy.name}"
            )
        self.pooling = pooling
        self.scaled = scaled
        self.activation_bits = check_bits("activation_bits", activation_bits)

    @property
    def output_unit(self) -> float:
        """The unit of the output, if it is not scaled."""
        unit = 2.0**-self.activation_bits
        return unit / AVERAGE_SCALE if self.pooling == "avg" else unit

    @property
    def largest_output(self) -> float:
        """The largest possible output, if it is not scaled."""
        return 1.0 - 2.0**-self.activation_bits

    def build(self, input_shape):
        self.scale, self.shift, self.gain = (
            self.add_weight(
                name=name,
                shape=(input_shape[-1],),
                initializer="zeros",
                trainable=False,
            )
            for name in ("scale", "shift", "gain")
        )

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def call(self, inputs):
        sums = tf.nn.relu(inputs * self.scale + self.shift)
        largest = float(2**self.activation_bits - 1)
        a = floor_straight_through(tf.minimum(sums, largest))
        # In some runtimes ReLU makes 0 of NaN, which is in all of an image that
        # was out of range, or nowhere.
        within = tf.abs(inputs[:, 0, 0, 0]) < 2.0**EXACT_BITS
        if self.pooling == "max":
            pooled = tf.reduce_max(a, [1, 2])
        else:
            pixels = self._pixels(inputs)
            mean = tf.reduce_sum(a, [1, 2]) * (AVERAGE_SCALE / pixels)
            pooled = floor_straight_through(mean + (0.5 + 0.25 / pixels))
            pooled *= 1.0 / AVERAGE_SCALE
            within &= pixels <= self._most_pixels
        pooled = nan_unless(within, pooled)
        return pooled * (self.gain if self.scaled else 1 / (largest + 1.0))

    @property
    def _most_pixels(self):
        return 2 ** (18 - self.activation_bits)

    def _pixels(self, inputs):
        """Return how many pixels images have, a number if it is known."""
        message = (
            f"Averages of integers are exact for up to {self._most_pixels} "
            "pixels of a representation. Received: "
        )
        height, width = inputs.shape[1:3]
        if None not in (height, width):
            if height * width > self._most_pixels:
                raise ValueError(f"{message}{height}x{width} pixels")
            return float(height * width)
        pixels = tf.reduce_prod(tf.shape(inputs)[1:3])
        pixels = tf.cast(pixels, inputs.dtype)
        tf.debugging.Assert(
            pixels <= self._most_pixels, [message, pixels, "pixels"]
        )
        return pixels

    def get_config(self):
        return {
            **super().get_config(),
            "pooling": self.pooling,
            "activation_bits": self.activation_bits,
            "scaled": self.scaled,
        }
