"""IRevNet, the function that builds every i-RevNet."""

import functools
import math
import os
from collections.abc import Callable
from collections.abc import Sequence

import keras

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import ChannelSplit
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import InjectivePadding
from irevnet_tf.layers import IntegerResidual
from irevnet_tf.layers import InvertibleDownsampling
from irevnet_tf.layers import PixelRange
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.downsampling import check_divisible
from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS
from irevnet_tf.models.checks import check_activation
from irevnet_tf.models.checks import check_lossless
from irevnet_tf.models.checks import check_options
from irevnet_tf.models.checks import check_portable
from irevnet_tf.models.checks import check_stages
from irevnet_tf.models.head import classifier
from irevnet_tf.models.head import pool
from irevnet_tf.models.inputs import finished_model
from irevnet_tf.models.inputs import image_input


def IRevNet(
    blocks: Sequence[int],
    strides: Sequence[int],
    channels: Sequence[int],
    *,
    kernel_sizes: Sequence[int] = (3, 3, 3),
    bottleneck_ratio: int = 4,
    initial_downsampling: int = 2,
    dropout_rate: float = 0.0,
    memory_saving: bool = True,
    lossless: bool = False,
    fraction_bits: int = DEFAULT_FRACTION_BITS,
    portable: bool = False,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable | None = "softmax",
    name: str = "irevnet",
) -> keras.Model:
    """Build an i-RevNet: a deep network with an exact inverse.

    psi downsamples the image, which is then split into two streams; stages of
    additive couplings follow, whose first blocks have the stage's stride. A
    stage with stride 1 that is wider than its input gets channels of zeros
    first: such a network is injective, all others are bijective.

    Example:

    >>> model = irevnet_tf.IRevNet(
    ...     (2, 2), (1, 2), (8, 32), initial_downsampling=1,
    ...     input_shape=(16, 16, 3), classes=10
    ... )
    >>> x = keras.random.uniform((1, 16, 16, 3))
    >>> representation = irevnet_tf.encoder(model)(x)  # (1, 8, 8, 64)
    >>> x_again = irevnet_tf.invert(model)(representation)

    Args:
        blocks: sequence of positive ints. The number of blocks per stage.
        strides: sequence of ints, 1 or 2. The stride of each stage's first
            block.
        channels: sequence of positive ints. The channels per stream of each
            stage.
        kernel_sizes: sequence of three odd ints. The kernels of each residual.
        bottleneck_ratio: positive int. The width of residuals inside is
            `channels//bottleneck_ratio`.
        initial_downsampling: int, 1, 2 or 4. Block size of psi at the entrance.
        dropout_rate: float in [0, 1). Behind each residual's second
            convolution.
        memory_saving: bool. Whether training rebuilds activations from outputs,
            so that its memory does not grow with `blocks`. See
            `layers.ReversibleSequence`.
        lossless: bool. Whether the inverse is exact to the last bit, instead of
            to rounding: images and residuals are rounded to multiples of
            2**-fraction_bits, whose sums and differences floats hold exactly.
            The two directions must run by the same kernels: on one kind of
            device, both or neither under XLA and with oneDNN, and under XLA,
            or without oneDNN, in batches of the same size. The weights are the
            same in both modes. See
            `layers.FixedPointRounding`.
        fraction_bits: int from 0 to 23 (52 in float64). Values must stay below
            2**(24 - fraction_bits) in magnitude; larger ones are an error. Can
            be given only if `lossless` or `portable`.
        portable: bool. Whether `weights` are those of a network that
            `irevnet_tf.portable` made, of the default numbers of bits: one of
            integers, whose inverse is exact from any runtime into any other.
            Dropout does not count then, and `lossless` changes nothing.
        include_top: bool. Whether to end in the classifier.
        weights: None or path. None for random initialization, or the path of a
            `.weights.h5` file.
        input_tensor: None or Keras tensor. The tensor to take as the image.
        input_shape: None or tuple (height, width, channels). Height and width
            may be None. Defaults to `(None, None, 3)`. The weights do not
            depend on it.
        pooling: None or str. What to return when `include_top` is False. None:
            the invertible representation, 4D. `"avg"` or `"max"`: features
            behind the last BatchNorm and ReLU, pooled over the image, 2D.
        classes: positive int. The number of classes.
        classifier_activation: None, str or callable. Activation of the top
            layer; None returns logits. With `weights` it must be `"softmax"` or
            None.
        name: str. Name of the model.

    Returns:
        A Keras Functional model. Its layers are `fixed_point` (if
        `lossless` or `portable`), `stem`, `stage1` (a `ReversibleSequence`),
        `stage1_merge` (the invertible representation behind the stage) and so
        on. It takes
        float images `(batch, height, width, channels)`. Streams and head are
        float32, or float64 under that policy; only residuals compute in half
        precision. Its attribute `preprocessing`, a string or None, tells
        exports how the images were scaled. It can be set, and stays in files
        and copies.

    Raises:
        ValueError: if an argument is out of range; if there are
            `fraction_bits` without `lossless`; if the network is to be
            `portable` and there are no `weights`; if the stages' arguments
            differ in length; if a stage has too few channels to hold what
            comes in, or channels that cannot be split; if the downsampling
            does not divide a given height or width; if the weights file does
            not exist or does not fit.
        tf.errors.InvalidArgumentError: when the network runs, if it is
            `lossless` and a value leaves the range, or `portable` and a pixel
            leaves that of the network. Under XLA that image's representation
            becomes NaN instead.

    Reference:
        Jacobsen, Smeulders, Oyallon: i-RevNet: Deep Invertible Networks, ICLR
        2018 (https://arxiv.org/abs/1802.07088).
    """
    blocks, strides, channels = check_stages(blocks, strides, channels)
    check_options(initial_downsampling, dropout_rate, pooling, classes, weights)
    classifier_activation = check_activation(
        classifier_activation, weights, include_top
    )
    check_lossless(lossless or portable, fraction_bits)
    check_portable(portable, weights)
    divisor = initial_downsampling * math.prod(strides)

    image = image_input(input_shape, input_tensor)
    check_divisible(image.shape[1:3], divisor)
    coupling_bits = fraction_bits if lossless or portable else None
    make_residual = functools.partial(
        BottleneckResidual, dropout_rate=dropout_rate
    )
    x = image
    if portable:
        make_residual = functools.partial(
            IntegerResidual, fraction_bits=fraction_bits
        )
        x = PixelRange(fraction_bits, name="fixed_point")(x)
    elif lossless:
        x = FixedPointRounding(fraction_bits, name="fixed_point")(x)
    x = InvertibleDownsampling(
        initial_downsampling, divisor=divisor, name="stem"
    )(x)
    stages = zip(blocks, strides, channels, strict=True)
    for index, (depth, stride, width) in enumerate(stages, start=1):
        prefix = f"stage{index}"
        padding = _padding_of_stage(index, x.shape[-1], stride, width)
        if padding:
            x = InjectivePadding(padding, name=f"{prefix}_pad")(x)
        streams = ChannelSplit(name=f"{prefix}_split")(x)
        couplings = []
        for position in range(1, depth + 1):
            block_stride = stride if position == 1 else 1
            residual = make_residual(
                width,
                stride=block_stride,
                kernel_sizes=kernel_sizes,
                bottleneck_ratio=bottleneck_ratio,
                preactivation=(index, position) != (1, 1),
                name="residual",
            )
            coupling = AdditiveCoupling(
                residual,
                stride=block_stride,
                zero_channels=min(padding, width) if position == 1 else 0,
                fraction_bits=coupling_bits,
                name=f"block{position}",
            )
            couplings.append(coupling)
        streams = ReversibleSequence(
            couplings, memory_saving=memory_saving, name=prefix
        )(streams)
        x = ChannelMerge(name=f"{prefix}_merge")(streams)

    if include_top:
        x = pool(x, "avg", portable, scaled=False)
        x = classifier(x, classes, classifier_activation, portable)
    elif pooling:
        x = pool(x, pooling, portable, scaled=True)

    return finished_model(image, input_tensor, x, name=name, weights=weights)


def _padding_of_stage(index, incoming, stride, width):
    """Return how many channels of zeros are appended to a stage's input.

    Args:
        index: int. Number of the stage, from 1, for messages.
        incoming: int. Channels of the merged representation before the stage.
        stride: int. Stride of the stage's first block.
        width: int. The stage's channels per stream.
    """
    received = (
        f"Received: stage {index} with channels={width}, stride={stride}, "
        f"incoming={incoming}"
    )
    arriving = incoming * stride**2
    if 2 * width < arriving:
        raise ValueError(
            "A stage must not drop information: twice its `channels` must be "
            f"at least the incoming channels times stride**2, {arriving}. "
            f"{received}"
        )
    if stride == 1 and 2 * width > arriving:
        return 2 * width - arriving
    if incoming % 2:
        raise ValueError(
            "An odd number of channels cannot be split into two streams: put "
            "a stage with stride 1 and more channels first, or use "
            f"`initial_downsampling`. {received}"
        )
    if 2 * width > arriving:
        raise ValueError(
            "Only a stage with stride 1 can be wider than its input; with "
            f"stride {stride} `channels` must be {arriving // 2}. {received}"
        )
    return 0
