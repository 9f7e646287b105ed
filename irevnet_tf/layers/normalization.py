"""BatchNormalization with statistics summed without loss of precision."""

import functools

import keras
import tensorflow as tf

from irevnet_tf.layers.block_functions import run_with_separate_gradients
from irevnet_tf.layers.gradients import is_compiled


@keras.saving.register_keras_serializable(package="irevnet_tf")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' BatchNorm with mean and variance taken one axis at a time.

    Keras averages batch, height and width at once, for which TensorFlow adds
    up the values of a channel one by one on a CPU: over 100,000 values the
    relative error of the mean is 1e-5. Where a channel hardly varies, as
    behind an injective network's padding, that is far too much beside its
    standard deviation: first-step gradients were off by 1.5 %. Axis by axis,
    the sums are short, the error is that of float32, and it is faster.

    If `synchronized`, mean and variance are averaged over all replicas, whose
    batches must be of equal size. The variance is taken around the common
    mean; Keras' difference of two squares would cancel.

    Arguments and weights are those of `keras.layers.BatchNormalization`.

    Example:

    >>> norm = irevnet_tf.layers.BatchNormalization(momentum=0.9)
    >>> y = norm(tf.random.normal((8, 16, 16, 3)), training=True)

    Call arguments:
        inputs: float tensor. The values to normalize.
        training: bool. Whether to normalize by the batch's statistics and
            update the moving ones, instead of normalizing by these. A layer
            that is not `trainable` always uses the moving ones.
        mask: None or bool tensor. True where a value counts in the
            statistics. With a mask these are summed as Keras does it.

    Input shape:
        Any, cast to the compute dtype of the layer's dtype policy.

    Output shape:
        Same as the input, in the compute dtype.
    """

    def call(self, inputs, training=None, mask=None):
        is_training = training and self.trainable
        if mask is None and not is_training and self._is_fused(inputs):
            return self._infer(inputs)
        run = functools.partial(super().call, training=training, mask=mask)
        if training and not tf.executing_eagerly():
            # The gradient of gamma ends in a product.
            return run_with_separate_gradients(self, run, inputs)
        return run(inputs)

    def _is_fused(self, inputs):
        return (
            # A subclass may compute other moments.
            type(self) is BatchNormalization
            and self.axis in (-1, inputs.shape.rank - 1)
            and inputs.dtype == self.compute_dtype
            and is_fused(inputs)
        )

    def _infer(self, inputs):
        mean, variance = (
            tf.cast(moving, "float32")
            for moving in (self.moving_mean, self.moving_variance)
        )
        scale, offset = self._scale_and_offset(mean)
        factor = tf.math.rsqrt(variance + self.epsilon) * scale
        return scale_and_shift(inputs, factor, offset - mean * factor)

    def _scale_and_offset(self, like):
        """Return gamma and beta, or 1 and 0 without them, in float32."""
        return (
            default(like) if variable is None else tf.cast(variable, "float32")
            for variable, default in (
                (self.gamma, tf.ones_like),
                (self.beta, tf.zeros_like),
            )
        )

    def _moments(self, inputs, mask):
        if mask is not None:
            return super()._moments(inputs, mask)
        mean = self._mean(inputs)
        # The variance, over all replicas together, does not depend on its
        # centre to first order.
        centre = tf.stop_gradient(mean)
        if self.axis not in (-1, inputs.shape.rank - 1):
            shape = [1] * inputs.shape.rank
            shape[self.axis] = -1
            centre = tf.reshape(centre, shape)
        return mean, self._mean(tf.math.squared_difference(inputs, centre))

    def _mean(self, inputs):
        for axis in sorted(self._reduction_axes, reverse=True):
            inputs = tf.reduce_mean(inputs, axis)
        if self.synchronized:
            replica = tf.distribute.get_replica_context()
            if replica is not None and replica.num_replicas_in_sync > 1:
                inputs = replica.all_reduce("MEAN", inputs)
        return inputs


def is_fused(x) -> bool:
    """Return whether `scale_and_shift` is one operation for a tensor."""
    return x.dtype == tf.bfloat16 and x.shape.rank == 4 and _is_for_cpu()


def scale_and_shift(x, factor, shift):
    """Return `x * factor + shift`, computed in their dtype, in the dtype of x.

    With activations in bfloat16 this is one operation, instead of two casts,
    a product and a sum.

    Args:
        x: float tensor, channels last. The values to scale.
        factor: tensor (channels,), float32 or float64. What x is multiplied by.
        shift: tensor, as `factor`. What is added.
    """
    if not is_fused(x):
        return tf.cast(tf.cast(x, factor.dtype) * factor + shift, x.dtype)
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=factor,
        offset=shift,
        mean=tf.zeros_like(factor),
        variance=tf.ones_like(factor),
        epsilon=0.0,
        is_training=False,
    ).y


def _is_for_cpu():
    """Return whether the code is traced or run for TensorFlow's CPU kernels.

    XLA has other kernels.
    """
    return not is_compiled() and not tf.config.list_logical_devices("GPU")
