"""Export of networks: both directions, for other programs than Python."""

from irevnet_tf.export.saved_model import export_saved_model

__all__ = ["export_saved_model"]
