"""The image that a network takes, and the model from it to the outputs."""

import keras

from irevnet_tf.layers.base import stream_dtype
from irevnet_tf.models.checks import check_image_shape
from irevnet_tf.models.checks import check_input_tensor
from irevnet_tf.models.model import Functional
from irevnet_tf.zoo.files import load_weights_file


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
    check_image_shape(tuple(input_tensor.shape[1:]))
    if input_shape is not None and tuple(input_shape) != input_tensor.shape[1:]:
        raise ValueError(
            "`input_shape` must be that of `input_tensor` if both are given. "
            f"Received: input_shape={input_shape}, "
            f"input_tensor.shape={input_tensor.shape}"
        )
    return input_tensor


def finished_model(image, input_tensor, outputs, *, name, weights):
    """Return a network's model, with its weights.

    Args:
        image: Keras tensor. What `image_input` returned.
        input_tensor: None or Keras tensor. As it was given to `image_input`.
            The model takes what it is computed from.
        outputs: Keras tensor. What the model returns.
        name: str. Name of the model.
        weights: None or path. The file to load.

    Raises:
        ValueError: if the file does not fit.
    """
    inputs = image
    if input_tensor is not None:
        inputs = keras.utils.get_source_inputs(input_tensor)
        inputs = inputs[0] if len(inputs) == 1 else inputs
    model = Functional(inputs, outputs, name=name)
    if weights is not None:
        load_weights_file(model, weights)
    return model
