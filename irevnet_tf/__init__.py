"""Deep invertible networks for Keras 3 and TensorFlow."""

import importlib
import importlib.util

from irevnet_tf import starting
from irevnet_tf.version import __version__ as __version__

__all__ = [
    "IRevNet",
    "IRevNet19",
    "IRevNet28",
    "IRevNet34",
    "IRevNet56",
    "IRevNet163",
    "IRevNet300",
    "IRevNet301",
    "RevNet",
    "RevNet38",
    "RevNet56",
    "RevNet104",
    "RevNet110",
    "RevNet164",
    "RevViT",
    "RevViTB",
    "RevViTMini",
    "RevViTS",
    "analysis",
    "baselines",
    "certify",
    "convert_state_dict",
    "decode_predictions",
    "encoder",
    "export_saved_model",
    "features",
    "fine_tunable",
    "invert",
    "layers",
    "list_weights",
    "load_pytorch_checkpoint",
    "portable",
    "preprocess_input",
    "testing",
    "undo_preprocess",
]

# Without them, there is `irevnet_tf.serving` with its client.
_MISSING = [
    name
    for name in ("tensorflow", "keras")
    if importlib.util.find_spec(name) is None
]

if not _MISSING and not starting.pending:
    # Before any module of this package, which may need what no other backend
    # has.
    from irevnet_tf.backend import require_tensorflow

    require_tensorflow()

    from irevnet_tf import baselines
    from irevnet_tf import layers
    from irevnet_tf import testing
    from irevnet_tf.conversion.checkpoint import load_pytorch_checkpoint
    from irevnet_tf.conversion.pytorch import convert_state_dict
    from irevnet_tf.export.saved_model import export_saved_model
    from irevnet_tf.models.features import features
    from irevnet_tf.models.inversion import encoder
    from irevnet_tf.models.inversion import invert
    from irevnet_tf.models.irevnet import IRevNet
    from irevnet_tf.models.predictions import decode_predictions
    from irevnet_tf.models.resnet_variants import RevNet38
    from irevnet_tf.models.resnet_variants import RevNet56
    from irevnet_tf.models.resnet_variants import RevNet104
    from irevnet_tf.models.resnet_variants import RevNet110
    from irevnet_tf.models.resnet_variants import RevNet164
    from irevnet_tf.models.revnet import RevNet
    from irevnet_tf.models.revvit import RevViT
    from irevnet_tf.models.transformer_variants import RevViTB
    from irevnet_tf.models.transformer_variants import RevViTMini
    from irevnet_tf.models.transformer_variants import RevViTS
    from irevnet_tf.models.variants import IRevNet19
    from irevnet_tf.models.variants import IRevNet28
    from irevnet_tf.models.variants import IRevNet34
    from irevnet_tf.models.variants import IRevNet56
    from irevnet_tf.models.variants import IRevNet163
    from irevnet_tf.models.variants import IRevNet300
    from irevnet_tf.models.variants import IRevNet301
    from irevnet_tf.preprocessing import preprocess_input
    from irevnet_tf.preprocessing import undo_preprocess
    from irevnet_tf.quantization.certificate import certify
    from irevnet_tf.quantization.conversion import portable
    from irevnet_tf.quantization.tuning import fine_tunable
    from irevnet_tf.zoo.registry import list_weights


def __getattr__(name):
    if _MISSING and name in __all__:
        raise ImportError(
            f"irevnet_tf.{name} needs TensorFlow and Keras, without which "
            "there is only the client in irevnet_tf.serving. Received: "
            f"{' and '.join(_MISSING)} not installed"
        )
    if starting.pending and name in __all__:
        starting.finish()
        return getattr(importlib.import_module(__name__), name)
    # With what it needs, such as scikit-learn and matplotlib, when it is.
    if name == "analysis":
        return importlib.import_module("irevnet_tf.analysis")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
