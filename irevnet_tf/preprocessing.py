"""Scaling of images for the networks, and back."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True)
class Normalization:
    """An affine map of pixel values, with a mean and a scale per channel.

    Example:

    >>> scale = irevnet_tf.data.Normalization(255.0, (0.5,), (0.25,))
    >>> scale.value_range
    (-2.0, 2.0)

    Attributes:
        maximum: float. The raw value of white. That of black is 0.
        mean: tuple of floats. What is subtracted from `raw / maximum`, one
            value per channel, or one for any number of channels.
        std: tuple of floats. What the difference is divided by, of the length
            of `mean`.
    """

    maximum: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(
        self, images: np.ndarray | tf.Tensor | keras.KerasTensor
    ) -> tf.Tensor | keras.KerasTensor:
        """Normalise raw images.

        Args:
            images: array, tensor or Keras tensor, channels last. Raw images of
                any dtype, values 0 to `maximum`.

        Returns:
            float32 tensor of the same shape.
        """
        images = keras.ops.cast(images, "float32")
        return (images / self.maximum - self._mean) / self._std

    def undo(
        self, images: np.ndarray | tf.Tensor | keras.KerasTensor
    ) -> tf.Tensor | keras.KerasTensor:
        """Return the raw values of normalised images, the inverse of `apply`.

        Args:
            images: float array, tensor or Keras tensor, channels last.
                Normalised images.

        Returns:
            float32 tensor of the same shape. Nothing is clipped or rounded.
        """
        images = keras.ops.cast(images, "float32")
        return (images * self._std + self._mean) * self.maximum

    @property
    def _mean(self):
        return np.array(self.mean, "float32")

    @property
    def _std(self):
        return np.array(self.std, "float32")

    @property
    def value_range(self) -> tuple[float, float]:
        """Normalised values for black and white: no channel goes beyond."""
        low = (0.0 - np.array(self.mean)) / self.std
        high = (1.0 - np.array(self.mean)) / self.std
        return float(low.min()), float(high.max())


# The CIFAR values are those of the authors' PyTorch code, ImageNet's are
# torchvision's.
NORMALIZATIONS = {
    "unit": Normalization(255.0, (0.0,), (1.0,)),
    "cifar10": Normalization(
        255.0, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    ),
    "cifar100": Normalization(
        255.0, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    ),
    "imagenet": Normalization(
        255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ),
}

# The scaling of the networks' data sets, also by the names of weights.
PREPROCESSING = {
    **NORMALIZATIONS,
    "fashion_mnist": NORMALIZATIONS["unit"],
    # scikit-learn's digits have 17 shades of gray.
    "digits": Normalization(16.0, (0.0,), (1.0,)),
}


def normalization_for(name: str, channels: int) -> Normalization:
    """Return an entry of `NORMALIZATIONS`.

    Args:
        name: str. A key of the table.
        channels: int. The images' number of channels.

    Returns:
        The `Normalization`.

    Raises:
        ValueError: if there is none of this name, or if it is for images
            with another number of channels.
    """
    if name not in NORMALIZATIONS:
        raise ValueError(
            "`normalization` must be one of "
            f"{', '.join(NORMALIZATIONS)}. Received: normalization={name!r}"
        )
    normalization = NORMALIZATIONS[name]
    if len(normalization.mean) not in (1, channels):
        raise ValueError(
            f"`normalization` must suit images with {channels} channel(s). "
            f"Received: normalization={name!r}, which has "
            f"{len(normalization.mean)} channels"
        )
    return normalization


def preprocess_input(
    x: ArrayLike | tf.Tensor | keras.KerasTensor, mode: str
) -> np.ndarray | tf.Tensor | keras.KerasTensor:
    """Scale images the way a network's training data were scaled.

    Example:

    >>> images = np.random.randint(0, 256, (4, 224, 224, 3))
    >>> x = irevnet_tf.preprocess_input(images, "imagenet")
    >>> x.dtype
    dtype('float32')

    Args:
        x: array, tensor or Keras tensor. Images, channels last, of any numeric
            dtype, with values from 0 to 255 (0 to 16 in mode "digits"). It is
            not changed.
        mode: str. The data set that the network was trained on.

            - "fashion_mnist", "digits", "unit": values from 0 to 1;
            - "cifar10", "cifar100", "imagenet": each channel less its mean
              and divided by its standard deviation over that set. The values
              are those of the authors' code, and of torchvision.

    Returns:
        float32 values of the same shape: an array for an array, otherwise a
        tensor.

    Raises:
        ValueError: if there is no such mode, if `x` does not hold real
            numbers, or does not have 3 channels in one of the modes with a
            mean for each of three channels.
    """
    return _mapped(x, mode, Normalization.apply)


def undo_preprocess(
    x: ArrayLike | tf.Tensor | keras.KerasTensor, mode: str
) -> np.ndarray | tf.Tensor | keras.KerasTensor:
    """Return images to the scale of files: the inverse of `preprocess_input`.

    Example:

    >>> images = np.random.randint(0, 256, (4, 32, 32, 3))
    >>> x = irevnet_tf.preprocess_input(images, "cifar10")
    >>> images_again = np.rint(irevnet_tf.undo_preprocess(x, "cifar10"))
    >>> assert np.array_equal(images_again, images)

    Args:
        x: float array, tensor or Keras tensor. Images, channels last, such as
            `irevnet_tf.invert(model)` returns.
        mode: str. As for `preprocess_input`.

    Returns:
        float32 values of the same shape: an array for an array, otherwise a
        tensor. They are neither rounded nor clipped: use `np.rint` to restore
        8-bit images, since a conversion to integers alone truncates.

    Raises:
        ValueError: as `preprocess_input`.
    """
    return _mapped(x, mode, Normalization.undo)


def _mapped(x, mode, function):
    """Return `function(normalization of the mode, x)`, with checks."""
    if not isinstance(mode, str) or mode not in PREPROCESSING:
        raise ValueError(
            f"`mode` must be one of {', '.join(map(repr, PREPROCESSING))}. "
            f"Received: mode={mode!r}"
        )
    normalization = PREPROCESSING[mode]
    is_tensor = keras.utils.is_keras_tensor(x) or keras.ops.is_tensor(x)
    if not is_tensor:
        x = np.asarray(x)
        if x.dtype.kind not in "buif":
            raise ValueError(
                f"`x` must hold real numbers. Received: x.dtype={x.dtype}"
            )
    shape = tuple(x.shape)
    channels = len(normalization.mean)
    if channels > 1 and (not shape or shape[-1] not in (None, channels)):
        raise ValueError(
            f"`x` must have {channels} channels, in the last place, in mode "
            f"{mode!r}. Received: x.shape={shape}"
        )
    result = function(normalization, x)
    return result if is_tensor else keras.ops.convert_to_numpy(result)
