"""What stands behind a representation of images: pooling and a classifier."""

import keras

from irevnet_tf.layers import IntegerPooling
from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.layers.normalization import BatchNormalization
from irevnet_tf.layers.residual import EPSILON
from irevnet_tf.layers.residual import default_initializer
from irevnet_tf.zoo.files import HEAD_NORM
from irevnet_tf.zoo.files import HEAD_POOL
from irevnet_tf.zoo.files import PREDICTIONS

# The authors give this one BatchNorm PyTorch's momentum 0.9, all others 0.1.
MOMENTUM = 0.1

POOLINGS = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
}


def pool(
    x,
    pooling: str,
    portable: bool = False,
    scaled: bool = False,
    momentum: float = MOMENTUM,
):
    """Return the pooled features of a representation, a Keras tensor.

    Args:
        x: Keras tensor (batch, height, width, channels). The representation.
        pooling: str. "avg" or "max".
        portable: bool. Whether to pool integers.
        scaled: bool. Whether integers are to be scaled, as features.
        momentum: float. That of the BatchNorm's moving statistics.
    """
    if portable:
        return IntegerPooling(pooling, scaled=scaled, name=HEAD_POOL)(x)
    x = BatchNormalization(
        epsilon=EPSILON, momentum=momentum, dtype=stream_dtype(), name=HEAD_NORM
    )(x)
    x = keras.layers.ReLU(dtype=stream_dtype(), name="head_relu")(x)
    return POOLINGS[pooling](
        data_format="channels_last",
        dtype=stream_dtype(),
        name=f"{pooling}_pool",
    )(x)


def classifier(x, classes: int, activation, portable: bool = False):
    """Return what the classifier makes of pooled features, a Keras tensor.

    Args:
        x: Keras tensor (batch, channels). The pooled features.
        classes: int. The number of classes.
        activation: None, str or callable. The activation.
        portable: bool. Whether its weights are integers, times powers of two,
            and not to be trained.
    """
    bound = x.shape[-1] ** -0.5
    return keras.layers.Dense(
        classes,
        activation=activation,
        kernel_initializer=default_initializer(),
        bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        dtype=stream_dtype(),
        trainable=not portable,
        name=PREDICTIONS,
    )(x)
