"""The local server, asked by gRPC: its replies, statuses and errors."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from doubles import MODEL

pytest.importorskip(
    "tensorflow_serving", reason="tensorflow-serving-api is not installed"
)


@pytest.fixture
def channel(server):
    location = server.grpc_address.removeprefix("grpc://")
    with grpc.insecure_channel(location) as channel:
        yield channel


def predict(channel, change=None, signature="forward", **inputs):
    """Send a `PredictRequest`; return the reply, or the code and message."""
    from tensorflow_serving.apis import predict_pb2
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    if change is not None:
        change(request)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
        return stub.Predict(request, timeout=60)
    except grpc.RpcError as error:
        return error.code().name, error.details()


def test_grpc_answers_all_outputs_or_those_asked_for(channel, images):
    reply = predict(channel, images=images)
    assert sorted(reply.outputs) == ["classes", "features", "probabilities"]
    assert reply.model_spec.version.value == 1
    reply = predict(
        channel, lambda r: r.output_filter.append("features"), images=images
    )
    assert sorted(reply.outputs) == ["features"]
    reply = predict(channel, signature="", images=images)
    assert sorted(reply.outputs) == ["classes", "features", "probabilities"]


def _tensor(**fields):
    """Return a change of a request that alters the tensor in it."""
    from tensorflow.core.framework import tensor_pb2

    def change(request):
        tensor = request.inputs["images"]
        shape = fields.get("shape")
        if shape is not None:
            del tensor.tensor_shape.dim[:]
            for size in shape:
                tensor.tensor_shape.dim.add().size = size
        tensor.MergeFrom(
            tensor_pb2.TensorProto(
                **{k: v for k, v in fields.items() if k != "shape"}
            )
        )

    return change


ZEROS = np.zeros((1, 8, 8, 1), "float32")


@pytest.mark.parametrize(
    ("change", "inputs", "code", "message"),
    [
        (None, {}, "INVALID_ARGUMENT", "Missing but required: {images}"),
        (None, {"x": ZEROS}, "INVALID_ARGUMENT", "not found in signature: x"),
        (
            None,
            {"images": ZEROS, "x": ZEROS},
            "INVALID_ARGUMENT",
            "Sent extra: {x}",
        ),
        (
            None,
            {"images": ZEROS.astype("float64")},
            "INVALID_ARGUMENT",
            "got float64 of shape (1, 8, 8, 1)",
        ),
        (None, {"images": [b"a"]}, "INVALID_ARGUMENT", "got string of shape"),
        (None, {"images": ZEROS[0]}, "INVALID_ARGUMENT", "shape (8, 8, 1)"),
        (None, {"images": 1.0}, "INVALID_ARGUMENT", "of shape ()"),
        (
            lambda r: r.output_filter.append("images"),
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: images",
        ),
        (
            lambda r: r.output_filter.extend(["features", "features"]),
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: features",
        ),
        (
            lambda r: setattr(r.model_spec, "signature_name", "backward"),
            {"images": ZEROS},
            "FAILED_PRECONDITION",
            'Serving signature key "backward" not found.',
        ),
        (
            lambda r: setattr(r.model_spec, "name", "letters"),
            {"images": ZEROS},
            "NOT_FOUND",
            "Latest(letters)",
        ),
        (
            lambda r: r.ClearField("model_spec"),
            {"images": ZEROS},
            "NOT_FOUND",
            "Latest()",
        ),
        (
            lambda r: setattr(r.model_spec.version, "value", -3),
            {"images": ZEROS},
            "NOT_FOUND",
            "Specific(digits, -3)",
        ),
        (
            lambda r: setattr(r.model_spec, "version_label", "stable"),
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: stable",
        ),
        (
            lambda r: r.inputs["images"].Clear(),
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "tensor parsing error: images",
        ),
        (
            _tensor(tensor_content=b"123"),
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "tensor parsing error: images",
        ),
        (
            _tensor(shape=(2**40, 8, 8, 1)),
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "tensor parsing error: images: shape=[1099511627776, 8, 8, 1]",
        ),
        (
            _tensor(shape=(-1, 8, 8, 1)),
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "tensor parsing error: images",
        ),
        (
            _tensor(dtype=21),  # DT_VARIANT
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "tensor parsing error: images",
        ),
        (
            _tensor(dtype=7),  # DT_STRING, with the bytes of floats
            {"images": ZEROS},
            "INVALID_ARGUMENT",
            "images",
        ),
        (
            None,
            {"images": ZEROS + np.float32(1e9)},
            "INVALID_ARGUMENT",
            "must stay below 1024",
        ),
    ],
)
def test_grpc_refuses_what_is_malformed(channel, change, inputs, code, message):
    found, details = predict(channel, change, **inputs)
    assert found == code
    assert message in details
    assert "Traceback" not in details


def test_grpc_refuses_what_is_no_message(channel):
    call = channel.unary_unary(
        "/tensorflow.serving.PredictionService/Predict",
        request_serializer=None,
        response_deserializer=None,
    )
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff", timeout=60)
    assert caught.value.code() in (
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    )
    assert "Traceback" not in caught.value.details()


def test_grpc_tells_metadata_and_status(channel):
    from tensorflow_serving.apis import get_model_metadata_pb2
    from tensorflow_serving.apis import get_model_status_pb2
    from tensorflow_serving.apis import model_service_pb2_grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = MODEL
    with pytest.raises(grpc.RpcError, match="Expected the metadata field"):
        prediction.GetModelMetadata(request, timeout=60)
    request.metadata_field.append("signature_def")
    reply = prediction.GetModelMetadata(request, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(signatures)
    forward = signatures.signature_def["forward"]
    assert sorted(forward.outputs) == ["classes", "features", "probabilities"]

    service = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = MODEL
    (status,) = service.GetModelStatus(request, timeout=60).model_version_status
    assert status.version == 1
    assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    request.model_spec.version.value = 2
    with pytest.raises(grpc.RpcError, match="version 2 of model digits"):
        service.GetModelStatus(request, timeout=60)
