"""The two residual functions of a transformer: attention and MLP."""

import keras

from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.transformer_base import EPSILON
from irevnet_tf.layers.transformer_base import TransformerResidual
from irevnet_tf.layers.transformer_base import bias_initializer


@keras.saving.register_keras_serializable(package="irevnet_tf")
class AttentionResidual(TransformerResidual):
    """The F of a RevViT: multi-head self-attention behind a LayerNorm.

    In this order: LayerNorm, attention between all tokens, [dropout,
    stochastic depth].

    Example:

    >>> residual = irevnet_tf.layers.AttentionResidual(width=16, heads=2)
    >>> residual(tf.zeros((2, 9, 16))).shape
    TensorShape([2, 9, 16])

    Args:
        width: positive int. Length of a token.
        heads: positive int. The number of heads. It must divide `width`.
        dropout_rate: float in [0, 1). Rate of a dropout behind the attention's
            projection; 0 leaves it out.
        stochastic_depth_rate: float in [0, 1). The share of examples for which
            the residual is 0 in training, while it is scaled up for the others;
            0 leaves it out.
        epsilon: positive float. The epsilon of the LayerNorm.
        kernel_initializer: None or Keras initializer. The initializer of the
            kernels. Defaults to the published code's, a normal distribution of
            0.02, which is small for tokens of a hundred values.

    Call arguments:
        inputs: float tensor. x2, the stream that F reads.
        training: bool. Whether dropout and stochastic depth are active.

    Input shape:
        `(batch, tokens, width)`, cast to the compute dtype of the layer's dtype
        policy.

    Output shape:
        Same as the input, in the compute dtype.

    Raises:
        ValueError: if an argument is out of range; at build, for tokens of
            another width.

    Reference:
        Section 3.2 of https://arxiv.org/abs/2302.04869.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout_rate: float = 0.0,
        stochastic_depth_rate: float = 0.0,
        epsilon: float = EPSILON,
        kernel_initializer: str | keras.Initializer | None = None,
        **kwargs,
    ) -> None:
        super().__init__(
            width,
            dropout_rate,
            stochastic_depth_rate,
            epsilon,
            kernel_initializer,
            **kwargs,
        )
        self.heads = check_positive_int("heads", heads)
        if self.width % self.heads:
            raise ValueError(
                "`heads` must divide `width`. "
                f"Received: heads={heads}, width={width}"
            )
        attention = self.make_layer(
            keras.layers.MultiHeadAttention,
            self.heads,
            self.width // self.heads,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=bias_initializer(),
            name="attention",
        )
        self.layers = self.make_sublayers(
            attention, *self.make_dropout(self.dropout_rate, "dropout")
        )

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable(package="irevnet_tf")
class MLPResidual(TransformerResidual):
    """The G of a RevViT: two Dense layers behind a LayerNorm, token by token.

    In this order: LayerNorm, Dense, exact gelu, [dropout,] Dense, [dropout,
    stochastic depth].

    Example:

    >>> residual = irevnet_tf.layers.MLPResidual(width=16, hidden=64)
    >>> residual(tf.zeros((2, 9, 16))).shape
    TensorShape([2, 9, 16])

    Args:
        width: positive int. Length of a token.
        hidden: positive int. Units of the first Dense layer.
        dropout_rate: float in [0, 1). Rate of the dropouts; 0 leaves them out.
        stochastic_depth_rate: float in [0, 1). As in `AttentionResidual`.
        epsilon: positive float. As in `AttentionResidual`.
        kernel_initializer: None or Keras initializer. As in
            `AttentionResidual`.

    Call arguments:
        inputs: float tensor. y1, the stream that G reads.
        training: bool. Whether dropout and stochastic depth are active.

    Input shape:
        `(batch, tokens, width)`, cast to the compute dtype of the layer's dtype
        policy.

    Output shape:
        Same as the input, in the compute dtype.

    Raises:
        ValueError: if an argument is out of range; at build, for tokens of
            another width.

    Reference:
        Section 3.2 of https://arxiv.org/abs/2302.04869.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        dropout_rate: float = 0.0,
        stochastic_depth_rate: float = 0.0,
        epsilon: float = EPSILON,
        kernel_initializer: str | keras.Initializer | None = None,
        **kwargs,
    ) -> None:
        super().__init__(
            width,
            dropout_rate,
            stochastic_depth_rate,
            epsilon,
            kernel_initializer,
            **kwargs,
        )
        self.hidden = check_positive_int("hidden", hidden)
        self.layers = self.make_sublayers(
            self._dense(1, self.hidden, "gelu"),
            *self.make_dropout(self.dropout_rate, "dropout1"),
            self._dense(2, self.width, None),
            *self.make_dropout(self.dropout_rate, "dropout2"),
        )

    def _dense(self, index, units, activation):
        return self.make_layer(
            keras.layers.Dense,
            units,
            activation=activation,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=bias_initializer(),
            name=f"dense{index}",
        )

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}
