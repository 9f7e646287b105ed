"""Invertible layers and couplings as users write them."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf import layers


@keras.saving.register_keras_serializable(package="tests")
class ActNorm(layers.InvertibleLayer):
    """A scale and a shift for each channel."""

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.scale = self.add_weight(
            shape=shape, initializer=keras.initializers.RandomUniform(0.5, 2)
        )
        self.shift = self.add_weight(shape=shape, initializer="normal")

    def call(self, inputs):
        return inputs * self.scale + self.shift

    def inverse(self, outputs):
        return (outputs - self.shift) / self.scale


@keras.saving.register_keras_serializable(package="tests")
class Convolution1x1(keras.layers.Layer):
    """Mixes channels by a rotation; knows nothing of this package."""

    def build(self, input_shape):
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(channels, channels),
            initializer=keras.initializers.Orthogonal(),
        )

    def call(self, inputs):
        return tf.tensordot(inputs, self.kernel, 1)

    def inverse(self, outputs):
        return tf.tensordot(outputs, tf.linalg.inv(self.kernel), 1)


@keras.saving.register_keras_serializable(package="tests")
class Squeeze(layers.InvertibleLayer):
    """Halves height and width, with the pixels in an order of its own."""

    @property
    def downsampling(self):
        return 2

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (
            batch,
            height and height // 2,
            width and width // 2,
            4 * channels,
        )

    def call(self, inputs):
        parts = [inputs[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return tf.concat(parts, -1)

    def inverse(self, outputs):
        parts = tf.split(outputs, 4, -1)
        columns = [
            tf.stack(parts[2 * j : 2 * j + 2], 2) for j in (0, 1)
        ]  # (B, H, 2, W, C)
        together = tf.stack(columns, 4)  # (B, H, 2, W, 2, C)
        shape = tf.shape(together)
        return tf.reshape(
            together,
            [shape[0], 2 * shape[1], 2 * shape[3], outputs.shape[-1] // 4],
        )


@keras.saving.register_keras_serializable(package="tests")
class AffineCoupling(layers.Coupling):
    """Scales and shifts one stream by functions of the other."""

    def couple(self, inputs, fx2):
        x1, x2 = inputs
        log_scale, shift = self._log_scale_and_shift(fx2)
        return x2, x1 * tf.exp(log_scale) + shift

    def residual_input(self, outputs):
        return outputs[0]

    def uncouple(self, outputs, x2, fx2):
        log_scale, shift = self._log_scale_and_shift(fx2)
        return (outputs[1] - shift) * tf.exp(-log_scale), x2

    def residual_shape(self, input_shape):
        *rest, channels = input_shape[0]
        return (*rest, 2 * channels)

    def _log_scale_and_shift(self, fx2):
        log_scale, shift = tf.split(fx2, 2, axis=-1)
        return 0.5 * tf.tanh(log_scale), shift


@keras.saving.register_keras_serializable(package="tests")
class RescaledAffineCoupling(AffineCoupling):
    """Has a weight of its own beside those of its residual."""

    def build(self, input_shape):
        super().build(input_shape)
        self.rescale = self.add_weight(
            shape=(input_shape[0][-1],), initializer="ones"
        )

    def _log_scale_and_shift(self, fx2):
        log_scale, shift = tf.split(fx2, 2, axis=-1)
        return self.rescale * tf.tanh(log_scale), shift


@keras.saving.register_keras_serializable(package="tests")
class SubtractiveCoupling(layers.AdditiveCoupling):
    """Takes F off where its base adds it."""

    def couple(self, inputs, fx2):
        return inputs[1], inputs[0] - fx2

    def uncouple(self, outputs, x2, fx2):
        return outputs[1] + fx2, x2


def image(shape=(2, 8, 8, 4), seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return tf.constant(values, "float32")
