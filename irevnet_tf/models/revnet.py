"""RevNet, the function that builds every RevNet."""

import os
from collections.abc import Callable
from collections.abc import Sequence

import keras

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import ChannelSplit
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import InvertibleDownsampling
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers import StreamTransition
from irevnet_tf.layers import reversible_block
from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS
from irevnet_tf.models.checks import check_activation
from irevnet_tf.models.checks import check_lossless
from irevnet_tf.models.inputs import finished_model
from irevnet_tf.models.inputs import image_input
from irevnet_tf.models.resnet_parts import EXPANSION
from irevnet_tf.models.resnet_parts import check_network
from irevnet_tf.models.resnet_parts import convolutional_stem
from irevnet_tf.models.resnet_parts import make_residual
from irevnet_tf.models.resnet_parts import make_shortcut
from irevnet_tf.models.resnet_parts import resnet_head


def RevNet(
    blocks: Sequence[int],
    strides: Sequence[int],
    channels: Sequence[int],
    *,
    bottleneck: bool = False,
    stem_channels: int | None = None,
    initial_downsampling: int = 1,
    dropout_rate: float = 0.0,
    memory_saving: bool = True,
    lossless: bool = False,
    fraction_bits: int = DEFAULT_FRACTION_BITS,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable | None = "softmax",
    name: str = "revnet",
) -> keras.Model:
    """Build a RevNet: a residual network of reversible blocks.

    Stem, stages of reversible blocks, and head. A stage that changes the shape
    begins with a unit that has no inverse, its transition; so a RevNet can be
    inverted within each stage, and not as a whole. Training saves memory within
    the stages: it keeps what enters and what leaves a transition.

    Example:

    >>> model = irevnet_tf.RevNet(
    ...     (2, 2), (1, 2), (8, 16), input_shape=(16, 16, 3), classes=10
    ... )
    >>> x = keras.random.uniform((1, 16, 16, 3))
    >>> entrance = irevnet_tf.encoder(model, "stage2_entrance")(x)
    >>> end = irevnet_tf.encoder(model, "stage2")(x)
    >>> entrance_again = irevnet_tf.invert(model, "stage2")(end)

    Args:
        blocks: sequence of positive ints. The number of units per stage, its
            transition included.
        strides: sequence of ints, 1 or 2. The stride of each stage's first
            unit.
        channels: sequence of even ints. The channels of each stage, of both
            streams together, as in the paper's table: a bottleneck's output
            has 4 times as many.
        bottleneck: bool. Whether residual functions have three convolutions,
            1x1, 3x3 and 1x1, instead of two of 3x3.
        stem_channels: None or even int. Output channels of the stem. Defaults
            to those of the first stage.
        initial_downsampling: int, 1 or 4. 1 for a stem of one 3x3 convolution;
            4 for a 7x7 convolution with stride 2, and max pooling.
        dropout_rate: float in [0, 1). In front of each residual's last
            convolution.
        memory_saving: bool. Whether training rebuilds activations from outputs,
            so that its memory does not grow with `blocks`. See
            `layers.ReversibleSequence`.
        lossless: bool. Whether each stage's inverse is exact to the last bit,
            and memory-saving gradients with it: what enters a stage is rounded
            to multiples of 2**-fraction_bits, and so are its residuals. See
            `IRevNet`.
        fraction_bits: int from 0 to 23 (52 in float64). Values must stay below
            2**(24 - fraction_bits) in magnitude; larger ones are an error. Can
            be given only if `lossless`.
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
        each stage `stage2_transition` (if it changes the shape),
        `stage2_fixed_point` (if `lossless`), `stage2_entrance` (what the
        inverse of the stage returns), `stage2` (a `ReversibleSequence`) and
        `stage2_merge` (the representation behind the stage). Each of the two
        residual functions of a unit counts as a block of the sequence: behind
        the first unit is the point `stage2_block2`. Streams and head are
        float32, or float64 under that policy; stem, residuals and projections
        may compute in half precision. `preprocessing` is as in `IRevNet`.

    Raises:
        ValueError: if an argument is out of range; if there are
            `fraction_bits` without `lossless`; if the stages' arguments differ
            in length; if channels are odd, or fewer than in the stage before
            without a bottleneck; if a stage has nothing but a transition; if
            the weights file does not exist or does not fit.
        tf.errors.InvalidArgumentError: when the network runs, if it is
            `lossless` and a value leaves the range. Under XLA that image's
            representation becomes NaN instead.

    Reference:
        Gomez, Ren, Urtasun, Grosse: The Reversible Residual Network:
        Backpropagation Without Storing Activations, NeurIPS 2017
        (https://arxiv.org/abs/1707.04585). Initial weights, BatchNorm's epsilon
        and the padding of strided 3x3 convolutions are those of this package's
        i-RevNets.
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
    check_lossless(lossless, fraction_bits)
    _check_even(stem_channels, channels)

    image = image_input(input_shape, input_tensor)
    x = convolutional_stem(image, stem_channels, initial_downsampling)
    stages = zip(blocks, strides, channels, strict=True)
    for index, (depth, stride, width) in enumerate(stages, start=1):
        prefix = f"stage{index}"
        arguments = {"bottleneck": bottleneck, "dropout_rate": dropout_rate}
        per_stream = width // 2 * (EXPANSION if bottleneck else 1)
        has_transition = stride > 1 or 2 * per_stream != x.shape[-1]
        if has_transition:
            _check_transition(index, depth, x.shape[-1], per_stream, bottleneck)
            x = _transition(
                per_stream,
                stride,
                preactivation=index > 1,
                name=f"{prefix}_transition",
                **arguments,
            )(x)
        if lossless:
            x = FixedPointRounding(fraction_bits, name=f"{prefix}_fixed_point")(
                x
            )
        x = InvertibleDownsampling(1, name=f"{prefix}_entrance")(x)
        streams = ChannelSplit(name=f"{prefix}_split")(x)
        units = [
            reversible_block(
                make_residual(
                    per_stream,
                    # The stem ends in BatchNorm and ReLU.
                    preactivation=(index, unit) != (1, 1),
                    **arguments,
                ),
                make_residual(per_stream, **arguments),
                fraction_bits=fraction_bits if lossless else None,
                name=f"unit{unit}",
            )
            for unit in range(1 + has_transition, depth + 1)
        ]
        streams = ReversibleSequence(
            units, memory_saving=memory_saving, name=prefix
        )(streams)
        x = ChannelMerge(name=f"{prefix}_merge")(streams)

    x = resnet_head(x, include_top, pooling, classes, classifier_activation)
    return finished_model(image, input_tensor, x, name=name, weights=weights)


def _transition(
    per_stream, stride, *, bottleneck, dropout_rate, preactivation, name
):
    """Return the unit of a stage that changes the shape.

    Args:
        per_stream: int. Output channels of each stream.
        stride: int. By how much it divides height and width.
        bottleneck: bool. As in `RevNet`.
        dropout_rate: float. As in `RevNet`.
        preactivation: bool. Whether F starts with BatchNorm and ReLU.
        name: str. Name of the layer.
    """
    arguments = {"bottleneck": bottleneck, "dropout_rate": dropout_rate}
    f = make_residual(
        per_stream,
        stride=stride,
        preactivation=preactivation,
        name="f",
        **arguments,
    )
    g = make_residual(per_stream, name="g", **arguments)
    shortcuts = [
        make_shortcut(
            per_stream,
            bottleneck=bottleneck,
            stride=stride,
            name=f"shortcut{number}",
        )
        for number in (1, 2)
    ]
    return StreamTransition(f, g, shortcuts, name=name)


def _check_even(stem_channels, channels):
    if any(number % 2 for number in (stem_channels, *channels)):
        raise ValueError(
            "`channels` and `stem_channels` must be even, for two streams. "
            f"Received: channels={channels}, stem_channels={stem_channels}"
        )


def _check_transition(index, depth, incoming, per_stream, bottleneck):
    """Raise ValueError for a stage whose first unit cannot change the shape.

    Or if there is nothing else in it.
    """
    received = f"Received: stage {index} with blocks={depth}"
    if depth < 2:
        raise ValueError(
            "A stage that changes the shape must have 2 `blocks` or more: the "
            f"first of them has no inverse. {received}"
        )
    if not bottleneck and 2 * per_stream < incoming:
        raise ValueError(
            "Without `bottleneck`, a stage must have as many channels as the "
            f"one before it, or more. {received}, channels={2 * per_stream}, "
            f"incoming={incoming}"
        )
