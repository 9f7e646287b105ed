"""ResNet, the function that builds pre-activation ResNets."""

import os
from collections.abc import Callable
from collections.abc import Sequence

import keras

from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.models.checks import check_activation
from irevnet_tf.models.inputs import finished_model
from irevnet_tf.models.inputs import image_input
from irevnet_tf.models.resnet_parts import EXPANSION
from irevnet_tf.models.resnet_parts import check_network
from irevnet_tf.models.resnet_parts import convolutional_stem
from irevnet_tf.models.resnet_parts import make_residual
from irevnet_tf.models.resnet_parts import make_shortcut
from irevnet_tf.models.resnet_parts import resnet_head


def ResNet(
    blocks: Sequence[int],
    strides: Sequence[int],
    channels: Sequence[int],
    *,
    bottleneck: bool = False,
    stem_channels: int | None = None,
    initial_downsampling: int = 1,
    dropout_rate: float = 0.0,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable | None = "softmax",
    name: str = "resnet",
) -> keras.Model:
    """Build a pre-activation ResNet of the same parts as `RevNet`.

    It is what a RevNet is to be compared with: stem, residual functions,
    shortcuts, initial weights and head are the same. It has one stream, and no
    inverse; training keeps all activations.

    Example:

    >>> model = irevnet_tf.baselines.ResNet(
    ...     (2, 2), (1, 2), (8, 16), input_shape=(16, 16, 3), classes=10
    ... )
    >>> probabilities = model(keras.random.uniform((1, 16, 16, 3)))  # (1, 10)

    Args:
        blocks: sequence of positive ints. The number of units per stage.
        strides: sequence of ints, 1 or 2. The stride of each stage's first
            unit.
        channels: sequence of positive ints. The channels of each stage; a
            bottleneck's output has 4 times as many.
        bottleneck: bool. Whether residual functions have three convolutions,
            1x1, 3x3 and 1x1, instead of two of 3x3.
        stem_channels: None or positive int. Output channels of the stem.
            Defaults to those of the first stage.
        initial_downsampling: int, 1 or 4. 1 for a stem of one 3x3 convolution;
            4 for a 7x7 convolution with stride 2, and max pooling.
        dropout_rate: float in [0, 1). In front of each residual's last
            convolution.
        include_top: bool. Whether to end in the classifier.
        weights: None or path. None for random initialization, or the path of a
            `.weights.h5` file.
        input_tensor: None or Keras tensor. The tensor to take as the image.
        input_shape: None or tuple (height, width, channels). Height and width
            may be None, or any. Defaults to `(None, None, 3)`. The weights do
            not depend on it.
        pooling: None or str. What to return when `include_top` is False. None:
            the representation behind the last stage, 4D. `"avg"` or `"max"`:
            features behind the last BatchNorm and ReLU, pooled over the image,
            2D.
        classes: positive int. The number of classes.
        classifier_activation: None, str or callable. Activation of the top
            layer; None returns logits. With `weights` it must be `"softmax"` or
            None.
        name: str. Name of the model.

    Returns:
        A Keras Functional model. Its layers are `stem_conv`, ..., and for
        each unit `stage2_block1` (the residual function),
        `stage2_block1_shortcut` (if it changes the shape) and
        `stage2_block1_add`. The sums and the head are float32, or float64 under
        that policy; all else may compute in half precision.

    Raises:
        ValueError: if an argument is out of range; if the stages' arguments
            differ in length; if a stage without a bottleneck has fewer channels
            than the one before; if the weights file does not exist or does not
            fit.

    Reference:
        He, Zhang, Ren, Sun: Identity Mappings in Deep Residual Networks, ECCV
        2016 (https://arxiv.org/abs/1603.05027), as in the authors' code of
        https://arxiv.org/abs/1707.04585.
    """
    blocks, strides, channels, stem_channels = check_network(
        blocks,
        strides,
        channels,
        stem_channels,
        initial_downsampling,
        dropout_rate,
        pooling,
        classes,
        weights,
    )
    classifier_activation = check_activation(
        classifier_activation, weights, include_top
    )

    image = image_input(input_shape, input_tensor)
    x = convolutional_stem(image, stem_channels, initial_downsampling)
    stages = zip(blocks, strides, channels, strict=True)
    for index, (depth, stride, width) in enumerate(stages, start=1):
        width *= EXPANSION if bottleneck else 1
        for position in range(1, depth + 1):
            prefix = f"stage{index}_block{position}"
            fx = make_residual(
                width,
                bottleneck=bottleneck,
                stride=stride,
                dropout_rate=dropout_rate,
                # The stem ends in BatchNorm and ReLU.
                preactivation=(index, position) != (1, 1),
                name=prefix,
            )(x)
            if stride > 1 or x.shape[-1] != width:
                x = make_shortcut(
                    width,
                    bottleneck=bottleneck,
                    stride=stride,
                    name=f"{prefix}_shortcut",
                )(x)
            x = keras.layers.Add(dtype=stream_dtype(), name=f"{prefix}_add")(
                (x, fx)
            )
            stride = 1

    x = resnet_head(x, include_top, pooling, classes, classifier_activation)
    return finished_model(image, input_tensor, x, name=name, weights=weights)
