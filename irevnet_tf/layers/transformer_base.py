"""What the residual functions of a transformer have in common."""

import numbers

import keras

from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.parts import freeze_by_flags
from irevnet_tf.layers.parts import trainable_flags
from irevnet_tf.layers.residual import Residual

EPSILON = 1e-6

# Initial values are those of RevViT's published code: a normal distribution
# for weights (PyTorch's `trunc_normal_` cuts it off at 2, a hundred times as
# much), and the same number for the biases of Dense layers and LayerNorms.
STANDARD_DEVIATION = 0.02
BIAS = 0.02


def normal_initializer():
    """Return the initializer of kernels and positions."""
    return keras.initializers.RandomNormal(stddev=STANDARD_DEVIATION)


def kernel_initializer_of(value) -> keras.initializers.Initializer:
    """Return the initializer that a user named, or the published one.

    Raises:
        ValueError: if it is none.
    """
    if value is None:
        return normal_initializer()
    try:
        return keras.initializers.get(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`kernel_initializer` must be None, a Keras initializer, or the "
            "name or configuration of one. Received: "
            f"kernel_initializer={value!r}"
        ) from error


def bias_initializer():
    """Return the initializer of the biases of Dense layers and LayerNorms."""
    return keras.initializers.Constant(BIAS)


class TransformerResidual(Residual):
    """LayerNorm, a function of the tokens, and stochastic depth.

    Args:
        width: positive int. Length of a token.
        dropout_rate: float in [0, 1). Rate of the dropout in the function.
        stochastic_depth_rate: float in [0, 1). The share of examples for which
            the residual is left out in training. What is kept is scaled up.
        epsilon: positive float. Of the LayerNorm.
        kernel_initializer: None or Keras initializer. That of the kernels, None
            for that of the published code.
        **kwargs: keyword arguments. `name`, `dtype` and `trainable`, as for
            every Keras layer.
    """

    def __init__(
        self,
        width: int,
        dropout_rate: float = 0.0,
        stochastic_depth_rate: float = 0.0,
        epsilon: float = EPSILON,
        kernel_initializer: str | keras.Initializer | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.width = check_positive_int("width", width)
        self.dropout_rate = check_rate("dropout_rate", dropout_rate)
        self.stochastic_depth_rate = check_rate(
            "stochastic_depth_rate", stochastic_depth_rate
        )
        self.epsilon = check_epsilon("epsilon", epsilon)
        self.kernel_initializer = kernel_initializer_of(kernel_initializer)
        self._recorded_flags = None

    def make_sublayers(self, *function):
        """Return the list of sublayers, given those of the function."""
        norm = self.make_layer(
            keras.layers.LayerNormalization,
            epsilon=self.epsilon,
            beta_initializer=bias_initializer(),
            name="norm",
        )
        layers = [norm, *function]
        if self.stochastic_depth_rate:
            layers += [
                # One decision for all values of an example.
                self.make_layer(
                    keras.layers.Dropout,
                    self.stochastic_depth_rate,
                    noise_shape=(None, 1, 1),
                    name="stochastic_depth",
                )
            ]
        return layers

    def arguments_of(self, layer, x):
        # Attention takes the tokens twice.
        is_attention = isinstance(layer, keras.layers.MultiHeadAttention)
        return (x, x) if is_attention else (x,)

    def build(self, input_shape):
        if len(input_shape) != 3 or input_shape[-1] != self.width:
            raise ValueError(
                f"{type(self).__name__} takes tokens (batch, tokens, width) "
                f"of the width that it was made for, {self.width}. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        super().build(input_shape)
        if self._recorded_flags is not None:
            freeze_by_flags(self, self._recorded_flags)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "dropout_rate": self.dropout_rate,
            "stochastic_depth_rate": self.stochastic_depth_rate,
            "epsilon": self.epsilon,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            # Attention makes its own layers when it is built, none frozen.
            "trainable_flags": (
                trainable_flags(self) if self.built else self._recorded_flags
            ),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        flags = config.pop("trainable_flags", None)
        residual = super().from_config(config)
        residual._recorded_flags = flags
        return residual


def check_rate(name: str, rate) -> float:
    """Return a rate of dropout as a float, or raise ValueError."""
    if not isinstance(rate, numbers.Real) or not 0 <= rate < 1:
        raise ValueError(
            f"`{name}` must be at least 0 and less than 1. "
            f"Received: {name}={rate!r}"
        )
    return float(rate)


def check_epsilon(name: str, epsilon) -> float:
    """Return what a LayerNorm adds to variances, or raise ValueError."""
    if not isinstance(epsilon, numbers.Real) or not epsilon > 0:
        raise ValueError(
            f"`{name}` must be a positive number. Received: {name}={epsilon!r}"
        )
    return float(epsilon)
