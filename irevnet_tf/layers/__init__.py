"""Invertible Keras layers: the parts that an i-RevNet is made of."""

from irevnet_tf.layers.channels import ChannelMerge
from irevnet_tf.layers.channels import ChannelSplit
from irevnet_tf.layers.channels import InjectivePadding
from irevnet_tf.layers.coupling import AdditiveCoupling
from irevnet_tf.layers.downsampling import InvertibleDownsampling
from irevnet_tf.layers.fixed_point import FixedPoint
from irevnet_tf.layers.inverse import Inverse
from irevnet_tf.layers.normalization import BatchNormalization
from irevnet_tf.layers.residual import BottleneckResidual
from irevnet_tf.layers.reversible import ReversibleSequence

__all__ = [
    "AdditiveCoupling",
    "BatchNormalization",
    "BottleneckResidual",
    "ChannelMerge",
    "ChannelSplit",
    "FixedPoint",
    "InjectivePadding",
    "Inverse",
    "InvertibleDownsampling",
    "ReversibleSequence",
]
