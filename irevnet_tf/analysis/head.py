"""Logits, probabilities and Jacobians of a model's classifier."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.export.inference import check_model
from irevnet_tf.export.inference import inference_copy
from irevnet_tf.export.inference import without_traces
from irevnet_tf.export.inference_layers import InferenceNormalization
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.graph import calls
from irevnet_tf.models.graph import last_call


class Head:
    """The logits of a classifier.

    Args:
        model: Keras model. An i-RevNet with a classifier, or a model that
            extends or holds one, whose last layer is a Dense, with or without
            softmax.

    Attributes:
        classes: int. Number of classes.
        pooling: None or pair of float arrays (channels,). (factor, shift) if
            the head sees only the means of `relu(factor * z + shift)` over the
            positions of the representation z; None for other heads.

    Raises:
        ValueError: if `model` is no such model.
    """

    def __init__(self, model):
        check_model(model)
        with without_traces(model):
            copy = inference_copy(model, model.inputs[0].shape[1:])
            self.pooling = _pooling(copy)
            self._logits = keras.Model(copy.input, _logits(copy))
        self.classes = self._logits.output.shape[-1]

    def logits(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Return float array (N, classes)."""
        return np.concatenate(
            [
                self._logits(images[i : i + batch_size], training=False)
                for i in range(0, len(images), batch_size)
            ]
        )

    def probabilities(self, images, batch_size: int = 64) -> np.ndarray:
        """Return float array (N, classes) whose rows add up to 1."""
        return tf.nn.softmax(self.logits(images, batch_size)).numpy()

    def logits_and_jacobian(self, image: np.ndarray, batch_size: int):
        """Return the logits of an image, and their derivative.

        Args:
            image: float array (height, width, channels). The image.
            batch_size: positive int. Classes whose derivatives are taken at a
                time.

        Returns:
            float array (classes,), and (classes, values of the image).
        """
        rows = []
        eye = np.eye(self.classes, dtype=image.dtype)
        for start in range(0, self.classes, batch_size):
            directions = eye[start : start + batch_size]
            logits, gradients = self._pull(image[None], directions)
            rows.append(gradients.numpy())
        return logits[0].numpy(), np.concatenate(rows).reshape(len(eye), -1)

    @tf.function
    def _pull(self, image, directions):
        x = tf.repeat(image, tf.shape(directions)[0], axis=0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = self._logits(x, training=False)
        directions = tf.cast(directions, logits.dtype)
        return logits, tape.gradient(logits, x, directions)


def _logits(model):
    """Return the Keras tensor that enters the softmax of a model."""
    output = model.outputs[0]
    last = last_call(model)
    # Of a layer inside of a nested model, only the output is in this graph.
    is_inside = last.model is not model
    layer, inputs = last.layer, last.inputs
    activation = getattr(layer, "activation", None)
    if output.ndim == 2 and output.shape[-1] > 1:
        is_softmax = isinstance(layer, keras.layers.Softmax) or (
            isinstance(layer, keras.layers.Activation)
            and activation is keras.activations.softmax
        )
        if is_softmax and not is_inside:
            return inputs[0]
        if isinstance(layer, keras.layers.Dense):
            if activation is keras.activations.linear:
                return output
            if activation is keras.activations.softmax and not is_inside:
                return _linear(layer)(inputs[0])
    raise ValueError(
        "`model` must end in a classifier of two classes or more: a Dense "
        "layer that is linear or has a softmax. "
        f"Received: model={model.name}, which ends in {layer.name} of "
        f"{type(layer)} with output shape {tuple(output.shape)}"
    )


def _linear(dense):
    config = {**dense.get_config(), "activation": "linear"}
    linear = type(dense).from_config(config)
    linear.build(dense.input_spec.shape or (None, dense.kernel.shape[0]))
    linear.set_weights(dense.get_weights())
    return linear


def _pooling(model):
    """Return the factor and shift of a head of BatchNorm, ReLU and mean."""
    found = calls(model)
    end = find_chain(model).output
    read = {x for call in found if call.outputs[0] is end for x in call.writes}
    layers = []
    for matches in (_is_norm, _is_relu, _is_mean):
        readers = [call for call in found if read & set(call.reads)]
        if len(readers) != 1 or not matches(readers[0].layer):
            return None
        layers.append(readers[0].layer)
        read = set(readers[0].writes)
    norm = layers[0]
    return norm.factor.numpy(), norm.shift.numpy()


def _is_norm(layer):
    return isinstance(layer, InferenceNormalization)


def _is_relu(layer):
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.relu
    return (
        type(layer) is keras.layers.ReLU
        and layer.max_value is None
        and not layer.negative_slope
        and not layer.threshold
    )


def _is_mean(layer):
    return (
        type(layer) is keras.layers.GlobalAveragePooling2D
        and layer.data_format == "channels_last"
    )
