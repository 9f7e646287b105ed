"""A client of networks on TensorFlow Serving, and a local server.

The client needs neither TensorFlow nor Keras.
"""

import importlib

from irevnet_tf.optional import optional_import
from irevnet_tf.serving.client import Classification
from irevnet_tf.serving.client import Client
from irevnet_tf.serving.errors import InvalidRequestError
from irevnet_tf.serving.errors import ModelNotFoundError
from irevnet_tf.serving.errors import ServingError
from irevnet_tf.serving.errors import ServingTimeoutError
from irevnet_tf.serving.errors import UnavailableError

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


def __getattr__(name):
    # It runs the SavedModel, in TensorFlow.
    if name == "LocalServer":
        with optional_import("TensorFlow is needed for LocalServer", "serving"):
            local = importlib.import_module("irevnet_tf.serving.local")
        return local.LocalServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
