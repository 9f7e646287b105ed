"""Invertible Keras layers: the parts that an i-RevNet is made of."""

from irevnet_tf.layers.additive_coupling import AdditiveCoupling
from irevnet_tf.layers.base import InvertibleLayer
from irevnet_tf.layers.basic_residual import BasicResidual
from irevnet_tf.layers.channels import ChannelMerge
from irevnet_tf.layers.channels import ChannelSplit
from irevnet_tf.layers.channels import InjectivePadding
from irevnet_tf.layers.coupling import Coupling
from irevnet_tf.layers.downsampling import InvertibleDownsampling
from irevnet_tf.layers.fixed_point import FixedPointRounding
from irevnet_tf.layers.integer_pooling import IntegerPooling
from irevnet_tf.layers.integer_residual import IntegerResidual
from irevnet_tf.layers.inverse import Inverse
from irevnet_tf.layers.inverse import Shared
from irevnet_tf.layers.normalization import BatchNormalization
from irevnet_tf.layers.patch_embedding import PatchEmbedding
from irevnet_tf.layers.pixel_range import PixelRange
from irevnet_tf.layers.rebuilt_inputs import RebuiltInputsWarning
from irevnet_tf.layers.residual import BottleneckResidual
from irevnet_tf.layers.reversible import ReversibleSequence
from irevnet_tf.layers.stream_copy import StreamCopy
from irevnet_tf.layers.transformer_residuals import AttentionResidual
from irevnet_tf.layers.transformer_residuals import MLPResidual
from irevnet_tf.layers.transition import PooledShortcut
from irevnet_tf.layers.transition import StreamTransition
from irevnet_tf.layers.two_functions import reversible_block

# The first name of the layer, under which programs and files have it.
FixedPoint = FixedPointRounding

__all__ = [
    "AdditiveCoupling",
    "AttentionResidual",
    "BasicResidual",
    "BatchNormalization",
    "BottleneckResidual",
    "ChannelMerge",
    "ChannelSplit",
    "Coupling",
    "FixedPoint",
    "FixedPointRounding",
    "InjectivePadding",
    "IntegerPooling",
    "IntegerResidual",
    "Inverse",
    "InvertibleDownsampling",
    "InvertibleLayer",
    "MLPResidual",
    "PatchEmbedding",
    "PixelRange",
    "PooledShortcut",
    "RebuiltInputsWarning",
    "ReversibleSequence",
    "Shared",
    "StreamCopy",
    "StreamTransition",
    "reversible_block",
]
