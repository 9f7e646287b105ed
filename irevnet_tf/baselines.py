"""Networks without inverse, to compare with: ResNet and ViT.

Each is made of the same parts as its reversible counterpart, `RevNet` and
`RevViT`, and has the same conventions.
"""

from irevnet_tf.models.resnet import ResNet
from irevnet_tf.models.resnet_variants import ResNet32
from irevnet_tf.models.resnet_variants import ResNet101
from irevnet_tf.models.resnet_variants import ResNet110
from irevnet_tf.models.resnet_variants import ResNet164
from irevnet_tf.models.transformer_variants import ViTB
from irevnet_tf.models.transformer_variants import ViTMini
from irevnet_tf.models.transformer_variants import ViTS
from irevnet_tf.models.vit import ViT

__all__ = [
    "ResNet",
    "ResNet32",
    "ResNet101",
    "ResNet110",
    "ResNet164",
    "ViT",
    "ViTB",
    "ViTMini",
    "ViTS",
]
