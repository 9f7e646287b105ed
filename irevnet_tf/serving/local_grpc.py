"""TensorFlow Serving's gRPC services for a `LocalModel`."""

import concurrent.futures
import logging
import math
import os

import grpc
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from irevnet_tf.serving.local_model import LocalModel
from irevnet_tf.serving.local_model import Refusal

MAX_MESSAGE_BYTES = 256 * 2**20
CLOSE_SECONDS = 10
METADATA_FIELD = "signature_def"

_log = logging.getLogger(__name__)


class GrpcServer:
    """Answers in threads of its own until it is closed.

    Args:
        model: the model to serve.
        host: the address to listen at.
        port: int, 0 for any that is free.

    Attributes:
        port: the port it listens at.

    Raises:
        OSError: if the port is not free.
    """

    def __init__(self, model: LocalModel, host: str, port: int):
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)),
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", -1),
                # Otherwise two servers would share a port.
                ("grpc.so_reuseport", 0),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _PredictionService(model), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            _ModelService(model), self._server
        )
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(str(error)) from error
        self._server.start()

    def close(self) -> None:
        """Finish the requests under way and close all connections."""
        self._server.stop(CLOSE_SECONDS).wait()


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model):
        self._model = model

    def Predict(self, request, context):
        return _answer(self._predict, request, context)

    def GetModelMetadata(self, request, context):
        return _answer(self._metadata, request, context)

    def _predict(self, request):
        model, spec = self._model, request.model_spec
        _require(model.require, spec, spec.version_label)
        inputs = {
            name: _to_array(name, tensor)
            for name, tensor in request.inputs.items()
        }
        outputs = model.predict(
            spec.signature_name, inputs, list(request.output_filter)
        )
        reply = predict_pb2.PredictResponse()
        _fill(reply.model_spec, model)
        reply.model_spec.signature_name = spec.signature_name
        for name, array in outputs.items():
            reply.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return reply

    def _metadata(self, request):
        model, spec = self._model, request.model_spec
        _require(model.require, spec, spec.version_label)
        if list(request.metadata_field) != [METADATA_FIELD]:
            raise Refusal(
                "INVALID_ARGUMENT",
                f"Expected the metadata field {METADATA_FIELD}. Received: "
                f"metadata_field={list(request.metadata_field)}",
            )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in model.signature_defs.items():
            signatures.signature_def[name].CopyFrom(signature)
        reply = get_model_metadata_pb2.GetModelMetadataResponse()
        _fill(reply.model_spec, model)
        reply.metadata[METADATA_FIELD].Pack(signatures)
        return reply


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, model):
        self._model = model

    def GetModelStatus(self, request, context):
        return _answer(self._status, request, context)

    def _status(self, request):
        model, spec = self._model, request.model_spec
        _require(model.require_status, spec)
        if spec.version_label:
            _require(model.require, spec, spec.version_label)
        reply = get_model_status_pb2.GetModelStatusResponse()
        status = reply.model_version_status.add(
            version=model.version,
            state=get_model_status_pb2.ModelVersionStatus.AVAILABLE,
        )
        status.status.SetInParent()  # The code OK is 0.
        return reply


def _answer(method, request, context):
    try:
        return method(request)
    except Refusal as refusal:
        code, message = refusal.code, str(refusal)
    except Exception:
        _log.exception("A request failed")
        code, message = "INTERNAL", "Internal error"
    context.abort(getattr(grpc.StatusCode, code), message)


def _require(check, spec, *label):
    version = spec.version.value if spec.HasField("version") else None
    check(spec.name, version, *label)


def _fill(spec, model):
    spec.name = model.name
    spec.version.value = model.version


def _to_array(name, tensor):
    sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
    # A small message can announce a tensor beyond all memory: what it does
    # not hold is filled with its last value.
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise _unreadable(name, f"shape={sizes}")
    if 4 * math.prod(sizes) > MAX_MESSAGE_BYTES:
        raise _unreadable(name, f"shape={sizes}")
    try:
        return tf.make_ndarray(tensor)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(name, str(error)) from error


def _unreadable(name, reason):
    return Refusal(
        "INVALID_ARGUMENT", f"tensor parsing error: {name}: {reason}"
    )
