"""psi, the invertible downsampling: functions and layer."""

import keras
import tensorflow as tf

from irevnet_tf.layers.base import WeightlessLayer
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.kept_preprocessing import KeepsPreprocessing


def psi(x, block_size: int):
    """Move each `block_size` x `block_size` patch of pixels into channels.

    `(B, H, W, C)` becomes `(B, H/b, W/b, b*b*C)`, with output channel
    `(row * b + column) * C + c`, the order of the authors' psi.
    """
    return tf.nn.space_to_depth(x, block_size) if block_size > 1 else x


def psi_inverse(y, block_size: int):
    """Undo `psi`: `(B, H, W, b*b*C)` becomes `(B, b*H, b*W, C)`."""
    return tf.nn.depth_to_space(y, block_size) if block_size > 1 else y


def psi_shape(shape, block_size: int) -> tuple:
    """Return the shape that `psi` gives an input of `shape`."""
    if block_size == 1:
        return tuple(shape)
    check_divisible(shape[1:3], block_size)
    batch, height, width, channels = shape
    return (
        batch,
        height and height // block_size,
        width and width // block_size,
        channels * block_size**2,
    )


def psi_inverse_shape(shape, block_size: int) -> tuple:
    """Return the shape that `psi_inverse` gives an input of `shape`."""
    if block_size == 1:
        return tuple(shape)
    batch, height, width, channels = shape
    if channels % block_size**2:
        raise ValueError(
            "The number of channels must be divisible by "
            f"{block_size**2} to be rearranged into pixels. "
            f"Received: channels={channels}"
        )
    return (
        batch,
        height and height * block_size,
        width and width * block_size,
        channels // block_size**2,
    )


def check_divisible(size, divisor: int) -> None:
    """Raise ValueError if a known height or width is no multiple of `divisor`.

    Args:
        size: pair of ints or None. Height and width in pixels; None where
            unknown.
        divisor: positive int. It must divide both.
    """
    height, width = size
    if any(side is not None and side % divisor for side in size):
        raise ValueError(
            f"{_divisible_by(divisor)} Received: height={height}, width={width}"
        )


def _divisible_by(divisor):
    return f"Height and width must be divisible by {divisor}."


@keras.saving.register_keras_serializable(package="irevnet_tf")
class InvertibleDownsampling(KeepsPreprocessing, WeightlessLayer):
    """The invertible downsampling psi, which moves resolution into channels.

    `call` moves space to depth, `inverse` moves depth to space. Both are
    permutations of the values, hence exact.

    Example:

    >>> layer = irevnet_tf.layers.InvertibleDownsampling(2)
    >>> layer(np.zeros((1, 8, 8, 3), "float32")).shape
    TensorShape([1, 4, 4, 12])

    Args:
        block_size: positive int. Side b of the patches that become channels; 1
            leaves the input as it is.
        divisor: None or positive int. Height and width must be multiples of it.
            A network that downsamples again further on gives its total factor
            to its first layer, which then refuses sizes that do not fit.
            Defaults to `block_size`.
        preprocessing: None or str. The `mode` of `irevnet_tf.preprocess_input`
            by which the network's images were scaled. The layer computes
            nothing with it: the first layer of a network keeps it for exports.
            Can be changed on the layer.

    Call arguments:
        inputs: float tensor. The images, or a representation.

    Input shape:
        `(batch, height, width, channels)`, cast to the layer's dtype: float32
        (float64 under a float64 policy).

    Output shape:
        `(batch, height / b, width / b, b * b * channels)`, in the layer's
        dtype.

    Raises:
        ValueError: if an argument is out of range; when called on a height or
            width that `divisor` does not divide. For sizes that are unknown
            until a graph runs it is `tf.errors.InvalidArgumentError` instead.

    Reference:
        Section 2 of the i-RevNet paper (https://arxiv.org/abs/1802.07088).
    """

    keeps_grid = True

    def __init__(
        self,
        block_size: int,
        divisor: int | None = None,
        preprocessing: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.block_size = check_positive_int("block_size", block_size)
        self.divisor = check_positive_int(
            "divisor", block_size if divisor is None else divisor
        )
        if self.divisor % self.block_size:
            raise ValueError(
                "`divisor` must be a multiple of `block_size`. Received: "
                f"divisor={divisor}, block_size={block_size}"
            )
        self.preprocessing = preprocessing

    @property
    def downsampling(self):
        return self.block_size

    def build(self, input_shape):
        # Refuses images with other channels before a residual sees them.
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes={-1: input_shape[-1]}
        )

    def compute_output_shape(self, input_shape):
        check_divisible(input_shape[1:3], self.divisor)
        return psi_shape(input_shape, self.block_size)

    def compute_inverse_shape(self, output_shape):
        return psi_inverse_shape(output_shape, self.block_size)

    def call(self, inputs):
        return psi(self._checked(inputs), self.block_size)

    def inverse(self, outputs):
        return psi_inverse(outputs, self.block_size)

    def _checked(self, inputs):
        size = inputs.shape[1:3]
        check_divisible(size, self.divisor)
        if None not in size or self.divisor == 1:
            return inputs
        actual = tf.shape(inputs)[1:3]
        message = f"{_divisible_by(self.divisor)} Received:"
        fits = tf.reduce_all(actual % self.divisor == 0)
        with tf.control_dependencies(
            [tf.debugging.Assert(fits, [message, actual])]
        ):
            return tf.identity(inputs)

    def get_config(self):
        config = super().get_config()
        return {
            **config,
            "block_size": self.block_size,
            "divisor": self.divisor,
            "preprocessing": self.preprocessing,
        }
