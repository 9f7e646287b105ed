"""Servers over gRPC: with given replies, or with an export."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from irevnet_tf.serving.local.model import LocalModel
from irevnet_tf.serving.local.model import Refusal
from irevnet_tf.serving.local.model import run


class GrpcServer:
    """TensorFlow Serving's `Predict`, by a function.

    The function takes the bytes of a request and the context, and returns
    those of a reply.
    """

    def __init__(self, predict, port=0):
        self._server = grpc.server(
            ThreadPoolExecutor(4),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        handler = grpc.method_handlers_generic_handler(
            "tensorflow.serving.PredictionService",
            {"Predict": grpc.unary_unary_rpc_method_handler(predict)},
        )
        self._server.add_generic_rpc_handlers([handler])
        port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"grpc://127.0.0.1:{port}"
        self._server.start()

    def close(self):
        self._server.stop(5).wait()


class GrpcReplying(GrpcServer):
    """A server of the fixture `grpc_replying`."""

    def __init__(self, replies):
        self._replies = replies
        self._over = threading.Event()
        self.attempts = 0
        self.sizes = []
        super().__init__(self._predict)

    def _predict(self, request, context):
        reply = self._replies[min(self.attempts, len(self._replies) - 1)]
        self.attempts += 1
        self.sizes.append(len(request))
        if isinstance(reply, str):
            context.abort(getattr(grpc.StatusCode, reply), "as told")
        if isinstance(reply, int):
            self._over.wait(reply)
            return b""
        if isinstance(reply, bytes):
            return reply
        return reply.SerializeToString()

    def close(self):
        self._over.set()
        super().close()


class GrpcModel(GrpcServer):
    """A server of the newest version of an export."""

    def __init__(self, directory, name, port=0):
        self._model = LocalModel(directory)
        self._name = name
        super().__init__(self._predict, port)

    def _predict(self, data, context):
        request = predict_pb2.PredictRequest.FromString(data)
        spec = request.model_spec
        version = self._model.version
        asked = spec.name, spec.version.value or version
        if asked != (self._name, version):
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for: {asked}"
            )
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        if spec.version_label:
            context.abort(invalid, f"Unrecognized label: {spec.version_label}")
        try:
            signature = self._model.signature(spec.signature_name)
            inputs = request.inputs.items()
            arrays = {name: tf.make_ndarray(tensor) for name, tensor in inputs}
            outputs = run(signature, arrays)
        except Refusal as refusal:
            context.abort(invalid, str(refusal))
        reply = predict_pb2.PredictResponse()
        for name in request.output_filter or outputs:
            if name not in outputs:
                # TensorFlow Serving's words, which the client reads.
                context.abort(
                    invalid,
                    f"output tensor alias not found in signature: {name} "
                    "Outputs expected to be in the set "
                    f"{{{','.join(sorted(outputs))}}}.",
                )
            reply.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return reply.SerializeToString()
