"""Warm-up requests in version directories are answered when replayed."""

import json

import numpy as np
import processes
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf.export.version_directory import WARMUP_FILE

apis = pytest.importorskip(
    "tensorflow_serving.apis.prediction_log_pb2",
    reason="tensorflow-serving-api is not installed",
)


@pytest.fixture(scope="module", params=["fixed", "dynamic"])
def version(request, tmp_path_factory):
    model = irevnet_tf.IRevNet28(weights="digits", lossless=True)
    is_fixed = request.param == "fixed"
    return irevnet_tf.export_saved_model(
        model,
        tmp_path_factory.mktemp("models") / "digits",
        image_size=None if is_fixed else "dynamic",
        class_names="digits",
        image_bytes=is_fixed,
        reconstruct_from="stage1",
    )


def requests_of(version):
    """Return [(signature, {input: array})] as TensorFlow Serving reads them."""
    found = []
    for record in tf.data.TFRecordDataset(str(version / WARMUP_FILE)):
        request = apis.PredictionLog.FromString(
            record.numpy()
        ).predict_log.request
        assert request.model_spec.name == "digits"
        inputs = {
            name: tf.make_ndarray(tensor)
            for name, tensor in request.inputs.items()
        }
        found.append((request.model_spec.signature_name, inputs))
    return found


def test_every_signature_has_a_request(version):
    signatures = processes.meta_graph(version).signature_def
    names = [name for name, _ in requests_of(version)]
    # TensorFlow adds one of its own, which is no endpoint.
    assert sorted(names) == sorted(set(signatures) - {"__saved_model_init_op"})
    card = json.loads((version / "model_card.json").read_text())
    assert card["warmup_requests"] == len(names)


@pytest.mark.parametrize(
    "call",
    [processes.call_without_keras, processes.call_by_c_api],
    ids=["python", "c_api"],
)
def test_every_request_is_answered(version, call, tmp_path):
    requests = requests_of(version)
    answers = call([(version, *request) for request in requests], tmp_path)
    inputs = dict(requests)
    raw = inputs["forward"]["images"]
    for (name, _), answer in zip(requests, answers, strict=True):
        for array in answer.values():
            assert len(array) == 1
        if "features" in answer:
            np.testing.assert_array_equal(
                answer["features"], inputs["inverse"]["features"], err_msg=name
            )
        else:
            np.testing.assert_array_equal(
                np.rint(answer["images"]), raw, err_msg=name
            )
