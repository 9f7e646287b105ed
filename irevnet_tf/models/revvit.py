"""RevViT, the function that builds reversible vision transformers."""

import os
from collections.abc import Callable
from collections.abc import Sequence

import keras

from irevnet_tf.layers import AttentionResidual
from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import MLPResidual
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers import StreamCopy
from irevnet_tf.layers import reversible_block
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS
from irevnet_tf.models.checks import check_activation
from irevnet_tf.models.checks import check_lossless
from irevnet_tf.models.inputs import finished_model
from irevnet_tf.models.transformer import check_arguments
from irevnet_tf.models.transformer import check_epsilons
from irevnet_tf.models.transformer import check_size
from irevnet_tf.models.transformer import depth_rates
from irevnet_tf.models.transformer import embedded
from irevnet_tf.models.transformer import sized_image_input
from irevnet_tf.models.transformer import transformer_head

EPSILONS = (1e-6, 1e-6, 1e-6)


def RevViT(
    depth: int,
    width: int,
    heads: int,
    patch_size: int,
    mlp_ratio: float = 4.0,
    *,
    dropout_rate: float = 0.0,
    stochastic_depth_rate: float = 0.0,
    kernel_initializer: str | keras.Initializer | None = None,
    pool_first: bool = False,
    norm_epsilons: Sequence[float] = EPSILONS,
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
    name: str = "revvit",
) -> keras.Model:
    """Build a RevViT: a vision transformer of reversible blocks.

    Patches of the image become tokens, which are copied into two streams. In
    each block, the first stream gets attention of the second, then the second
    gets an MLP of the first. The two are concatenated at the end. The inverse
    leads back to the tokens; `layers.PatchEmbedding.images_from` may lead from
    there to the image.

    Example:

    >>> model = irevnet_tf.RevViT(
    ...     depth=2, width=16, heads=2, patch_size=4,
    ...     input_shape=(8, 8, 3), classes=10
    ... )
    >>> x = keras.random.uniform((1, 8, 8, 3))
    >>> representation = irevnet_tf.encoder(model)(x)  # (1, 4, 32)
    >>> tokens = irevnet_tf.invert(model)(representation)  # (1, 4, 16)

    Args:
        depth: positive int. The number of blocks.
        width: positive int. Length of a token.
        heads: positive int. The heads of attention. They must divide `width`.
        patch_size: positive int. Side of the patches. It must divide height
            and width of the images.
        mlp_ratio: number. The MLPs have `int(width * mlp_ratio)` units inside.
        dropout_rate: float in [0, 1). Behind the positions, attention's
            projection, and each Dense layer of the MLPs.
        stochastic_depth_rate: float in [0, 1). The share of examples for which
            the last block is left out in training. It grows linearly from 0 for
            the first. Attention and MLP of a block decide separately.
        kernel_initializer: None or Keras initializer. That of the kernels of
            stem and blocks. Defaults to the published code's, see
            `layers.AttentionResidual`.
        pool_first: bool. Whether the head pools the tokens and then normalizes,
            instead of the reverse.
        norm_epsilons: three positive floats. The epsilons of the LayerNorms in
            front of attention, in front of the MLPs, and in the head.
        memory_saving: bool. Whether training rebuilds activations from outputs,
            so that its memory does not grow with `depth`. See
            `layers.ReversibleSequence`.
        lossless: bool. Whether the inverse, from the representation to the
            tokens, is exact to the last bit: tokens and residuals are rounded
            to multiples of 2**-fraction_bits. Both directions must run in
            graphs, or both in eager calls; see `irevnet_tf.IRevNet` for the
            rest.
        fraction_bits: int from 0 to 23 (52 in float64). Values must stay below
            2**(24 - fraction_bits) in magnitude; larger ones are an error. Can
            be given only if `lossless`.
        include_top: bool. Whether to end in the classifier.
        weights: None or path. None for random initialization, or the path of a
            `.weights.h5` file.
        input_tensor: None or Keras tensor. The tensor to take as the image.
        input_shape: None or tuple (height, width, channels). All of them must
            be known, unless there is an `input_tensor`, of a known shape.
        pooling: None or str. What to return when `include_top` is False. None:
            the invertible representation, 3D. `"avg"` or `"max"`: features
            behind the last LayerNorm, pooled over the tokens, 2D.
        classes: positive int. The number of classes.
        classifier_activation: None, str or callable. Activation of the top
            layer; None returns logits. With `weights` it must be `"softmax"` or
            None.
        name: str. Name of the model.

    Returns:
        A Keras Functional model. Its layers are `stem`
        (`layers.PatchEmbedding`), `fixed_point` (if `lossless`), `stage1_copy`,
        `stage1` (a `ReversibleSequence` of `2 * depth` couplings) and
        `stage1_merge`, the invertible representation
        `(batch, tokens, 2 * width)`. It takes float images
        `(batch, height, width, channels)`. Streams, stem and head are float32,
        or float64 under that policy; only residuals compute in half precision.
        `preprocessing` is as in `irevnet_tf.IRevNet`.

    Raises:
        ValueError: if an argument is out of range; if `heads` does not divide
            `width`, or `patch_size` the images; if the size of the images is
            not known; if there are `fraction_bits` without `lossless`; if the
            weights file does not exist or does not fit.
        tf.errors.InvalidArgumentError: when the network runs, if it is
            `lossless` and a value leaves the range. Under XLA that image's
            representation becomes NaN instead.

    Reference:
        Mangalam et al.: Reversible Vision Transformers, CVPR 2022
        (https://arxiv.org/abs/2302.04869), and the authors' code in
        https://github.com/facebookresearch/SlowFast, where attention and MLP of
        a block are left out for the same examples.
    """
    hidden = check_size(depth, width, heads, mlp_ratio)
    check_positive_int("patch_size", patch_size)
    check_arguments(
        dropout_rate, stochastic_depth_rate, pooling, classes, weights
    )
    of_attention, of_mlp, of_head = check_epsilons(norm_epsilons)
    classifier_activation = check_activation(
        classifier_activation, weights, include_top
    )
    check_lossless(lossless, fraction_bits)

    image = sized_image_input(input_shape, input_tensor)
    x = embedded(image, width, patch_size, dropout_rate, kernel_initializer)
    if lossless:
        x = FixedPointRounding(fraction_bits, name="fixed_point")(x)
    streams = StreamCopy(name="stage1_copy")(x)
    blocks = [
        reversible_block(
            AttentionResidual(
                width,
                heads,
                dropout_rate=dropout_rate,
                stochastic_depth_rate=rate,
                epsilon=of_attention,
                kernel_initializer=kernel_initializer,
                name="residual",
            ),
            MLPResidual(
                width,
                hidden,
                dropout_rate=dropout_rate,
                stochastic_depth_rate=rate,
                epsilon=of_mlp,
                kernel_initializer=kernel_initializer,
                name="residual",
            ),
            fraction_bits=fraction_bits if lossless else None,
            name=f"block{index}",
        )
        for index, rate in enumerate(
            depth_rates(depth, stochastic_depth_rate), start=1
        )
    ]
    streams = ReversibleSequence(
        blocks, memory_saving=memory_saving, name="stage1"
    )(streams)
    x = ChannelMerge(name="stage1_merge")(streams)

    x = transformer_head(
        x,
        include_top,
        pooling,
        classes,
        classifier_activation,
        of_head,
        pool_first,
    )
    return finished_model(image, input_tensor, x, name=name, weights=weights)
