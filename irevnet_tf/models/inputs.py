"""The image that a network takes, and the inputs of the model around it."""

import keras

from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.models.checks import check_image_shape
from irevnet_tf.models.checks import check_input_tensor


def image_input(input_shape, input_tensor):
    """Return the Keras tensor that a network takes as the image.

    Args:
        input_shape: None or tuple (height, width, channels). Of a new input;
            `(None, None, 3)` by default.
        input_tensor: None or Keras tensor. What to take instead.

    Raises:
        ValueError: if one of them is no such thing, or they do not fit.
    """
    if input_tensor is None:
        if input_shape is None:
            input_shape = (None, None, 3)
        check_image_shape(input_shape)
        return keras.Input(input_shape, dtype=stream_dtype(), name="image")
    check_input_tensor(input_tensor)
    if input_shape is not None and tuple(input_shape) != input_tensor.shape[1:]:
        raise ValueError(
            "`input_shape` must be that of `input_tensor` if both are given. "
            f"Received: input_shape={input_shape}, "
            f"input_tensor.shape={input_tensor.shape}"
        )
    return input_tensor


def model_inputs(image, input_tensor):
    """Return the inputs of a model whose network takes `image`.

    Args:
        image: Keras tensor. What `image_input` returned.
        input_tensor: None or Keras tensor. As it was given to `image_input`.
    """
    if input_tensor is None:
        return image
    inputs = keras.utils.get_source_inputs(input_tensor)
    return inputs[0] if len(inputs) == 1 else inputs
