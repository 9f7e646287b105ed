"""Export of both directions of a network, for servers and runtimes."""

from irevnet_tf.export.litert import export_litert
from irevnet_tf.export.onnx import export_onnx
from irevnet_tf.export.saved_model import export_saved_model

__all__ = ["export_litert", "export_onnx", "export_saved_model"]
