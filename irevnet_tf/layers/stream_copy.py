"""StreamCopy: one tensor as both streams."""

import keras

from irevnet_tf.layers.base import WeightlessLayer
from irevnet_tf.layers.base import check_pair


@keras.saving.register_keras_serializable(package="irevnet_tf")
class StreamCopy(WeightlessLayer):
    """Copies a tensor into both streams, `(x, x)`, as RevViT begins.

    All information passes, but not every pair has an input. The inverse
    returns the second stream: the inverse of the blocks computes it first, and
    with less rounding.

    Example:

    >>> x1, x2 = irevnet_tf.layers.StreamCopy()(tf.ones((2, 16, 8)))
    >>> x2.shape
    TensorShape([2, 16, 8])

    Call arguments:
        inputs: float tensor. The tokens, or another representation.

    Input shape:
        Any, cast to the layer's dtype: float32 (float64 under a float64
        policy).

    Output shape:
        A pair of the input's shape, in the layer's dtype.

    Reference:
        Section 3.2 of https://arxiv.org/abs/2302.04869.
    """

    keeps_grid = True

    def compute_output_shape(self, input_shape):
        return tuple(input_shape), tuple(input_shape)

    def compute_inverse_shape(self, output_shape):
        check_pair(output_shape, self)
        return tuple(output_shape[1])

    def call(self, inputs):
        return inputs, inputs

    def inverse(self, outputs):
        # Of a single tensor, the index would take the second example.
        shapes = keras.tree.map_structure(lambda x: tuple(x.shape), outputs)
        check_pair(shapes, self)
        return outputs[1]
