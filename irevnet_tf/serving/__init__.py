"""Asking TensorFlow Serving for the two directions of a network."""

from irevnet_tf.serving.client import Classification
from irevnet_tf.serving.client import Client
from irevnet_tf.serving.errors import InvalidRequestError
from irevnet_tf.serving.errors import ModelNotFoundError
from irevnet_tf.serving.errors import ServingError
from irevnet_tf.serving.errors import ServingTimeoutError
from irevnet_tf.serving.errors import UnavailableError
from irevnet_tf.serving.local_server import LocalServer

__all__ = [
    "Classification",
    "Client",
    "InvalidRequestError",
    "LocalServer",
    "ModelNotFoundError",
    "ServingError",
    "ServingTimeoutError",
    "UnavailableError",
]
