"""PatchEmbedding: an image as a sequence of tokens."""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.layers.downsampling import check_divisible
from irevnet_tf.layers.kept_preprocessing import KeepsPreprocessing
from irevnet_tf.layers.transformer_base import kernel_initializer_of
from irevnet_tf.layers.transformer_base import normal_initializer

# Beyond it, images would be off by more than a step of 8 bits: by 2e-3
# (relative), or 6e-3 for single pixels, at this condition number.
LARGEST_CONDITION = 1e5


@keras.saving.register_keras_serializable(package="irevnet_tf")
class PatchEmbedding(KeepsPreprocessing, keras.layers.Layer):
    """Maps each patch of an image to a token, and adds a learned position.

    A token is the sum of a linear function of the patch's pixels, a bias, and
    a vector for the place of the patch in the image. So the size of the images
    must be known.

    The layer has no `inverse`: `irevnet_tf.invert` ends in the tokens.
    `images_from` computes images from tokens, if the linear function permits.

    Example:

    >>> layer = irevnet_tf.layers.PatchEmbedding(width=64, patch_size=4)
    >>> layer(tf.zeros((2, 16, 16, 3))).shape
    TensorShape([2, 16, 64])

    Args:
        width: positive int. Length of a token.
        patch_size: positive int. Side p of a patch. It must divide height and
            width of the images.
        preprocessing: None or str. The `mode` of `irevnet_tf.preprocess_input`
            by which the network's images were scaled, as in
            `InvertibleDownsampling`.
        kernel_initializer: None or Keras initializer. As in
            `AttentionResidual`.
        dtype: None or dtype policy. Defaults to float32 (float64 under a
            float64 policy).

    Call arguments:
        inputs: float tensor. The images.

    Input shape:
        `(batch, height, width, channels)`, cast to the layer's dtype: float32
        (float64 under a float64 policy).

    Output shape:
        `(batch, height / p * width / p, width of a token)`, row by row, in the
        layer's dtype.

    Raises:
        ValueError: if an argument is out of range; at build, if height or width
            is unknown, or no multiple of `patch_size`.

    Reference:
        Section 3.1 of https://arxiv.org/abs/2010.11929 (ViT).
    """

    def __init__(
        self,
        width: int,
        patch_size: int,
        preprocessing: str | None = None,
        *,
        kernel_initializer: str | keras.Initializer | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        **kwargs,
    ) -> None:
        super().__init__(dtype=dtype or stream_dtype(), **kwargs)
        self.width = check_positive_int("width", width)
        self.patch_size = check_positive_int("patch_size", patch_size)
        self.preprocessing = preprocessing
        self.kernel_initializer = kernel_initializer_of(kernel_initializer)

    def build(self, input_shape):
        rows, columns = self._grid(input_shape)
        channels = input_shape[-1]
        side = self.patch_size
        # As PyTorch initializes the bias of its convolutions.
        bound = (side * side * channels) ** -0.5
        self.kernel = self.add_weight(
            name="kernel",
            shape=(side, side, channels, self.width),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.width,),
            initializer=keras.initializers.RandomUniform(-bound, bound),
        )
        self.position = self.add_weight(
            name="position",
            # With the grid, so that weights of another one do not fit.
            shape=(rows, columns, self.width),
            initializer=normal_initializer(),
        )
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes=dict(zip((1, 2, -1), input_shape[1:], strict=True))
        )

    def _grid(self, input_shape):
        """Return how many patches are in a column and in a row."""
        if len(input_shape) != 4 or None in tuple(input_shape)[1:]:
            raise ValueError(
                "PatchEmbedding needs images (batch, height, width, channels) "
                "of a known size, since it learns a vector for each place. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        check_divisible(input_shape[1:3], self.patch_size)
        return tuple(side // self.patch_size for side in input_shape[1:3])

    def compute_output_shape(self, input_shape):
        rows, columns = self._grid(input_shape)
        return (input_shape[0], rows * columns, self.width)

    def call(self, inputs):
        x = tf.nn.conv2d(inputs, self.kernel, self.patch_size, "VALID")
        # In the order in which a graph's optimizer would add them up.
        x += self.bias + self.position
        rows, columns, width = self.position.shape
        return tf.reshape(x, (-1, rows * columns, width))

    def images_from(
        self,
        tokens: ArrayLike | tf.Tensor,
        largest_condition: float = LARGEST_CONDITION,
    ) -> tf.Tensor:
        """Return the images whose tokens come closest to the given ones.

        It is a least-squares solution, computed in float64. Errors of the
        tokens grow by up to the condition number of the kernel as a matrix.
        For the float32 tokens of images in patches of 16 x 16 pixels, 1e-6
        (relative) was measured at a condition number of 10, 3e-4 at 1e4, and
        2e-3 at 1e5. Fresh weights of RevViTB have one of 2000, and give 2e-5.

        Example:

        >>> layer = irevnet_tf.layers.PatchEmbedding(width=64, patch_size=4)
        >>> tokens = layer(tf.random.uniform((2, 16, 16, 3)))
        >>> images = layer.images_from(tokens)  # (2, 16, 16, 3)

        Args:
            tokens: float array or tensor (batch, tokens, width of a token).
                What the layer returned. No symbolic tensor.
            largest_condition: float. The largest condition number to accept.

        Returns:
            A tensor (batch, height, width, channels) in the layer's dtype.

        Raises:
            ValueError: if the layer is not built, or `tokens` has another
                shape; if a token is shorter than a patch has values, so that
                different images have the same tokens; or if the condition
                number is larger than `largest_condition`.
        """
        if not self.built:
            raise ValueError(
                "PatchEmbedding must be built, by a call on images, before it "
                f"can return images. Received: layer={self.name}"
            )
        if keras.utils.is_keras_tensor(tokens) or tf.is_symbolic_tensor(tokens):
            raise ValueError(
                "`tokens` must be numbers, since images are computed from them "
                "in NumPy and not in graphs. "
                f"Received: tokens={tokens}"
            )
        tokens = np.asarray(tokens, "float64")
        rows, columns, width = self.position.shape
        if tokens.ndim != 3 or tokens.shape[1:] != (rows * columns, width):
            raise ValueError(
                "`tokens` must be (batch, tokens, width), "
                f"(batch, {rows * columns}, {width}). "
                f"Received: tokens with shape {tokens.shape}"
            )
        pixels = self._solved(
            np.reshape(tokens, (-1, rows, columns, width))
            - keras.ops.convert_to_numpy(self.bias)
            - keras.ops.convert_to_numpy(self.position),
            largest_condition,
        )
        height, width, channels = (self.input_spec.axes[i] for i in (1, 2, -1))
        side = self.patch_size
        grid = (-1, height // side, width // side, side, side, channels)
        images = np.reshape(pixels, grid).transpose(0, 1, 3, 2, 4, 5)
        return tf.convert_to_tensor(
            np.reshape(images, (-1, height, width, channels)),
            self.compute_dtype,
        )

    def _solved(self, values, largest_condition):
        """Return the pixels of each patch, given tokens without their bias."""
        kernel = keras.ops.convert_to_numpy(self.kernel).astype("float64")
        matrix = np.reshape(kernel, (-1, self.width))
        pixels = len(matrix)
        if pixels > self.width:
            raise ValueError(
                "Images can be computed from tokens only if a token is at "
                "least as long as a patch has values, patch_size**2 * channels "
                f"= {pixels}. Received: width={self.width}, "
                f"patch_size={self.patch_size}"
            )
        condition = np.inf
        if np.all(np.isfinite(matrix)):
            left, values_of, right = np.linalg.svd(matrix, full_matrices=False)
            if values_of[-1] > 0:
                condition = values_of[0] / values_of[-1]
        if not condition <= largest_condition:
            raise ValueError(
                "Images can be computed from tokens only if the condition "
                "number of the kernel, by which errors grow, is at most "
                f"`largest_condition`, {largest_condition:.3g}. "
                f"Received: layer={self.name} with {condition:.3g}"
            )
        return (values @ right.T / values_of) @ left.T

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "patch_size": self.patch_size,
            "preprocessing": self.preprocessing,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }
