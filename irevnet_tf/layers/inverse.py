"""A layer whose forward direction is another one's inverse."""

import keras

from irevnet_tf.layers.base import build_by_call
from irevnet_tf.layers.base import check_dtype
from irevnet_tf.layers.base import inverse_shape
from irevnet_tf.layers.base import is_invertible
from irevnet_tf.layers.base import output_shape
from irevnet_tf.layers.base import run_inverse
from irevnet_tf.layers.shared import AroundLayer


@keras.saving.register_keras_serializable(package="irevnet_tf")
class Inverse(AroundLayer):
    """Runs a layer backwards: `Inverse(layer)(y)` is `layer.inverse(y)`.

    The two share their weights. This is what `irevnet_tf.invert` builds its
    models from.

    Args:
        layer: `InvertibleLayer`, or another Keras layer that has `inverse`
            beside `call`.
        dtype: that of `layer`, the default.

    Input shape:
        The output shape of `layer`.

    Output shape:
        The input shape of `layer`.

    Raises:
        ValueError: if `layer` has no inverse, or another dtype.
    """

    def __init__(self, layer, **kwargs):
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
