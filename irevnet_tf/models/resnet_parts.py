"""What RevNets and ResNets have in common: stem, residuals, shortcuts, head."""

import keras

from irevnet_tf.layers import BasicResidual
from irevnet_tf.layers import BatchNormalization
from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import PooledShortcut
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.residual import EPSILON
from irevnet_tf.layers.residual import MOMENTUM
from irevnet_tf.layers.residual import default_initializer
from irevnet_tf.models.checks import check_options
from irevnet_tf.models.checks import check_stages
from irevnet_tf.models.head import classifier
from irevnet_tf.models.head import pool

# A bottleneck's output has this many times the channels of its middle.
EXPANSION = 4


def check_network(
    blocks,
    strides,
    channels,
    stem_channels,
    initial_downsampling,
    dropout_rate,
    pooling,
    classes,
    weights,
):
    """Return the stages and the stem's channels, or raise ValueError.

    Returns:
        A tuple of `blocks`, `strides` and `channels` as tuples, and
        `stem_channels` as an int.
    """
    blocks, strides, channels = check_stages(blocks, strides, channels)
    if stem_channels is None:
        stem_channels = channels[0]
    stem_channels = check_positive_int("stem_channels", stem_channels)
    if initial_downsampling not in (1, 4):
        raise ValueError(
            "`initial_downsampling` must be 1 or 4. "
            f"Received: initial_downsampling={initial_downsampling}"
        )
    check_options(initial_downsampling, dropout_rate, pooling, classes, weights)
    return blocks, strides, channels, stem_channels


def convolutional_stem(image, channels: int, initial_downsampling: int):
    """Return what the stem makes of an image, a Keras tensor.

    A 3x3 convolution, or a 7x7 one with stride 2 and max pooling behind it;
    BatchNorm and ReLU follow the convolution. Padding is TensorFlow's, as in
    the authors' code.

    Args:
        image: Keras tensor (batch, height, width, channels). The image.
        channels: int. Output channels.
        initial_downsampling: int. 1 or 4.
    """
    is_large = initial_downsampling > 1
    x = keras.layers.Conv2D(
        channels,
        7 if is_large else 3,
        strides=2 if is_large else 1,
        padding="same",
        data_format="channels_last",
        use_bias=False,
        kernel_initializer=default_initializer(),
        name="stem_conv",
    )(image)
    x = BatchNormalization(
        epsilon=EPSILON, momentum=MOMENTUM, name="stem_norm"
    )(x)
    x = keras.layers.ReLU(name="stem_relu")(x)
    if is_large:
        x = keras.layers.MaxPooling2D(
            3,
            strides=2,
            padding="same",
            data_format="channels_last",
            name="stem_pool",
        )(x)
    return x


def make_residual(
    channels: int,
    *,
    bottleneck: bool,
    stride: int = 1,
    dropout_rate: float = 0.0,
    preactivation: bool = True,
    name: str = "residual",
) -> keras.layers.Layer:
    """Return a residual function: 1x1, 3x3 and 1x1 convolutions, or two 3x3.

    Args:
        channels: int. Output channels.
        bottleneck: bool. Whether it is one of three convolutions.
        stride: int. That of the first convolution.
        dropout_rate: float. That of its dropout, 0 for none.
        preactivation: bool. Whether it starts with BatchNorm and ReLU.
        name: str. Name of the layer.
    """
    arguments = {
        "stride": stride,
        "dropout_rate": dropout_rate,
        "preactivation": preactivation,
        "name": name,
    }
    if not bottleneck:
        return BasicResidual(channels, **arguments)
    return BottleneckResidual(
        channels,
        kernel_sizes=(1, 3, 1),
        bottleneck_ratio=EXPANSION,
        **arguments,
    )


def make_shortcut(
    channels: int, *, bottleneck: bool, stride: int, name: str = "shortcut"
) -> keras.layers.Layer:
    """Return the layer beside a residual function that changes the shape.

    Args:
        channels: int. Output channels.
        bottleneck: bool. Whether the residual function is a bottleneck. Beside
            these stands a 1x1 convolution, beside others what has no weights.
        stride: int. By how much height and width are divided.
        name: str. Name of the layer.
    """
    if not bottleneck:
        return PooledShortcut(channels, stride, name=name)
    return keras.layers.Conv2D(
        channels,
        1,
        strides=stride,
        data_format="channels_last",
        use_bias=False,
        kernel_initializer=default_initializer(),
        name=name,
    )


def resnet_head(x, include_top: bool, pooling, classes: int, activation):
    """Return what a network returns of its representation, a Keras tensor.

    Args:
        x: Keras tensor (batch, height, width, channels). The representation.
        include_top: bool. Whether to end in the classifier.
        pooling: None or str. Without the classifier: None for `x` itself,
            "avg" or "max" for pooled features.
        classes: int. The number of classes.
        activation: None, str or callable. That of the classifier.
    """
    if include_top:
        x = pool(x, "avg", momentum=MOMENTUM)
        return classifier(x, classes, activation)
    return pool(x, pooling, momentum=MOMENTUM) if pooling else x
