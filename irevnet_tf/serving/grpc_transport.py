"""Requests to TensorFlow Serving over gRPC."""

import json
import urllib.parse

import numpy as np

from irevnet_tf.optional import optional_import
from irevnet_tf.serving.errors import GRPC_ERRORS
from irevnet_tf.serving.errors import ServingError

with optional_import(
    "TensorFlow, grpcio and tensorflow-serving-api are needed for grpc "
    "addresses",
    "serving",
):
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import model_pb2
    from tensorflow_serving.apis import predict_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc

UNLIMITED = -1

# gRPC does not send a message again that is larger than its buffer, by
# default 256 kB.
RETRY_BUFFER_BYTES = 2**31 - 1

RETRY_POLICY = {
    "initialBackoff": "0.1s",
    "maxBackoff": "0.8s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
}


class GrpcTransport:
    """Sends the requests of a `Client` over gRPC.

    Args:
        server: `SplitResult`. The parts of an address whose scheme is grpc
            or grpcs.
        model: str. As for `Client`, like all arguments after it.
    """

    def __init__(
        self,
        server: urllib.parse.SplitResult,
        model: str,
        version: int | None,
        label: str | None,
        timeout: float,
        retries: int,
    ):
        self._location = server.netloc
        self._timeout = timeout
        self._spec = model_pb2.ModelSpec(name=model, version_label=label)
        if version is not None:
            self._spec.version.value = version
        options = _channel_options(retries)
        if server.scheme == "grpcs":
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(
                server.netloc, credentials, options
            )
        else:
            self._channel = grpc.insecure_channel(server.netloc, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )

    def predict(
        self,
        signature: str,
        name: str,
        value: np.ndarray | list[bytes],
        wanted: tuple[str, ...],
    ) -> dict[str, np.ndarray]:
        """Send one request.

        Args:
            signature: str. The signature's name.
            name: str. The name of its only input.
            value: float32 array or list of bytes. The value of the input.
            wanted: tuple of str. The outputs to ask for, empty for all.

        Returns:
            Arrays by the names of the outputs.

        Raises:
            ServingError: or one of its subclasses.
        """
        request = predict_pb2.PredictRequest(
            model_spec=self._spec, output_filter=wanted
        )
        request.model_spec.signature_name = signature
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            reply = self._stub.Predict(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code = error.code().name
            kind = GRPC_ERRORS.get(code, ServingError)
            raise kind(
                f"{code} from {self._location}: {error.details()}"
            ) from error
        return {
            name: _to_array(name, tensor)
            for name, tensor in reply.outputs.items()
        }

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()


def _channel_options(retries):
    options = [
        # By default 4 MB, which is 7 images of 224 x 224.
        ("grpc.max_send_message_length", UNLIMITED),
        ("grpc.max_receive_message_length", UNLIMITED),
        # A server that comes back is found again at once, not after gRPC's
        # default of 1 to 120 s: within the 0.7 s that 3 retries take, which
        # fail while gRPC waits. And other clients' failures are theirs.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 250),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if not retries:
        return [*options, ("grpc.enable_retries", 0)]
    policy = {"maxAttempts": retries + 1, **RETRY_POLICY}
    config = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
    return [
        *options,
        ("grpc.service_config", json.dumps(config)),
        ("grpc.per_rpc_retry_buffer_size", RETRY_BUFFER_BYTES),
    ]


def _to_array(name, tensor):
    try:
        return tf.make_ndarray(tensor)
    except (KeyError, TypeError, ValueError) as error:
        raise ServingError(
            f"The server's output {name!r} must be a tensor. Received: {error}"
        ) from error
