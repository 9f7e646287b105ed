"""ViT, the function that builds what RevViTs are compared with."""

import os
from collections.abc import Callable

import keras

from irevnet_tf.layers import AttentionResidual
from irevnet_tf.layers import MLPResidual
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.layers.transformer_base import EPSILON
from irevnet_tf.models.checks import check_activation
from irevnet_tf.models.inputs import finished_model
from irevnet_tf.models.transformer import check_arguments
from irevnet_tf.models.transformer import check_size
from irevnet_tf.models.transformer import depth_rates
from irevnet_tf.models.transformer import embedded
from irevnet_tf.models.transformer import sized_image_input
from irevnet_tf.models.transformer import transformer_head


def ViT(
    depth: int,
    width: int,
    heads: int,
    patch_size: int,
    mlp_ratio: float = 4.0,
    *,
    dropout_rate: float = 0.0,
    stochastic_depth_rate: float = 0.0,
    kernel_initializer: str | keras.Initializer | None = None,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable | None = "softmax",
    name: str = "vit",
) -> keras.Model:
    """Build a vision transformer, the baseline of `RevViT`.

    It has RevViT's parts in one stream, x + F(x): first attention, then the
    MLP. The head is RevViT's: the mean of all tokens, and no class token. It
    has no inverse.

    Example:

    >>> model = irevnet_tf.baselines.ViT(
    ...     depth=2, width=16, heads=2, patch_size=4,
    ...     input_shape=(8, 8, 3), classes=10
    ... )
    >>> probabilities = model(keras.random.uniform((1, 8, 8, 3)))  # (1, 10)

    Args:
        depth: positive int. The number of blocks.
        width: positive int. Length of a token.
        heads: positive int. The heads of attention. They must divide `width`.
        patch_size: positive int. Side of the patches. It must divide height
            and width of the images.
        mlp_ratio: number. The MLPs have `int(width * mlp_ratio)` units inside.
        dropout_rate: float in [0, 1). As in `RevViT`.
        stochastic_depth_rate: float in [0, 1). As in `RevViT`.
        kernel_initializer: None or Keras initializer. As in `RevViT`.
        include_top: bool. Whether to end in the classifier.
        weights: None or path. None for random initialization, or the path of a
            `.weights.h5` file.
        input_tensor: None or Keras tensor. The tensor to take as the image.
        input_shape: None or tuple (height, width, channels). All of them must
            be known, unless there is an `input_tensor`, of a known shape.
        pooling: None or str. What to return when `include_top` is False. None:
            the tokens, 3D. `"avg"` or `"max"`: features behind the last
            LayerNorm, pooled over the tokens, 2D.
        classes: positive int. The number of classes.
        classifier_activation: None, str or callable. Activation of the top
            layer; None returns logits. With `weights` it must be `"softmax"` or
            None.
        name: str. Name of the model.

    Returns:
        A Keras Functional model that takes float images
        `(batch, height, width, channels)`. The stream is float32, or float64
        under that policy; only residuals compute in half precision.

    Raises:
        ValueError: if an argument is out of range; if `heads` does not divide
            `width`, or `patch_size` the images; if the size of the images is
            not known; if the weights file does not exist or does not fit.

    Reference:
        https://arxiv.org/abs/2010.11929 (ViT); sizes of
        https://arxiv.org/abs/2012.12877 (DeiT).
    """
    hidden = check_size(depth, width, heads, mlp_ratio)
    check_positive_int("patch_size", patch_size)
    check_arguments(
        dropout_rate, stochastic_depth_rate, pooling, classes, weights
    )
    classifier_activation = check_activation(
        classifier_activation, weights, include_top
    )

    image = sized_image_input(input_shape, input_tensor)
    x = embedded(image, width, patch_size, dropout_rate, kernel_initializer)
    rates = depth_rates(depth, stochastic_depth_rate)
    for index, rate in enumerate(rates, start=1):
        options = {
            "dropout_rate": dropout_rate,
            "stochastic_depth_rate": rate,
            "kernel_initializer": kernel_initializer,
        }
        for residual in (
            AttentionResidual(
                width, heads, **options, name=f"block{index}_attention"
            ),
            MLPResidual(width, hidden, **options, name=f"block{index}_mlp"),
        ):
            add = keras.layers.Add(
                dtype=stream_dtype(), name=f"{residual.name}_add"
            )
            x = add([x, residual(x)])

    x = transformer_head(
        x, include_top, pooling, classes, classifier_activation, EPSILON
    )
    return finished_model(image, input_tensor, x, name=name, weights=weights)
