"""What stands between the stages of a RevNet, and has no inverse."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from irevnet_tf.layers.base import build_by_call
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.layers.channels import split_shape
from irevnet_tf.layers.parts import TrackedParts


@keras.saving.register_keras_serializable(package="irevnet_tf")
class PooledShortcut(keras.layers.Layer):
    """RevNet's shortcut without weights: average pooling and zero channels.

    Example:

    >>> shortcut = irevnet_tf.layers.PooledShortcut(8, stride=2)
    >>> shortcut(tf.ones((1, 6, 6, 4))).shape
    TensorShape([1, 3, 3, 8])

    Args:
        filters: positive int. Output channels, at least those of the input.
            Half of the zeros come before them, half behind them.
        stride: positive int. The side of the patches that are averaged.
        dtype: None or dtype policy. Defaults to float32 (float64 under a
            float64 policy).

    Call arguments:
        inputs: float tensor. What the residual function is added to.

    Input shape:
        `(batch, height, width, channels)`, cast to the layer's dtype: float32
        (float64 under a float64 policy).

    Output shape:
        `(batch, height / stride, width / stride, filters)`, in the layer's
        dtype. Sides that `stride` does not divide are rounded up; the last
        patches are then smaller.

    Raises:
        ValueError: at build, if the input has more channels than `filters`.

    Reference:
        The authors' code of https://arxiv.org/abs/1707.04585.
    """

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        *,
        dtype: str | keras.DTypePolicy | None = None,
        **kwargs,
    ) -> None:
        super().__init__(dtype=dtype or stream_dtype(), **kwargs)
        self.filters = check_positive_int("filters", filters)
        self.stride = check_positive_int("stride", stride)

    def build(self, input_shape):
        if input_shape[-1] > self.filters:
            raise ValueError(
                "`filters` must be at least the incoming channels. Received: "
                f"filters={self.filters}, channels={input_shape[-1]}"
            )

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        sides = (side and -(-side // self.stride) for side in (height, width))
        return (batch, *sides, self.filters)

    def call(self, inputs):
        x = inputs
        if self.stride > 1:
            x = tf.nn.avg_pool2d(x, self.stride, self.stride, "SAME")
        missing = self.filters - x.shape[-1]
        ends = [missing // 2, missing - missing // 2]
        return tf.pad(x, [[0, 0], [0, 0], [0, 0], ends])

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "stride": self.stride,
        }


@keras.saving.register_keras_serializable(package="irevnet_tf")
class StreamTransition(TrackedParts, keras.layers.Layer):
    """The first unit of a RevNet's stage, which changes the shape.

        y1 = S1(x1) + F(x2)           y2 = S2(x2) + G(y1)

    S1 and S2 bring the streams to the new shape. They lose information, so the
    unit has no inverse; otherwise it is a `reversible_block`.

    Example:

    >>> transition = irevnet_tf.layers.StreamTransition(
    ...     irevnet_tf.layers.BasicResidual(8, stride=2),
    ...     irevnet_tf.layers.BasicResidual(8),
    ...     [irevnet_tf.layers.PooledShortcut(8, stride=2) for _ in range(2)],
    ... )
    >>> transition(tf.zeros((1, 6, 6, 8))).shape
    TensorShape([1, 3, 3, 16])

    Args:
        f: Keras layer. F, which maps x2 to the new shape.
        g: Keras layer. G, which keeps the shape.
        shortcuts: pair of Keras layers. S1 and S2, which map x1 and x2 to the
            new shape.
        dtype: None or dtype policy. Defaults to float32 (float64 under a
            float64 policy).

    Call arguments:
        inputs: float tensor. The two streams, x1 in front of x2.
        training: bool. The mode of F and G.

    Input shape:
        `(batch, height, width, channels)` with an even number of channels,
        cast to the layer's dtype: float32 (float64 under a float64 policy). The
        parts may have their own dtypes.

    Output shape:
        `(batch, new height, new width, new channels)`: y1 in front of y2, in
        the layer's dtype.

    Raises:
        ValueError: if there are not two shortcuts; at build, if the number of
            channels is odd or the parts return different shapes.

    Reference:
        Section 3.1 of https://arxiv.org/abs/1707.04585 and the authors' code.
    """

    def __init__(
        self,
        f: keras.layers.Layer,
        g: keras.layers.Layer,
        shortcuts: Sequence[keras.layers.Layer],
        *,
        dtype: str | keras.DTypePolicy | None = None,
        **kwargs,
    ) -> None:
        super().__init__(dtype=dtype or stream_dtype(), **kwargs)
        if not isinstance(shortcuts, list | tuple) or len(shortcuts) != 2:
            raise ValueError(
                "`shortcuts` must be two layers, one for each stream. "
                f"Received: shortcuts={shortcuts!r}"
            )
        self.f = f
        self.g = g
        self.shortcuts = list(shortcuts)

    def build(self, input_shape):
        half, _ = split_shape(input_shape)
        first, second = self.shortcuts
        y1 = build_by_call(self.f, half)
        shapes = [
            tuple(y.shape)
            for y in (
                y1,
                build_by_call(self.g, tuple(y1.shape)),
                build_by_call(first, half),
                build_by_call(second, half),
            )
        ]
        if len(set(shapes)) > 1:
            raise ValueError(
                "F, G and both shortcuts must return the same shape. "
                f"Received: {self.name} with shapes {shapes}"
            )

    def compute_output_shape(self, input_shape):
        half, _ = split_shape(input_shape)
        *rest, channels = self.f.compute_output_shape(half)
        return (*rest, 2 * channels)

    def call(self, inputs, training=None):
        x1, x2 = tf.split(inputs, 2, axis=-1)
        first, second = self.shortcuts
        y1 = self._add(first(x1), self.f(x2, training=training))
        y2 = self._add(second(x2), self.g(y1, training=training))
        return tf.concat((y1, y2), axis=-1)

    def _add(self, shortcut, residual):
        # Parts that compute in half precision must not round the sum.
        return tf.cast(shortcut, self.compute_dtype) + tf.cast(
            residual, self.compute_dtype
        )

    def get_config(self):
        parts = {"f": self.f, "g": self.g, "shortcuts": self.shortcuts}
        return {
            **super().get_config(),
            **keras.saving.serialize_keras_object(parts),
        }

    @classmethod
    def from_config(cls, config):
        parts = {
            key: keras.saving.deserialize_keras_object(config[key])
            for key in ("f", "g", "shortcuts")
        }
        return cls(**{**config, **parts})
