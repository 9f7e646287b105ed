"""BatchNorm whose statistics are summed without loss of precision."""

import functools

import keras
import tensorflow as tf
from keras.src.backend.common.stateless_scope import get_stateless_scope

from irevnet_tf.layers.compilation import is_compiled
from irevnet_tf.layers.gradients import normalize
from irevnet_tf.layers.residual_scope import ResidualScope
from irevnet_tf.layers.residual_scope import run_with_separate_gradients


@keras.saving.register_keras_serializable(package="irevnet_tf")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' BatchNorm with mean and variance taken one axis at a time.

    Keras averages batch, height and width in one go, for which TensorFlow
    adds up the values of a channel one by one on a CPU: over 100,000 values
    the relative error of the mean is 1e-5. Where a channel hardly varies, as
    behind an injective network's padding, that is far more than its standard
    deviation can bear: first-step gradients were off by 1.5 %. Axis by axis,
    the sums are short, the error is that of float32, and it is faster.

    If `synchronized`, mean and variance are averaged over all replicas, whose
    batches must be of equal size. The variance is that around the common
    mean; Keras' difference of two squares would cancel.

    Arguments, shapes and weights are those of
    `keras.layers.BatchNormalization`.
    """

    def call(self, inputs, training=None, mask=None):
        if training and mask is None and self._is_fused(inputs):
            return self._normalize(inputs)
        run = functools.partial(super().call, training=training, mask=mask)
        if training and not tf.executing_eagerly():
            # The gradient of gamma ends in a product.
            return run_with_separate_gradients(self, run, inputs)
        return run(inputs)

    def _is_fused(self, inputs):
        """Return whether one operation can normalize, and one go back."""
        replica = tf.distribute.get_replica_context()
        is_alone = replica is None or replica.num_replicas_in_sync == 1
        return (
            self.trainable
            and not self.renorm
            and inputs.shape.rank == 4
            and self.axis in (-1, 3)
            and tf.as_dtype(self.variable_dtype).size <= 4
            and inputs.dtype.size <= 4
            and (is_alone or not self.synchronized)
            # XLA has its own gradient of it; a GPU's takes other arguments.
            and not is_compiled()
            and not tf.config.list_logical_devices("GPU")
        )

    def _normalize(self, inputs):
        x = tf.cast(inputs, "float32")
        mean, variance = map(tf.stop_gradient, self._remembered_moments(x))
        for moving, now in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            before = tf.cast(moving, "float32")
            moving.assign(before * self.momentum + now * (1 - self.momentum))
        scale, offset = (
            default(mean) if variable is None else tf.cast(variable, "float32")
            for variable, default in (
                (self.gamma, tf.ones_like),
                (self.beta, tf.zeros_like),
            )
        )
        y = normalize(x, scale, offset, mean, variance, self.epsilon)
        return tf.cast(y, self.compute_dtype)

    def _remembered_moments(self, x):
        """Return mean and variance, those of the forward pass if it is over."""
        scope = get_stateless_scope()
        if not isinstance(scope, ResidualScope):
            return self._moments(x, None)
        mean = scope.remembered(self.moving_mean, lambda: self._mean(x))
        variance = scope.remembered(
            self.moving_variance,
            lambda: self._mean(tf.math.squared_difference(x, mean)),
        )
        return mean, variance

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
