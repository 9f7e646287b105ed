"""The local server, asked directly: its bodies, statuses and errors."""

import base64
import contextlib
import http.client
import json
import logging
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from doubles import MODEL
from doubles import NAMES

from irevnet_tf.serving import LocalServer
from irevnet_tf.serving import local_rest

pytest.importorskip(
    "tensorflow_serving", reason="tensorflow-serving-api is not installed"
)

PREDICT = "/v1/models/digits:predict"


def ask(server, path, content=None, method=None):
    """Return the status and the JSON of a reply."""
    body = content
    if content is not None and not isinstance(content, bytes):
        body = json.dumps(content).encode()
    location = server.rest_address.removeprefix("http://")
    connection = http.client.HTTPConnection(location, timeout=60)
    with contextlib.closing(connection):
        method = method or ("GET" if content is None else "POST")
        connection.request(method, path, body)
        reply = connection.getresponse()
        assert reply.headers["Content-Type"] == "application/json"
        return reply.status, json.loads(reply.read())


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_columns_are_answered_in_columns(server, signatures, images, version):
    expected = signatures["forward"](images=images)
    for inputs in (images.tolist(), {"images": images.tolist()}):
        content = {"signature_name": "forward", "inputs": inputs}
        path = f"/v1/models/digits{version}:predict"
        status, reply = ask(server, path, content)
        assert status == 200
        outputs = reply["outputs"]
        assert sorted(outputs) == ["classes", "features", "probabilities"]
        assert outputs["classes"] == NAMES[:6]
        for name in ("features", "probabilities"):
            np.testing.assert_array_equal(
                np.array(outputs[name], "float32"), expected[name]
            )


def test_rows_are_answered_in_rows(server, signatures, images):
    expected = signatures["forward"](images=images)
    for instances in (
        images.tolist(),
        [{"images": image} for image in images.tolist()],
    ):
        status, reply = ask(server, PREDICT, {"instances": instances})
        assert status == 200
        rows = reply["predictions"]
        assert [row["classes"] for row in rows] == NAMES[:6]
        np.testing.assert_array_equal(
            np.array([row["features"] for row in rows], "float32"),
            expected["features"],
        )


def test_a_single_output_has_no_name(server, signatures, images):
    features = signatures["forward"](images=images)["features"].numpy()
    for key, reply_key in (("inputs", "outputs"), ("instances", "predictions")):
        status, reply = ask(
            server,
            PREDICT,
            {"signature_name": "inverse", key: features.tolist()},
        )
        assert status == 200
        again = np.array(reply[reply_key], "float32")
        np.testing.assert_array_equal(again, images)


def test_bytes_are_base64(server, files):
    encoded = [{"b64": base64.b64encode(file).decode()} for file in files]
    for content in (
        {"inputs": encoded},
        {"inputs": {"image_bytes": encoded}},
        {"instances": encoded},
        {"instances": [{"image_bytes": file} for file in encoded]},
    ):
        status, reply = ask(
            server, PREDICT, {"signature_name": "forward_bytes", **content}
        )
        assert status == 200
        if "inputs" in content:
            assert reply["outputs"]["classes"] == NAMES[:6]
        else:
            assert [r["classes"] for r in reply["predictions"]] == NAMES[:6]


def test_the_status_is_that_of_tensorflow_serving(server):
    for path in ("/v1/models/digits", "/v1/models/digits/versions/1"):
        status, reply = ask(server, path)
        assert status == 200
        assert reply == {
            "model_version_status": [
                {
                    "version": "1",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        }


def test_the_metadata_tells_the_signatures(server):
    status, reply = ask(server, "/v1/models/digits/metadata")
    assert status == 200
    assert reply["model_spec"] == {
        "name": "digits",
        "signature_name": "",
        "version": "1",
    }
    signatures = reply["metadata"]["signature_def"]["signature_def"]
    assert {
        "forward",
        "forward_bytes",
        "inverse",
        "reconstruct",
        "serving_default",
    } <= set(signatures)
    images = signatures["forward"]["inputs"]["images"]
    assert images["dtype"] == "DT_FLOAT"
    sizes = [dim["size"] for dim in images["tensor_shape"]["dim"]]
    assert sizes == ["-1", "8", "8", "1"]


IMAGE = np.zeros((1, 8, 8, 1)).tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSON Parse error: "),
        (b"{", "JSON Parse error: "),
        (b"\xff", "JSON Parse error: "),
        (b"[" * 200_000, "JSON Parse error: "),
        (b"1" * 10_000, "JSON Parse error: "),
        ([], "Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"inputs": IMAGE, "instances": IMAGE}, "expecting only one of"),
        ({"signature_name": 1, "inputs": IMAGE}, "must be a string value"),
        (
            {"signature_name": "backward", "inputs": IMAGE},
            'signature key "backward" not found',
        ),
        ({"instances": []}, "No values in 'instances'"),
        ({"instances": 1}, "Expecting 'instances' to be an list"),
        ({"instances": [{"images": IMAGE[0]}, 1]}, "got list at item 1"),
        (
            {"instances": [{"images": IMAGE[0]}, {"image": IMAGE[0]}]},
            "Failed to process element: 1",
        ),
        ({"instances": [{"image": IMAGE[0]}]}, "Missing named input: images"),
        ({"inputs": {"image": IMAGE}}, "Missing named input: images"),
        ({"inputs": {"images": IMAGE, "x": 1}}, "have named input: x"),
        ({"inputs": None}, "is not of expected type: float32"),
        ({"inputs": "image"}, "is not of expected type: float32"),
        ({"inputs": {"b64": "AAAA"}}, "is not of expected type: float32"),
        ({"inputs": [[[["0"]]]]}, "is not of expected type: float32"),
        ({"inputs": [[1, 2], [3]]}, "JSON Value for images: "),
        ({"inputs": [[[[1e39]]]]}, "without loss of precision"),
        ({"inputs": []}, "of shape (None, 8, 8, 1), got float32"),
        ({"inputs": [[1.0]]}, "got float32 of shape (1, 1)"),
        (
            {"signature_name": "forward_bytes", "inputs": [1]},
            "is not of expected type: string",
        ),
        (
            {"signature_name": "forward_bytes", "inputs": [{"b64": "?"}]},
            "JSON Value for image_bytes: ",
        ),
        (
            {"signature_name": "forward_bytes", "inputs": ["text"]},
            "Unknown image file format",
        ),
    ],
)
def test_malformed_bodies_are_refused(server, content, message):
    status, reply = ask(server, PREDICT, content)
    assert status == 400
    assert list(reply) == ["error"]
    assert message in reply["error"]
    assert "Traceback" not in reply["error"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/letters:predict", 404, "request: Latest(letters)"),
        ("/v1/models/digits/versions/2:predict", 404, "Specific(digits, 2)"),
        ("/v1/models/digits/labels/x:predict", 400, "version label: x"),
        ("/v1/models/digits:regress", 400, "Malformed request: POST"),
        ("/v1/models/digits", 400, "Malformed request: POST"),
        ("/", 400, "Malformed request: POST /"),
    ],
)
def test_wrong_paths_are_refused(server, path, status, message):
    found, reply = ask(server, path, {"inputs": IMAGE})
    assert (found, list(reply)) == (status, ["error"])
    assert message in reply["error"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/letters", 404, "any versions of model letters"),
        ("/v1/models/digits/versions/2", 404, "version 2 of model digits"),
        ("/v1/models/digits/labels/x", 400, "version label: x"),
        ("/v1/models/letters/metadata", 404, "Latest(letters)"),
        ("/v1/models", 400, "Malformed request: GET /v1/models"),
        ("/v1/models/digits:predict", 400, "Malformed request: GET"),
    ],
)
def test_wrong_questions_are_refused(server, path, status, message):
    found, reply = ask(server, path)
    assert (found, list(reply)) == (status, ["error"])
    assert message in reply["error"]


def test_other_methods_are_refused(server):
    status, reply = ask(server, PREDICT, {"inputs": IMAGE}, method="PUT")
    assert status == 501
    assert "PUT" in reply["error"]


def raw(server, data):
    """Return what comes back for bytes, until the server closes."""
    host, _, port = server.rest_address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as file:
            return file.read()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST / HTTP/1.1\r\n", 411),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n", 411),
        ("POST / HTTP/1.1\r\nContent-Length: many\r\n", 411),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 411),
        (f"POST / HTTP/1.1\r\nContent-Length: {2**28 + 1}\r\n", 413),
        ("POST / HTTP/x\r\n", 400),
        ("POST / HTTP/3.0\r\n", 505),
        (f"GET /{'a' * 70_000} HTTP/1.1\r\n", 414),
    ],
)
def test_requests_that_cannot_be_read_are_refused(server, head, status):
    reply = raw(server, f"{head}\r\n".encode())
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())
    assert b'{"error": ' in reply
    assert b"Traceback" not in reply


def test_clients_that_leave_do_no_harm(server, images):
    host, _, port = server.rest_address.removeprefix("http://").partition(":")
    head = f"POST {PREDICT} HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"
    for data in (b"", b"\r\n", b"POST", head.encode(), head.encode() + b"{"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(data)
    status, _ = ask(server, PREDICT, {"inputs": images.tolist()})
    assert status == 200


def test_failures_of_the_server_are_not_shown(
    tiny, monkeypatch, caplog, images
):
    def fail(*_):
        raise RuntimeError("secret")

    with LocalServer(tiny, MODEL) as server:
        monkeypatch.setattr(local_rest.local_json, "arrays", fail)
        with caplog.at_level(logging.CRITICAL):
            reply = ask(server, PREDICT, {"inputs": images.tolist()})
    assert reply == (500, {"error": "Internal error"})


def test_what_is_under_way_is_finished(tiny, monkeypatch, images):
    server = LocalServer(tiny, MODEL)
    arrived, replies = threading.Event(), []
    real = local_rest.local_json.arrays

    def arrays(*args):
        arrived.set()
        return real(*args)

    monkeypatch.setattr(local_rest.local_json, "arrays", arrays)
    content = {"inputs": images.tolist()}
    thread = threading.Thread(
        target=lambda: replies.append(ask(server, PREDICT, content))
    )
    thread.start()
    assert arrived.wait(30)
    server.close()
    thread.join()
    assert replies[0][0] == 200
    server.close()  # A second time does nothing.
    with pytest.raises(ConnectionRefusedError):
        ask(server, PREDICT, content)


UNCLOSED = """
import sys
from irevnet_tf.serving import Client
from irevnet_tf.serving import LocalServer

server = LocalServer(sys.argv[1], "digits")
for address in (server.rest_address, server.grpc_address):
    # A connection of a client that stays open keeps a thread.
    print(Client(address, "digits").encode([[[[0.0]] * 8] * 8]).shape)
"""


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [("", 0, ""), ("raise RuntimeError('over')", 1, "RuntimeError: over")],
)
def test_an_unclosed_server_does_not_keep_the_process(tiny, end, code, message):
    completed = subprocess.run(
        [sys.executable, "-c", UNCLOSED + end, str(tiny)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert completed.returncode == code, completed.stderr
    assert completed.stdout.count("(1, 2, 2, 32)") == 2
    assert message in completed.stderr


def test_nothing_is_left_when_grpc_fails(tiny, monkeypatch):
    from irevnet_tf.serving import local_grpc

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(local_grpc, "GrpcServer", fail)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        LocalServer(tiny, MODEL)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("host", ["::1", "[::1]", ""])
def test_other_hosts_are_refused(tiny, host):
    with pytest.raises(ValueError, match="`host` must be .* Received: host="):
        LocalServer(tiny, MODEL, host=host)


def test_the_newest_version_is_served(tiny, tmp_path):
    (tmp_path / "9").symlink_to(tiny / "1")
    (tmp_path / "10").symlink_to(tiny / "1")
    (tmp_path / "11").mkdir()  # Still empty.
    (tmp_path / ".tmp-12").mkdir()
    (tmp_path / "notes").mkdir()
    with LocalServer(tmp_path, MODEL) as server:
        assert server.version == 10
        status, _ = ask(server, "/v1/models/digits/versions/10")
        assert status == 200


def test_a_directory_without_versions_is_refused(tiny, tmp_path):
    for directory in (tmp_path, tmp_path / "nothing", tiny / "1"):
        with pytest.raises(ValueError, match=r"`directory` must.*Received: "):
            LocalServer(directory, MODEL)


def test_a_port_in_use_is_refused(tiny, server):
    ports = {
        "rest_port": server.rest_address,
        "grpc_port": server.grpc_address,
    }
    for name, address in ports.items():
        with pytest.raises(OSError, match="(?i)in use|bind"):
            LocalServer(tiny, MODEL, **{name: int(address.rpartition(":")[2])})
