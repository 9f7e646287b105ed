"""SGD and AdamW of published recipes, loss scaling, averaged (EMA) weights."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

# Parts of the names of weights that most recipes do not decay.
UNDECAYED = ("beta", "gamma", "bias")


class _Recipe:
    """What optimizers of this module have beyond those of Keras.

    They clip the gradient as published recipes mean it, over all weights and
    replicas; Keras' `global_clipnorm` clips that of each replica, before the
    sum. They can accumulate gradients on several replicas.

    Keras' `fit` ends by overwriting the weights with their moving average, if
    there is one. Here they stay, so that training can continue: see
    `averaged_weights`.

    Args:
        *args: positional arguments. Those of Keras' optimizer.
        clip_norm: float. Largest norm of the gradient, 0 for no limit.
        **kwargs: keyword arguments. Those of Keras' optimizer.
    """

    def __init__(self, *args: Any, clip_norm: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.clip_norm = clip_norm

    def finalize_variable_values(self, var_list):
        pass

    def _backend_apply_gradients(self, grads, trainable_variables):
        strategy = tf.distribute.get_strategy()
        if not (
            self.gradient_accumulation_steps
            and tf.distribute.get_replica_context()
            and strategy.num_replicas_in_sync > 1
        ):
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        # Keras branches on each replica, where a branch cannot communicate
        # with the others. So all replicas take one common branch.
        tf.distribute.get_replica_context().merge_call(
            self._accumulate_on_all, (grads, trainable_variables)
        )
        if self.use_ema:
            self._update_model_variables_moving_average(
                self._trainable_variables
            )

    def _accumulate_on_all(self, strategy, grads, variables):
        steps = self.gradient_accumulation_steps

        def update(grads, variables):
            sums = map(self._accumulator, variables)
            means = [(g + s) / steps for g, s in zip(grads, sums, strict=True)]
            self._backend_update_step(means, variables, self.learning_rate)
            self._backend_reset_gradient_accumulators()

        def add(grads, variables):
            for gradient, variable in zip(grads, variables, strict=True):
                self._accumulator(variable).assign_add(gradient)

        def on_all(function):
            strategy.extended.call_for_each_replica(
                function, args=(grads, variables)
            )

        tf.cond(
            tf.equal((self._iterations.value + 1) % steps, 0),
            lambda: on_all(update),
            lambda: on_all(add),
        )

    def _accumulator(self, variable):
        return self._accumulated_gradients[self._get_variable_index(variable)]

    def _all_reduce_sum_gradients(self, grads_and_vars):
        pairs = list(grads_and_vars)
        # Keras copies each gradient of one replica as well.
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            pairs = super()._all_reduce_sum_gradients(pairs)
        if not self.clip_norm:
            return pairs
        gradients, variables = zip(*pairs, strict=True)
        gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm)
        return list(zip(gradients, variables, strict=True))

    def get_config(self):
        return {**super().get_config(), "clip_norm": self.clip_norm}


@keras.saving.register_keras_serializable(package="irevnet_tf")
class SGD(_Recipe, keras.optimizers.SGD):
    """Keras' SGD, with L2 decay and clipping as published recipes mean them.

    With gradient g, weight w, momentum buffer v and learning rate r:

        g <- g * min(1, clip_norm / ||g||)    over all weights and replicas
        g <- g + l2 * w
        v <- momentum * v - r * g,   w <- w + v

    Keras subtracts `weight_decay` from the weights without the momentum
    instead, which makes it 1 / (1 - momentum) times weaker; its
    `global_clipnorm` clips the gradient of each replica, before the sum over
    the replicas. In `fit`, weights are not overwritten by their moving average.

    Example:

    >>> model = irevnet_tf.IRevNet28(input_shape=(8, 8, 1), classes=10)
    >>> optimizer = irevnet_tf.training.SGD(0.1, l2=5e-4, momentum=0.9)
    >>> optimizer.exclude_from_weight_decay(var_names=["beta", "gamma"])
    >>> model.compile(optimizer, "sparse_categorical_crossentropy")

    Args:
        learning_rate: float or `LearningRateSchedule`. The learning rate r.
        l2: float. The decay. `exclude_from_weight_decay` spares weights.
        clip_norm: float. Largest norm of the gradient, 0 for no limit.
        **kwargs: keyword arguments. Those of `keras.optimizers.SGD`.
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule = 0.01,
        l2: float = 0.0,
        clip_norm: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, clip_norm=clip_norm, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        if self.l2 and self._use_weight_decay(variable):
            gradient += self.l2 * variable
        if not isinstance(gradient, tf.Tensor):
            super().update_step(gradient, variable, learning_rate)
            return
        # One operation for a variable, where Keras has nine: less to trace,
        # and one pass over the memory of large weights.
        gradient = tf.cast(gradient, variable.dtype)
        learning_rate = tf.cast(learning_rate, variable.dtype)
        if not self.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(
                var=variable.handle, alpha=learning_rate, delta=gradient
            )
            return
        momentum = self.momentums[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=momentum.value.handle,
            lr=learning_rate,
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        # Read once, not for each variable.
        learning_rate = tf.convert_to_tensor(learning_rate)
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


@keras.saving.register_keras_serializable(package="irevnet_tf")
class AdamW(_Recipe, keras.optimizers.AdamW):
    """Keras' AdamW, with clipping and averages as in `SGD`.

    Example:

    >>> model = irevnet_tf.RevViTMini(input_shape=(8, 8, 1), classes=10)
    >>> optimizer = irevnet_tf.training.AdamW(1e-3, clip_norm=1.0)
    >>> model.compile(optimizer, "sparse_categorical_crossentropy")

    Args:
        *args: positional arguments. Those of `keras.optimizers.AdamW`.
        clip_norm: float. Largest norm of the gradient over all weights and
            replicas, 0 for no limit.
        **kwargs: keyword arguments. Those of `keras.optimizers.AdamW`.

    Reference:
        Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019
        (https://arxiv.org/abs/1711.05101).
    """

    def __init__(self, *args: Any, clip_norm: float = 0.0, **kwargs: Any):
        super().__init__(*args, clip_norm=clip_norm, **kwargs)


@keras.saving.register_keras_serializable(package="irevnet_tf")
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Keras' optimizer for float16, safe on several replicas.

    Keras skips a step only if gradients overflow on the first replica. If they
    do on another, it adds them to the weights.
    """

    def check_finite(self, grads):
        finite = super().check_finite(grads)
        strategy = tf.distribute.get_strategy()
        if strategy.num_replicas_in_sync == 1:
            return finite
        replica = tf.distribute.get_replica_context()
        count = replica.all_reduce("SUM", tf.cast(finite, "int32"))
        return tf.equal(count, strategy.num_replicas_in_sync)


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Exchange a model's weights for their moving average inside the block.

    Keras' `SwapEMAWeights` exchanges by adding and subtracting, which rounds:
    the weights that training continues with would depend on how often they
    were evaluated.

    Args:
        model: Keras model. A compiled model. If its optimizer keeps no moving
            average, nothing happens.
    """
    optimizer = model.optimizer
    # Under mixed_float16 Keras wraps the optimizer, to scale the loss.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not optimizer.use_ema:
        yield
        return
    # Keras has no public name for either list.
    variables = optimizer._trainable_variables
    averages = optimizer._model_variables_moving_average
    values = [variable.numpy() for variable in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(average.numpy())
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
