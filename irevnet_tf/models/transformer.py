"""What RevViT and ViT have in common: their beginning, head and sizes."""

import numbers

import keras

from irevnet_tf.layers import PatchEmbedding
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.layers.transformer_base import bias_initializer
from irevnet_tf.layers.transformer_base import check_epsilon
from irevnet_tf.layers.transformer_base import check_rate
from irevnet_tf.layers.transformer_base import normal_initializer
from irevnet_tf.models.checks import check_options
from irevnet_tf.models.inputs import image_input
from irevnet_tf.zoo.files import HEAD_NORM
from irevnet_tf.zoo.files import PREDICTIONS

POOLINGS = {
    "avg": keras.layers.GlobalAveragePooling1D,
    "max": keras.layers.GlobalMaxPooling1D,
}


def check_size(depth, width, heads, mlp_ratio) -> int:
    """Return the units of the MLPs' first layer, or raise ValueError."""
    for name, value in {"depth": depth, "width": width, "heads": heads}.items():
        check_positive_int(name, value)
    is_number = isinstance(mlp_ratio, numbers.Real)
    if not is_number or not 1 <= width * mlp_ratio < float("inf"):
        raise ValueError(
            "`mlp_ratio` must be a number, and the width times it at least 1. "
            f"Received: mlp_ratio={mlp_ratio!r}, width={width}"
        )
    return int(width * mlp_ratio)


def check_arguments(
    dropout_rate, stochastic_depth_rate, pooling, classes, weights
) -> None:
    """Raise ValueError for arguments of a constructor that are out of range."""
    check_rate("dropout_rate", dropout_rate)
    check_rate("stochastic_depth_rate", stochastic_depth_rate)
    check_options(1, dropout_rate, pooling, classes, weights)


def check_epsilons(epsilons) -> tuple[float, float, float]:
    """Return the epsilons of the LayerNorms, or raise ValueError."""
    if not isinstance(epsilons, tuple | list) or len(epsilons) != 3:
        raise ValueError(
            "`norm_epsilons` must be three numbers: of the LayerNorms in front "
            "of attention, in front of the MLP, and in the head. "
            f"Received: norm_epsilons={epsilons!r}"
        )
    return tuple(check_epsilon("norm_epsilons", x) for x in epsilons)


def depth_rates(depth: int, rate: float) -> list[float]:
    """Return the rate of stochastic depth of each block, 0 for the first.

    It grows linearly to `rate` for the last.
    """
    return [rate * index / max(depth - 1, 1) for index in range(depth)]


def sized_image_input(input_shape, input_tensor):
    """Return the Keras tensor of the images, of a known size.

    Args:
        input_shape: None or tuple (height, width, channels). Of a new input.
        input_tensor: None or Keras tensor. What to take instead.

    Raises:
        ValueError: as `image_input`; or if the size is not known.
    """
    image = image_input(input_shape, input_tensor)
    if None in image.shape[1:]:
        raise ValueError(
            "A vision transformer needs the size of its images, since it "
            "learns a vector for each place: `input_shape` must be (height, "
            "width, channels), all known. Received: "
            f"input_shape={input_shape}, images of shape {image.shape[1:]}"
        )
    return image


def embedded(
    image, width: int, patch_size: int, dropout_rate: float, kernel_initializer
):
    """Return the tokens of images, a Keras tensor.

    Args:
        image: Keras tensor (batch, height, width, channels). The images.
        width: int. Length of a token.
        patch_size: int. Side of a patch.
        dropout_rate: float. Of a dropout behind the positions.
        kernel_initializer: None or Keras initializer. Of the embedding.
    """
    x = PatchEmbedding(
        width, patch_size, kernel_initializer=kernel_initializer, name="stem"
    )(image)
    if dropout_rate:
        x = keras.layers.Dropout(
            dropout_rate, dtype=stream_dtype(), name="stem_dropout"
        )(x)
    return x


def transformer_head(
    x,
    include_top: bool,
    pooling,
    classes: int,
    activation,
    epsilon: float,
    pool_first: bool = False,
):
    """Return what a network returns of its tokens, a Keras tensor.

    Args:
        x: Keras tensor (batch, tokens, width). The representation.
        include_top: bool. Whether to end in the classifier.
        pooling: None or str. Without the classifier: None for `x` itself,
            "avg" or "max" for pooled features.
        classes: int. The number of classes.
        activation: None, str or callable. That of the classifier.
        epsilon: float. Of the LayerNorm in front of the pooling.
        pool_first: bool. Whether to pool, then to normalize.
    """
    if include_top:
        x = _pooled(x, "avg", epsilon, pool_first)
        return keras.layers.Dense(
            classes,
            activation=activation,
            kernel_initializer=normal_initializer(),
            bias_initializer=bias_initializer(),
            dtype=stream_dtype(),
            name=PREDICTIONS,
        )(x)
    return _pooled(x, pooling, epsilon, pool_first) if pooling else x


def _pooled(x, pooling, epsilon, pool_first):
    norm = keras.layers.LayerNormalization(
        epsilon=epsilon,
        beta_initializer=bias_initializer(),
        dtype=stream_dtype(),
        name=HEAD_NORM,
    )
    pool = POOLINGS[pooling](
        data_format="channels_last",
        dtype=stream_dtype(),
        name=f"{pooling}_pool",
    )
    return norm(pool(x)) if pool_first else pool(norm(x))
