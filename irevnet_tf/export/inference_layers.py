"""Layers for inference: BatchNorms without statistics, rounded kernels."""

import keras
import tensorflow as tf

from irevnet_tf.layers import BatchNormalization
from irevnet_tf.layers.normalization import scale_and_shift

# Of what matters in training only, and need not be registered with Keras.
_BARE = {
    "activation": None,
    "kernel_initializer": "zeros",
    "bias_initializer": "zeros",
    "kernel_regularizer": None,
    "bias_regularizer": None,
    "activity_regularizer": None,
    "kernel_constraint": None,
    "bias_constraint": None,
}


def for_inference(layer: keras.Layer) -> keras.Layer:
    """Return the layer that replaces a layer in inference.

    Args:
        layer: Keras layer. A built layer.

    Returns:
        An `InferenceNormalization` for a BatchNorm, a copy in half precision
        for a convolution that rounds its kernel, else the layer itself.
    """
    norms = (BatchNormalization, keras.layers.BatchNormalization)
    if type(layer) in norms and layer.axis == -1:
        return InferenceNormalization(layer)
    if type(layer) is keras.layers.Conv2D and _rounds_its_kernel(layer):
        config = {**layer.get_config(), **_BARE, "dtype": layer.compute_dtype}
        copy = keras.layers.Conv2D.from_config(config)
        copy.activation = layer.activation
        copy.build_from_config(layer.get_build_config())
        copy.set_weights([tf.cast(w, copy.dtype) for w in layer.weights])
        return copy
    return layer


def _rounds_its_kernel(convolution):
    return (
        convolution.compute_dtype != convolution.variable_dtype
        and convolution.autocast
        and convolution.quantization_mode is None
        and not convolution.lora_enabled
    )


class InferenceNormalization(keras.layers.Layer):
    """BatchNorm in inference: `x * factor + shift`, by channel.

    Args:
        norm: Keras layer. A built BatchNorm over the last axis, whose present
            values are taken.

    Input shape:
        `(..., channels)`.

    Output shape:
        Same as the input.
    """

    def __init__(self, norm):
        super().__init__(
            name=norm.name, dtype=norm.dtype_policy, trainable=False
        )
        self._is_keras = type(norm) is not BatchNormalization
        wide = "float64" if norm.variable_dtype == "float64" else "float32"

        def value(variable):
            return tf.cast(variable.value, wide)

        # The operations of `tf.nn.batch_normalization`, in its order: the
        # results have the same bits.
        factor = tf.math.rsqrt(value(norm.moving_variance) + norm.epsilon)
        if norm.scale:
            factor *= value(norm.gamma)
        if norm.center:
            shift = value(norm.beta) - value(norm.moving_mean) * factor
        else:
            shift = -value(norm.moving_mean) * factor
        self.factor, self.shift = (
            self.add_weight(
                shape=value.shape,
                initializer=lambda shape, dtype, value=value: value,
                dtype=value.dtype.name,
                # BatchNorm computes in float32 under mixed policies, too.
                autocast=False,
                trainable=False,
                name=name,
            )
            for name, value in (("factor", factor), ("shift", shift))
        )

    def build(self, input_shape):
        pass

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs, training=None, mask=None):
        # Called with what the BatchNorm in its place was called with.
        if self._is_keras:
            x = tf.cast(inputs, self.factor.dtype)
            return tf.cast(x * self.factor + self.shift, self.compute_dtype)
        return scale_and_shift(
            tf.cast(inputs, self.compute_dtype),
            tf.convert_to_tensor(self.factor),
            tf.convert_to_tensor(self.shift),
        )
