"""Export of networks: both directions, for other programs than Python."""

from irevnet_tf.export.litert_file import export_litert
from irevnet_tf.export.onnx_files import export_onnx
from irevnet_tf.export.saved_model import export_saved_model

__all__ = ["export_litert", "export_onnx", "export_saved_model"]
