"""BasicResidual, the residual function of two convolutions."""

import keras

from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.residual import Residual


@keras.saving.register_keras_serializable(package="irevnet_tf")
class BasicResidual(Residual):
    """The residual of a RevNet: two 3x3 convolutions behind BatchNorms.

    In this order: [BN, ReLU,] conv (with the stride), BN, ReLU, [dropout,]
    conv. The convolutions have no bias.

    Example:

    >>> residual = irevnet_tf.layers.BasicResidual(filters=16, stride=2)
    >>> residual(tf.zeros((2, 32, 32, 4))).shape
    TensorShape([2, 16, 16, 16])

    Args:
        filters: positive int. Output channels of both convolutions.
        stride: positive int. Stride of the first convolution.
        dropout_rate: float in [0, 1). The rate of the dropout in front of the
            second convolution; 0 leaves it out.
        preactivation: bool. Whether F starts with BatchNorm and ReLU. False
            only for the first unit of a network, behind a stem that ends in
            them.

    Call arguments:
        inputs: float tensor. The stream that F reads.
        training: bool. Whether BatchNorm uses the batch's statistics and
            updates the moving ones, and dropout is active.

    Input shape:
        `(batch, height, width, channels)`, cast to the compute dtype of the
        layer's dtype policy.

    Output shape:
        `(batch, height / stride, width / stride, filters)`, in the compute
        dtype. Sides that `stride` does not divide are rounded up.

    Reference:
        Section 3 of https://arxiv.org/abs/1707.04585 (RevNet), after
        https://arxiv.org/abs/1603.05027 (pre-activation ResNet).
    """

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        dropout_rate: float = 0.0,
        preactivation: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.stride = check_positive_int("stride", stride)
        self.dropout_rate = dropout_rate
        self.preactivation = preactivation

        if preactivation:
            self.layers += self.make_norm_relu(1)
        self.layers += self.make_convolution(1, self.filters, 3, self.stride)
        self.layers += self.make_norm_relu(2)
        self.layers += self.make_dropout(dropout_rate)
        self.layers += self.make_convolution(2, self.filters, 3)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "stride": self.stride,
            "dropout_rate": self.dropout_rate,
            "preactivation": self.preactivation,
        }
