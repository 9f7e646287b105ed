"""A model around a layer, as `irevnet_tf.invert` takes it."""

import keras
import tensorflow as tf

from irevnet_tf.layers import ChannelMerge
from irevnet_tf.layers import ChannelSplit
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import Inverse
from irevnet_tf.testing.finding import DoesNotApply


class Surrounded:
    """A Functional model in which a layer stands behind a `ChannelMerge`.

    A pair of streams of one shape enters as one tensor, which is split, merged
    and split again. A pair of outputs is merged.

    Args:
        layer: built invertible layer. The layer to put into a model.
        inputs: tensor, or pair of tensors. What the layer takes.

    Attributes:
        model: Functional model. The model around the layer.
        inputs: tensor, or pair of tensors. What the model takes.
        point: str. The name of the point behind the layer.

    Raises:
        DoesNotApply: if there is no such model.
    """

    def __init__(self, layer, inputs):
        if isinstance(layer, Inverse):
            raise DoesNotApply("the invertible part of a model ends before it")
        given, streams = self._entrance(layer, inputs)
        outputs = layer(streams)
        self.point = layer.name
        if isinstance(outputs, tuple | list):
            self._require_pair(outputs)
            merge = ChannelMerge()
            outputs = merge(outputs)
            self.point = merge.name
        self.model = keras.Model(given, outputs, name="around")

    def _entrance(self, layer, inputs):
        """Return the model's inputs, and what `layer` gets from them."""
        bits = getattr(layer, "fraction_bits", None)
        if isinstance(inputs, tuple) and inputs[0].shape == inputs[1].shape:
            self.inputs = tf.concat(inputs, -1)
            x = given = _input(self.inputs)
            if bits is not None:
                x = FixedPointRounding(bits)(x)
            merged = ChannelMerge()(ChannelSplit()(x))
            return given, ChannelSplit()(merged)
        if isinstance(inputs, tuple):
            self._require_pair(inputs)
            if bits is not None:
                raise DoesNotApply("its two streams have not the same shape")
            self.inputs = inputs
            given = tuple(map(_input, inputs))
            return given, given
        channels = inputs.shape[-1]
        if channels == 1 or inputs.shape.rank < 2:
            self.inputs, given = inputs, _input(inputs)
            return given, given
        if channels % 2:
            half = channels // 2
            self.inputs = inputs[..., :half], inputs[..., half:]
            given = streams = tuple(map(_input, self.inputs))
        else:
            self.inputs, given = inputs, _input(inputs)
            streams = ChannelSplit()(given)
        return given, ChannelMerge()(streams)

    def _require_pair(self, tensors):
        fits = len(tensors) == 2 and (
            tensors[0].shape[1:-1] == tensors[1].shape[1:-1]
        )
        if not fits:
            raise DoesNotApply(
                "no ChannelMerge makes one tensor of what it takes or returns"
            )


def _input(tensor):
    return keras.Input(tuple(tensor.shape[1:]), dtype=tensor.dtype.name)
