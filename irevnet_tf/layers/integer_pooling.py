"""Pooling in integers: where a portable network leaves its representation."""

import keras
import tensorflow as tf

from irevnet_tf.layers.fixed_point import nan_unless
from irevnet_tf.layers.gradients import floor_straight_through
from irevnet_tf.layers.integer_arithmetic import EXACT_BITS
from irevnet_tf.layers.integer_residual import check_bits

# Averages have two bits more than the activations.
AVERAGE_SCALE = 4


@keras.saving.register_keras_serializable(package="irevnet_tf")
class IntegerPooling(keras.layers.Layer):
    """BatchNorm, ReLU and pooling in integers, with the same bits everywhere.

    With A = 2**activation_bits - 1, n pixels, and sums over all pixels:

        a       = floor(clip(x * scale + shift, 0, A))
        average = floor(sum(a) * (4 / n) + 1/2 + 1/(4 n)) * gain
        maximum = max(a) * gain

    The sums are exact; 1/(4 n) keeps them from integers, where the rounding of
    the product could count. That is so for up to 1024 pixels, and for all
    powers of two. `irevnet_tf.portable` makes this layer. A classifier of
    integers takes what it returns unscaled, without `gain`.

    Args:
        pooling: str. "avg" or "max".
        activation_bits: int from 2 to 16. Bits of the activations.
        scaled: bool. Whether to multiply by `gain`, for features of the size
            that they had in training.

    Call arguments:
        inputs: float32 tensor. The invertible representation.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, channels)`, float32. NaN for an image whose representation is.

    Raises:
        ValueError: if an argument is out of range, or `dtype` is not float32.
    """

    def __init__(
        self,
        pooling="avg",
        activation_bits=8,
        scaled=True,
        *,
        dtype="float32",
        **kwargs,
    ):
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
    def largest_output(self) -> int:
        """What no pooled integer exceeds, before `gain`."""
        largest = 2**self.activation_bits - 1
        return largest * (AVERAGE_SCALE if self.pooling == "avg" else 1)

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
        if self.pooling == "max":
            pooled = tf.reduce_max(a, [1, 2])
        else:
            pixels = tf.cast(tf.reduce_prod(tf.shape(a)[1:3]), "float32")
            mean = tf.reduce_sum(a, [1, 2]) * (AVERAGE_SCALE / pixels)
            pooled = floor_straight_through(mean + (0.5 + 0.25 / pixels))
        # In some runtimes ReLU makes 0 of NaN, which is in all of an image that
        # was out of range, or nowhere.
        within = tf.abs(inputs[:, 0, 0, 0]) < 2.0**EXACT_BITS
        pooled = nan_unless(within, pooled)
        return pooled * self.gain if self.scaled else pooled

    def get_config(self):
        return {
            **super().get_config(),
            "pooling": self.pooling,
            "activation_bits": self.activation_bits,
            "scaled": self.scaled,
        }
