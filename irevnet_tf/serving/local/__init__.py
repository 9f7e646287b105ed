"""LocalServer: a local stand-in for TensorFlow Serving, for tests."""

from irevnet_tf.serving.local.server import LocalServer

__all__ = ["LocalServer"]
