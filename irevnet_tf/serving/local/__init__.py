"""A stand-in for TensorFlow Serving on this machine, to try things out."""

from irevnet_tf.serving.local.server import LocalServer

__all__ = ["LocalServer"]
