"""A layer whose forward direction is another one's inverse."""

import inspect

import keras

from irevnet_tf.layers.base import InvertibleLayer


@keras.saving.register_keras_serializable(package="irevnet_tf")
class Inverse(InvertibleLayer):
    """Runs a layer backwards: `Inverse(layer)(y)` is `layer.inverse(y)`.

    The two share their weights. This is what `irevnet_tf.invert` builds its
    models from.

    Args:
        layer: invertible layer: it has `inverse` beside `call`, and
            `compute_inverse_shape` beside `compute_output_shape`.

    Input shape:
        The output shape of `layer`.

    Output shape:
        The input shape of `layer`.

    Raises:
        ValueError: if `layer` has no inverse.
    """

    def __init__(self, layer, **kwargs):
        if not hasattr(layer, "inverse"):
            raise ValueError(
                f"`layer` must have a method `inverse`. Received: layer={layer}"
            )
        kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(**kwargs)
        self.layer = layer
        parameters = inspect.signature(layer.inverse).parameters
        self._passes_training = "training" in parameters

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build(self.compute_output_shape(input_shape))

    def compute_output_shape(self, input_shape):
        return self.layer.compute_inverse_shape(input_shape)

    def compute_inverse_shape(self, output_shape):
        return self.layer.compute_output_shape(output_shape)

    def call(self, inputs, training=None):
        if self._passes_training:
            return self.layer.inverse(inputs, training=training)
        return self.layer.inverse(inputs)

    def inverse(self, outputs, training=None):
        return self.layer(outputs, training=training)

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})
