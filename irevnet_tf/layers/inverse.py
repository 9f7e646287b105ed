"""Inverse and Shared: layers that wrap another layer and use its weights."""

import keras

from irevnet_tf.layers.base import InvertibleLayer
from irevnet_tf.layers.base import build_by_call
from irevnet_tf.layers.base import check_dtype
from irevnet_tf.layers.base import inverse_shape
from irevnet_tf.layers.base import is_invertible
from irevnet_tf.layers.base import output_shape
from irevnet_tf.layers.base import run_inverse


class AroundLayer(InvertibleLayer):
    """An invertible layer whose weights are those of another layer.

    Args:
        layer: Keras layer. A layer with an inverse.
        **kwargs: keyword arguments. As for every Keras layer; `dtype` defaults
            to that of `layer`.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs) -> None:
        kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(**kwargs)
        self.layer = layer

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


@keras.saving.register_keras_serializable(package="irevnet_tf")
class Shared(AroundLayer):
    """Computes what another layer computes, with that layer's weights.

    A layer that is used in two models keeps both of them alive, and Keras
    reports only its first use. So models that are built from another model's
    layers use them through this one.

    Example:

    >>> coupling = irevnet_tf.layers.AdditiveCoupling(keras.layers.Dense(4))
    >>> shared = irevnet_tf.layers.Shared(coupling)
    >>> y1, y2 = shared((tf.ones((2, 4)), tf.ones((2, 4))))

    Args:
        layer: Keras layer. An `InvertibleLayer`, or another layer that has
            `inverse` beside `call`.

    Call arguments:
        inputs: tensor or structure of tensors. What `layer` takes.
        training: bool. The mode of `layer`.

    Input shape:
        The input shape of `layer`, cast to that layer's dtype.

    Output shape:
        The output shape of `layer`, in that layer's dtype.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs) -> None:
        kwargs.setdefault("name", layer.name)
        super().__init__(layer, **kwargs)

    @property
    def downsampling(self):
        return getattr(self.layer, "downsampling", 1)

    @property
    def keeps_grid(self):
        return getattr(self.layer, "keeps_grid", False)

    def build(self, input_shape):
        if not self.layer.built:
            build_by_call(self.layer, input_shape)

    def compute_output_shape(self, input_shape):
        return output_shape(self.layer, input_shape)

    def compute_inverse_shape(self, output_shape):
        return inverse_shape(self.layer, output_shape)

    def call(self, inputs, training=None):
        return self.layer(inputs, training=training)

    def inverse(self, outputs, training=None):
        return run_inverse(self.layer, outputs, training)

    def share(self):
        return Shared(self.layer)


def share_layer(layer) -> InvertibleLayer:
    """Return a layer that shares the weights and belongs to no graph."""
    if isinstance(layer, InvertibleLayer):
        return layer.share()
    return Shared(layer)


@keras.saving.register_keras_serializable(package="irevnet_tf")
class Inverse(AroundLayer):
    """Runs a layer backwards: `Inverse(layer)(y)` is `layer.inverse(y)`.

    The two share their weights. `irevnet_tf.invert` builds its models from
    these layers.

    Example:

    >>> layer = irevnet_tf.layers.InvertibleDownsampling(2)
    >>> irevnet_tf.layers.Inverse(layer)(tf.zeros((1, 4, 4, 12))).shape
    TensorShape([1, 8, 8, 3])

    Args:
        layer: Keras layer. An `InvertibleLayer`, or another layer that has
            `inverse` beside `call`.
        dtype: dtype policy. Must be that of `layer`, the default.

    Call arguments:
        inputs: tensor or structure of tensors. What `layer` returns.
        training: bool. The mode of `layer`, if its `inverse` has this
            argument.

    Input shape:
        The output shape of `layer`, cast to that layer's dtype.

    Output shape:
        The input shape of `layer`, in that layer's dtype.

    Raises:
        ValueError: if `layer` has no inverse, or another dtype.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs) -> None:
        if not is_invertible(layer):
            raise ValueError(
                f"`layer` must have a method `inverse`. Received: layer={layer}"
            )
        super().__init__(layer, **kwargs)
        check_dtype(self, [layer])

    @property
    def downsampling(self):
        return 1 / getattr(self.layer, "downsampling", 1)

    def build(self, input_shape):
        if not self.layer.built:
            build_by_call(self.layer, self.compute_output_shape(input_shape))

    def compute_output_shape(self, input_shape):
        return inverse_shape(self.layer, input_shape)

    def compute_inverse_shape(self, shape):
        return output_shape(self.layer, shape)

    def call(self, inputs, training=None):
        return run_inverse(self.layer, inputs, training)

    def inverse(self, outputs, training=None):
        return self.layer(outputs, training=training)

    def share(self):
        return Inverse(self.layer, name=self.name)
