"""Residual functions: their base class, and F of an i-RevNet block."""

from collections.abc import Sequence

import keras
import numpy as np

from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.normalization import BatchNormalization
from irevnet_tf.layers.parts import TrackedParts

# The authors' networks were trained with PyTorch's defaults; Keras' momentum
# is one minus PyTorch's.
EPSILON = 1e-5
MOMENTUM = 0.9


def default_initializer():
    """Return PyTorch's default for kernels: uniform within 1/sqrt(fan_in).

    Keras' defaults (Glorot) and He initialization give each F a larger gain,
    and an inverse multiplies that gain from block to block: at 100 blocks it
    costs two decimals of the reconstruction and more.
    """
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


class Residual(TrackedParts, keras.layers.Layer):
    """A residual function: layers that run one after the other.

    Subclasses put them into the list `layers`. The configuration records them,
    since they may have been changed: `trainable`, a BatchNorm's `momentum`,
    LoRA.

    Args:
        **kwargs: keyword arguments. As for every Keras layer.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.layers = []

    def make_layer(self, layer_class, *args, **kwargs) -> keras.layers.Layer:
        """Return a layer that has this one's dtype policy."""
        return layer_class(*args, dtype=self.dtype_policy, **kwargs)

    def make_norm_relu(self, index: int) -> list:
        """Return BatchNorm and ReLU, named by their place."""
        norm = self.make_layer(
            BatchNormalization,
            epsilon=EPSILON,
            momentum=MOMENTUM,
            name=f"norm{index}",
        )
        relu = self.make_layer(keras.layers.ReLU, name=f"relu{index}")
        return [norm, relu]

    def make_convolution(
        self, index: int, filters: int, kernel_size: int, stride: int = 1
    ) -> list:
        """Return a convolution, and the padding that it needs before it."""
        layers, padding = [], "same"
        if stride > 1 and kernel_size > 1:
            # PyTorch pads a strided convolution on all sides; Keras' "same"
            # would pad right and below only.
            layers += [
                self.make_layer(
                    keras.layers.ZeroPadding2D,
                    kernel_size // 2,
                    data_format="channels_last",
                )
            ]
            padding = "valid"
        convolution = self.make_layer(
            keras.layers.Conv2D,
            filters,
            kernel_size,
            strides=stride,
            padding=padding,
            data_format="channels_last",
            use_bias=False,
            kernel_initializer=default_initializer(),
            name=f"conv{index}",
        )
        return [*layers, convolution]

    def make_dropout(self, rate: float, name: str | None = None) -> list:
        """Return a list of dropout, or an empty one if the rate is 0."""
        if not rate:
            return []
        return [self.make_layer(keras.layers.Dropout, rate, name=name)]

    def arguments_of(self, layer: keras.layers.Layer, x) -> tuple:
        """Return what a sublayer takes, given a tensor or the shape of one."""
        return (x,)

    def build(self, input_shape):
        for layer in self.layers:
            shapes = self.arguments_of(layer, input_shape)
            if not layer.built:
                layer.build(*shapes)
            input_shape = layer.compute_output_shape(*shapes)

    def compute_output_shape(self, input_shape):
        for layer in self.layers:
            shapes = self.arguments_of(layer, input_shape)
            input_shape = layer.compute_output_shape(*shapes)
        return input_shape

    def call(self, inputs, training=None):
        x = inputs
        for layer in self.layers:
            x = layer(*self.arguments_of(layer, x), training=training)
        return x

    def get_config(self):
        layers = [
            keras.saving.serialize_keras_object(layer) for layer in self.layers
        ]
        return {**super().get_config(), "layers": layers}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        layers = config.pop("layers", None)
        residual = super().from_config(config)
        if layers is not None:
            residual.layers.clear()
            residual.layers.extend(
                keras.saving.deserialize_keras_object(layers)
            )
        elif not residual.trainable:
            # From a version that did not record the layers: this is how a
            # residual looked that was frozen with its network.
            for layer in residual.layers:
                layer.trainable = False
        return residual


@keras.saving.register_keras_serializable(package="irevnet_tf")
class BottleneckResidual(Residual):
    """The residual of an i-RevNet: three convolutions behind BatchNorms.

    In the authors' order: [BN, ReLU,] conv (with the stride), BN, ReLU, conv,
    dropout, BN, ReLU, conv. The convolutions have no bias.

    Example:

    >>> residual = irevnet_tf.layers.BottleneckResidual(filters=16, stride=2)
    >>> residual(tf.zeros((2, 32, 32, 4))).shape
    TensorShape([2, 16, 16, 16])

    Args:
        filters: positive int. Output channels.
        stride: positive int. Stride of the first convolution.
        kernel_sizes: sequence of three odd ints. The sides of the three
            kernels.
        bottleneck_ratio: positive int. The first two convolutions have
            `filters//bottleneck_ratio` output channels.
        dropout_rate: float in [0, 1). The rate of the dropout behind the second
            convolution; 0 leaves it out.
        preactivation: bool. Whether F starts with BatchNorm and ReLU. False
            only for the first block of a network, which sees the image.

    Call arguments:
        inputs: float tensor. x2, the stream that F reads.
        training: bool. Whether BatchNorm uses the batch's statistics and
            updates the moving ones, and dropout is active.

    Input shape:
        `(batch, height, width, channels)`, cast to the compute dtype of the
        layer's dtype policy.

    Output shape:
        `(batch, height / stride, width / stride, filters)`, in the compute
        dtype. Sides that `stride` does not divide are rounded up.

    Reference:
        Section 2.1 and figure 1 of https://arxiv.org/abs/1802.07088;
        `irevnet_block` of the authors' PyTorch code.
    """

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        kernel_sizes: Sequence[int] = (3, 3, 3),
        bottleneck_ratio: int = 4,
        dropout_rate: float = 0.0,
        preactivation: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.stride = check_positive_int("stride", stride)
        self.kernel_sizes = check_kernel_sizes(kernel_sizes)
        self.bottleneck_ratio = check_positive_int(
            "bottleneck_ratio", bottleneck_ratio
        )
        width = self.filters // self.bottleneck_ratio
        if width < 1:
            raise ValueError(
                "`bottleneck_ratio` must be at most the number of filters. "
                f"Received: bottleneck_ratio={bottleneck_ratio}, "
                f"filters={filters}"
            )
        self.dropout_rate = dropout_rate
        self.preactivation = preactivation

        first, second, third = self.kernel_sizes
        if preactivation:
            self.layers += self.make_norm_relu(1)
        self.layers += self.make_convolution(1, width, first, self.stride)
        self.layers += self.make_norm_relu(2)
        self.layers += self.make_convolution(2, width, second)
        self.layers += self.make_dropout(dropout_rate)
        self.layers += self.make_norm_relu(3)
        self.layers += self.make_convolution(3, self.filters, third)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "stride": self.stride,
            "kernel_sizes": self.kernel_sizes,
            "bottleneck_ratio": self.bottleneck_ratio,
            "dropout_rate": self.dropout_rate,
            "preactivation": self.preactivation,
        }


def check_kernel_sizes(kernel_sizes):
    """Return three kernel sizes as a tuple, or raise ValueError.

    They must be odd: for an even one, no equal padding on both sides keeps
    the size.
    """
    sizes = tuple(kernel_sizes) if np.iterable(kernel_sizes) else ()
    sizes = tuple(check_positive_int("kernel_sizes", k) for k in sizes)
    if len(sizes) != 3 or not all(size % 2 for size in sizes):
        raise ValueError(
            "`kernel_sizes` must be three odd positive integers. "
            f"Received: kernel_sizes={kernel_sizes}"
        )
    return sizes
