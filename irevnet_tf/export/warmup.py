"""Warm-up requests for TensorFlow Serving.

The first call of a signature is slow: TensorFlow prepares its graph. Serving
replays these before it lets clients in.
"""

import pathlib
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

# Where Serving looks for them in a version's directory.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def import_serving_api():
    """Return the module of Serving's requests, from an optional package.

    Raises:
        ImportError: if it is not installed, with the command that does it.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            "Warm-up requests need the package tensorflow-serving-api: "
            'pip install "irevnet_tf[serving]"'
        ) from error
    return prediction_log_pb2


def serving_api_is_installed() -> bool:
    """Return whether `import_serving_api` would succeed."""
    try:
        import_serving_api()
    except ImportError:
        return False
    return True


def write_warmup_requests(
    directory: pathlib.Path,
    model_name: str,
    signatures: Mapping[str, Callable],
    images: np.ndarray,
    features: np.ndarray,
) -> int:
    """Write one request for each signature, for a single image.

    Args:
        directory: of the SavedModel.
        model_name: by which Serving may know the model.
        signatures: {name: concrete function}.
        images: raw images that the model takes.
        features: theirs.

    Returns:
        The number of requests.

    Raises:
        ImportError: if tensorflow-serving-api is not installed.
    """
    prediction_log_pb2 = import_serving_api()
    values = {
        "images": images[:1],
        "features": features[:1],
        "image_bytes": np.array([_png(images[0])]),
    }
    path = directory / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, function in signatures.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for name in function.structured_input_signature[1]:
                request.inputs[name].CopyFrom(
                    tf.make_tensor_proto(values[name])
                )
            writer.write(log.SerializeToString())
    return len(signatures)


def _png(image):
    if image.shape[-1] not in (1, 3):
        return b""
    encoded = tf.io.encode_png(tf.cast(image, tf.uint8))
    return encoded.numpy()
