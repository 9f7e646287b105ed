"""Splitting, merging and zero-padding the channel axis."""

import keras
import tensorflow as tf

from irevnet_tf.layers.base import WeightlessLayer
from irevnet_tf.layers.base import check_pair
from irevnet_tf.layers.base import check_positive_int


@keras.saving.register_keras_serializable(package="irevnet_tf")
class ChannelSplit(WeightlessLayer):
    """Splits a tensor into the two streams `(x1, x2)`.

    The first half of the channels is x1, which the first block carries; the
    second half is x2, which it feeds to its residual.

    Example:

    >>> x1, x2 = irevnet_tf.layers.ChannelSplit()(tf.zeros((2, 8, 8, 6)))
    >>> x1.shape
    TensorShape([2, 8, 8, 3])

    Call arguments:
        inputs: float tensor. The representation to split.

    Input shape:
        `(..., channels)` with an even number of channels, cast to the layer's
        dtype: float32 (float64 under a float64 policy).

    Output shape:
        A pair of `(..., channels / 2)`, in the layer's dtype.

    Raises:
        ValueError: if the number of channels is odd.
    """

    keeps_grid = True

    def compute_output_shape(self, input_shape):
        return split_shape(input_shape)

    def compute_inverse_shape(self, output_shape):
        return merged_shape(output_shape)

    def build(self, input_shape):
        self.compute_output_shape(input_shape)

    def call(self, inputs):
        return tuple(tf.split(inputs, 2, axis=-1))

    def inverse(self, outputs):
        return tf.concat(outputs, axis=-1)


@keras.saving.register_keras_serializable(package="irevnet_tf")
class ChannelMerge(WeightlessLayer):
    """Concatenates the two streams on the channel axis: undoes `ChannelSplit`.

    The inverse splits where the streams met, or in the middle if the layer
    has not merged any yet.

    Example:

    >>> merge = irevnet_tf.layers.ChannelMerge()
    >>> y = merge((tf.zeros((2, 4)), tf.ones((2, 4))))
    >>> x1, x2 = merge.inverse(y)

    Call arguments:
        inputs: pair (x1, x2) of float tensors. The two streams.

    Input shape:
        A pair of `(..., channels 1)` and `(..., channels 2)`, cast to the
        layer's dtype: float32 (float64 under a float64 policy).

    Output shape:
        `(..., channels 1 + channels 2)`, in the layer's dtype.
    """

    keeps_grid = True

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._channels = None

    def build(self, input_shape):
        check_pair(input_shape, self)
        self._channels = tuple(shape[-1] for shape in input_shape)

    def compute_output_shape(self, input_shape):
        return merged_shape(input_shape)

    def compute_inverse_shape(self, output_shape):
        if self._channels is None:
            return split_shape(output_shape)
        *rest, channels = output_shape
        if channels != sum(self._channels):
            raise ValueError(
                "The inverse splits into streams of "
                f"{self._channels[0]} and {self._channels[1]} channels. "
                f"Received: channels={channels}"
            )
        return tuple((*rest, channels) for channels in self._channels)

    def call(self, inputs):
        return tf.concat(inputs, axis=-1)

    def inverse(self, outputs):
        shapes = self.compute_inverse_shape(outputs.shape)
        return tuple(tf.split(outputs, [s[-1] for s in shapes], axis=-1))


@keras.saving.register_keras_serializable(package="irevnet_tf")
class InjectivePadding(WeightlessLayer):
    """Appends channels of zeros; its inverse cuts them off.

    It makes a network injective where a stage is wider than its input: all
    information passes, but not every output has an input.

    Example:

    >>> irevnet_tf.layers.InjectivePadding(13)(tf.zeros((2, 8, 8, 3))).shape
    TensorShape([2, 8, 8, 16])

    Args:
        channels: positive int. How many channels of zeros to append at the end
            of the channel axis.

    Call arguments:
        inputs: float tensor. The representation to widen.

    Input shape:
        `(batch, height, width, c)`, cast to the layer's dtype: float32
        (float64 under a float64 policy).

    Output shape:
        `(batch, height, width, c + channels)`, in the layer's dtype.
    """

    keeps_grid = True

    def __init__(self, channels: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.channels = check_positive_int("channels", channels)

    def compute_output_shape(self, input_shape):
        *rest, channels = input_shape
        return (*rest, channels + self.channels)

    def compute_inverse_shape(self, output_shape):
        *rest, channels = output_shape
        if channels <= self.channels:
            raise ValueError(
                f"The inverse cuts off {self.channels} channels and needs "
                f"more than that. Received: channels={channels}"
            )
        return (*rest, channels - self.channels)

    def call(self, inputs):
        return append_zeros(inputs, self.channels)

    def inverse(self, outputs):
        return outputs[..., : -self.channels]

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


def append_zeros(x, channels: int):
    """Return `x` with `channels` channels of zeros appended."""
    unpadded = [[0, 0]] * (x.shape.rank - 1)
    return tf.pad(x, [*unpadded, [0, channels]])


def split_shape(shape):
    """Return the pair of shapes that a tensor of `shape` is split into."""
    *rest, channels = shape
    if channels is None or channels % 2:
        raise ValueError(
            "The number of channels must be known and even to be split into "
            f"two streams. Received: channels={channels}"
        )
    half = (*rest, channels // 2)
    return half, half


def merged_shape(shapes):
    """Return the shape of two streams of the given shapes, concatenated."""
    (*rest, first), (*_, second) = shapes
    return (*rest, first + second)
