"""From images as they come in files to what the networks take, and back."""

import keras
import numpy as np

from irevnet_tf.pixel_normalization import PREPROCESSING
from irevnet_tf.pixel_normalization import Normalization


def preprocess_input(x, mode):
    """Scale images the way a network's training data were scaled.

    Args:
        x: array, tensor or Keras tensor (..., height, width, channels), any
            numeric dtype, values from 0 to 255 (0 to 16 in mode "digits").
            It is left as it is.
        mode: string. The data set that the network was trained on.

            - "fashion_mnist", "digits", "unit": values from 0 to 1;
            - "cifar10", "cifar100", "imagenet": each channel less its mean
              and divided by its standard deviation over that set. The values
              are those of the authors' code, and of torchvision.

    Returns:
        float32 values of the same shape: an array for an array, otherwise a
        tensor.

    Raises:
        ValueError: if there is no such mode, if `x` does not hold real
            numbers, or has other than 3 channels in one of the modes that
            treat each of three differently.
    """
    return _mapped(x, mode, Normalization.apply)


def undo_preprocess(x, mode):
    """Return images to the scale of files: the inverse of `preprocess_input`.

    Args:
        x: float array, tensor or Keras tensor (..., height, width, channels),
            such as `irevnet_tf.invert(model)` returns.
        mode: string, as for `preprocess_input`.

    Returns:
        float32 values of the same shape: an array for an array, otherwise a
        tensor. They are neither rounded nor clipped: 8-bit images become what
        they were by `np.rint`, and not by a conversion to integers, which
        cuts off.

    Raises:
        ValueError: as `preprocess_input`.
    """
    return _mapped(x, mode, Normalization.undo)


def _mapped(x, mode, function):
    """Return what the method of `mode`'s normalization makes of `x`."""
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
