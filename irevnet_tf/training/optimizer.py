"""Stochastic gradient descent as the networks of the paper were trained."""

import keras
import tensorflow as tf

# Parts of the names of weights that most recipes do not decay.
UNDECAYED = ("beta", "gamma", "bias")


@keras.saving.register_keras_serializable(package="irevnet_tf")
class SGD(keras.optimizers.SGD):
    """Keras' SGD, with L2 decay and clipping as published recipes mean them.

    With gradient g, weight w, momentum buffer v and learning rate r:

        g <- g * min(1, clip_norm / ||g||)    over all weights and replicas
        g <- g + l2 * w
        v <- momentum * v - r * g,   w <- w + v

    Keras' `weight_decay` is added to the weights beside the momentum instead,
    which makes it 1 / (1 - momentum) times weaker; its `global_clipnorm`
    clips what each replica computed, before the sum over the replicas.

    Keras' `fit` ends by overwriting the weights with their moving average, if
    there is one. Here they stay, for training to go on: see
    `irevnet_tf.training.averages`.

    Args:
        learning_rate: float or `LearningRateSchedule`.
        l2: float. The decay. `exclude_from_weight_decay` spares weights.
        clip_norm: float. Largest norm of the gradient, 0 for no limit.
        **kwargs: Arguments of `keras.optimizers.SGD`.
    """

    def __init__(self, learning_rate=0.01, l2=0.0, clip_norm=0.0, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.l2 = l2
        self.clip_norm = clip_norm

    def update_step(self, gradient, variable, learning_rate):
        if self.l2 and self._use_weight_decay(variable):
            gradient += self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def finalize_variable_values(self, var_list):
        pass

    def _all_reduce_sum_gradients(self, grads_and_vars):
        pairs = super()._all_reduce_sum_gradients(grads_and_vars)
        if not self.clip_norm:
            return pairs
        gradients, variables = zip(*pairs, strict=True)
        gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm)
        return list(zip(gradients, variables, strict=True))

    def get_config(self):
        return {
            **super().get_config(),
            "l2": self.l2,
            "clip_norm": self.clip_norm,
        }
