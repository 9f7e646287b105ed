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
import time

import numpy as np
import pytest
import tensorflow as tf
from doubles import MODEL
from doubles import NAMES

from irevnet_tf.serving import LocalServer
from irevnet_tf.serving.local import server as server_module

PREDICT = "/v1/models/digits:predict"


@pytest.fixture
def address(served, exported):
    return served(exported, "rest")


def ask(address, path, content=None, method=None):
    """Return the status and the JSON of a reply."""
    body = content
    if content is not None and not isinstance(content, bytes):
        body = json.dumps(content).encode()
    location = address.removeprefix("http://")
    connection = http.client.HTTPConnection(location, timeout=60)
    with contextlib.closing(connection):
        method = method or ("GET" if content is None else "POST")
        connection.request(method, path, body)
        reply = connection.getresponse()
        assert reply.headers["Content-Type"] == "application/json"
        return reply.status, json.loads(reply.read())


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_columns_are_answered_in_columns(address, signatures, images, version):
    expected = signatures["forward"](images=images)
    for inputs in (images.tolist(), {"images": images.tolist()}):
        content = {"signature_name": "forward", "inputs": inputs}
        path = f"/v1/models/digits{version}:predict"
        status, reply = ask(address, path, content)
        assert status == 200
        outputs = reply["outputs"]
        assert sorted(outputs) == ["classes", "features", "probabilities"]
        assert outputs["classes"] == NAMES[:6]
        for name in ("features", "probabilities"):
            np.testing.assert_array_equal(
                np.array(outputs[name], "float32"), expected[name]
            )


def test_rows_are_answered_in_rows(address, signatures, images):
    expected = signatures["forward"](images=images)
    for instances in (
        images.tolist(),
        [{"images": image} for image in images.tolist()],
    ):
        status, reply = ask(address, PREDICT, {"instances": instances})
        assert status == 200
        rows = reply["predictions"]
        assert [row["classes"] for row in rows] == NAMES[:6]
        np.testing.assert_array_equal(
            np.array([row["features"] for row in rows], "float32"),
            expected["features"],
        )


def test_a_single_output_has_no_name(address, signatures, images):
    features = signatures["forward"](images=images)["features"].numpy()
    for key, reply_key in (("inputs", "outputs"), ("instances", "predictions")):
        status, reply = ask(
            address,
            PREDICT,
            {"signature_name": "inverse", key: features.tolist()},
        )
        assert status == 200
        again = np.array(reply[reply_key], "float32")
        np.testing.assert_array_equal(again, images)


def test_bytes_are_base64(address, files):
    encoded = [{"b64": base64.b64encode(file).decode()} for file in files]
    for content in (
        {"inputs": encoded},
        {"inputs": {"image_bytes": encoded}},
        {"instances": encoded},
        {"instances": [{"image_bytes": file} for file in encoded]},
    ):
        status, reply = ask(
            address, PREDICT, {"signature_name": "forward_bytes", **content}
        )
        assert status == 200
        if "inputs" in content:
            assert reply["outputs"]["classes"] == NAMES[:6]
        else:
            assert [r["classes"] for r in reply["predictions"]] == NAMES[:6]


def test_the_status_is_that_of_tensorflow_serving(address):
    for path in ("/v1/models/digits", "/v1/models/digits/versions/1"):
        status, reply = ask(address, path)
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


class Pairs(tf.Module):
    """Returns what it takes."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, "number"),
            tf.TensorSpec([None], tf.string, "text"),
        ]
    )
    def __call__(self, number, text):
        return {"number": number, "text": text}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A server of a model with two inputs, and of outputs like them."""
    directory = tmp_path_factory.mktemp("pairs")
    module = Pairs()
    tf.saved_model.save(module, str(directory / "1"), module.__call__)
    with LocalServer(directory, MODEL) as server:
        yield server.rest_address


def test_several_inputs_have_names(pairs):
    columns = {"number": [1.5, 2.0], "text": ["a", "ä"]}
    status, reply = ask(pairs, PREDICT, {"inputs": columns})
    assert (status, reply) == (200, {"outputs": columns})
    rows = [{"number": 1.5, "text": "a"}, {"number": 2.0, "text": "ä"}]
    status, reply = ask(pairs, PREDICT, {"instances": rows})
    assert (status, reply) == (200, {"predictions": rows})
    for content in ({"inputs": [1.5]}, {"instances": [1.5]}):
        status, reply = ask(pairs, PREDICT, content)
        assert (status, reply["error"]) == (
            400,
            "Expected the inputs ['number', 'text']. Received: ['number']",
        )


def test_numbers_that_are_not_finite_are_printed(pairs):
    numbers = [np.nan, np.inf, -np.inf, -0.0]
    columns = {"number": numbers, "text": [""] * 4}
    status, reply = ask(pairs, PREDICT, {"inputs": columns})
    assert status == 200
    # Also the sign of the zero.
    assert str(reply["outputs"]["number"]) == "[nan, inf, -inf, -0.0]"


def test_tensors_that_are_ragged_are_refused(pairs):
    for text in (["a", ["b"]], [["a"], ["b", "c"]]):
        content = {"inputs": {"number": [1.0, 2.0], "text": text}}
        status, reply = ask(pairs, PREDICT, content)
        assert status == 400
        assert reply["error"].startswith("JSON value for text: ")


IMAGE = np.zeros((1, 8, 8, 1)).tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSON Parse error: "),
        (b"{", "JSON Parse error: "),
        (b"\xff", "JSON Parse error: "),
        (b"[" * 200_000, "JSON Parse error: "),
        (b"1" * 10_000, "JSON Parse error: "),
        ([], "Expected a JSON object with either"),
        ({}, "either 'inputs' or 'instances'"),
        (
            {"inputs": IMAGE, "instances": IMAGE},
            "either 'inputs' or 'instances'",
        ),
        (
            {"signature_name": 1, "inputs": IMAGE},
            "'signature_name', if any, a string",
        ),
        (
            {"signature_name": "backward", "inputs": IMAGE},
            'signature key "backward" not found',
        ),
        ({"instances": []}, "must be a list, and not empty"),
        ({"instances": 1}, "must be a list, and not empty"),
        ({"instances": [{"images": IMAGE[0]}, 1]}, "must have the same names"),
        (
            {"instances": [{"images": IMAGE[0]}, {"image": IMAGE[0]}]},
            "must have the same names",
        ),
        (
            {"instances": [{"image": IMAGE[0]}]},
            "Expected the inputs ['images']. Received: ['image']",
        ),
        (
            {"inputs": {"image": IMAGE}},
            "Expected the inputs ['images']. Received: ['image']",
        ),
        (
            {"inputs": {"images": IMAGE, "x": 1}},
            "Expected the inputs ['images']. Received: ['images', 'x']",
        ),
        ({"inputs": None}, "is not of expected type: float32"),
        ({"inputs": "image"}, "is not of expected type: float32"),
        ({"inputs": {"b64": "AAAA"}}, "is not of expected type: float32"),
        ({"inputs": [[[["0"]]]]}, "is not of expected type: float32"),
        ({"inputs": [[1, 2], [3]]}, "JSON value for images: "),
        ({"inputs": [[[[1e39]]]]}, "JSON value for images: overflow"),
        ({"inputs": []}, "[0] is not compatible with expected shape [?,8,8,1]"),
        ({"inputs": [[1.0]]}, "[1,1] is not compatible"),
        (
            {"signature_name": "forward_bytes", "inputs": [1]},
            "is not of expected type: string",
        ),
        (
            {"signature_name": "forward_bytes", "inputs": [{"b64": "?"}]},
            "JSON value for image_bytes: ",
        ),
        (
            {"signature_name": "forward_bytes", "inputs": ["text"]},
            "Unknown image file format",
        ),
    ],
)
def test_malformed_bodies_are_refused(address, content, message):
    status, reply = ask(address, PREDICT, content)
    assert status == 400
    assert list(reply) == ["error"]
    assert message in reply["error"]
    assert "Traceback" not in reply["error"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/letters:predict", 404, "not found for: POST"),
        ("/v1/models/digits/versions/2:predict", 404, "not found for: POST"),
        ("/v1/models/digits/versions/x:predict", 400, "Malformed request"),
        ("/v1/models/digits/labels/x:predict", 400, "Malformed request"),
        ("/v1/models/digits:regress", 400, "Malformed request: POST"),
        ("/v1/models/digits", 400, "Malformed request: POST"),
        ("/", 400, "Malformed request: POST /"),
    ],
)
def test_wrong_paths_are_refused(address, path, status, message):
    found, reply = ask(address, path, {"inputs": IMAGE})
    assert (found, list(reply)) == (status, ["error"])
    assert message in reply["error"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/letters", 404, "not found for: GET /v1/models/letters"),
        ("/v1/models/digits/versions/2", 404, "not found for: GET"),
        ("/v1/models/digits/labels/x", 400, "Malformed request: GET"),
        ("/v1/models/digits/metadata", 400, "Malformed request: GET"),
        ("/v1/models", 400, "Malformed request: GET /v1/models"),
        ("/v1/models/digits:predict", 400, "Malformed request: GET"),
    ],
)
def test_wrong_questions_are_refused(address, path, status, message):
    found, reply = ask(address, path)
    assert (found, list(reply)) == (status, ["error"])
    assert message in reply["error"]


def test_other_methods_are_refused(address):
    status, reply = ask(address, PREDICT, {"inputs": IMAGE}, method="PUT")
    assert status == 501
    assert "PUT" in reply["error"]


def location(address):
    host, _, port = address.removeprefix("http://").partition(":")
    return host, int(port)


def raw(address, data):
    """Return what comes back for bytes, until the server closes."""
    with socket.create_connection(location(address), timeout=30) as connection:
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
        (f"GET /{'a' * 70_000} HTTP/1.1\r\n", 414),
    ],
)
def test_requests_that_cannot_be_read_are_refused(address, head, status):
    reply = raw(address, f"{head}\r\n".encode())
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())
    assert b'{"error": ' in reply
    assert b"Traceback" not in reply


def test_clients_that_leave_do_no_harm(address, images):
    head = f"POST {PREDICT} HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"
    for data in (b"", b"\r\n", b"POST", head.encode(), head.encode() + b"{"):
        with socket.create_connection(location(address)) as connection:
            connection.sendall(data)
    status, _ = ask(address, PREDICT, {"inputs": images.tolist()})
    assert status == 200


def test_failures_of_the_server_are_not_shown(
    tiny, monkeypatch, caplog, images
):
    def fail(*_):
        raise RuntimeError("secret")

    with LocalServer(tiny, MODEL) as server:
        monkeypatch.setattr(server_module, "answer", fail)
        with caplog.at_level(logging.CRITICAL):
            reply = ask(
                server.rest_address, PREDICT, {"inputs": images.tolist()}
            )
    assert reply == (500, {"error": "Internal error"})


def test_what_is_under_way_is_finished(tiny, monkeypatch, images):
    server = LocalServer(tiny, MODEL)
    arrived, finished, replies = threading.Event(), threading.Event(), []
    real = server_module.answer

    def answer(*args):
        arrived.set()
        time.sleep(0.5)
        finished.set()
        return real(*args)

    monkeypatch.setattr(server_module, "answer", answer)
    content = {"inputs": images.tolist()}
    thread = threading.Thread(
        target=lambda: replies.append(
            ask(server.rest_address, PREDICT, content)
        )
    )
    thread.start()
    assert arrived.wait(30)
    server.close()
    assert finished.is_set()
    thread.join()
    assert replies[0][0] == 200
    server.close()  # A second time does nothing.
    with pytest.raises(ConnectionRefusedError):
        ask(server.rest_address, PREDICT, content)


def test_silent_clients_keep_it_from_closing_for_a_while_only(
    tiny, monkeypatch
):
    seconds = server_module._Handler.timeout / 20
    monkeypatch.setattr(server_module._Handler, "timeout", seconds)
    with LocalServer(tiny, MODEL) as server:
        place = location(server.rest_address)
        with socket.create_connection(place, timeout=30) as connection:
            assert connection.recv(1) == b""  # The server hung up.
            with socket.create_connection(place):
                start = time.monotonic()
                server.close()
                assert time.monotonic() - start < 5


UNCLOSED = """
import sys
from irevnet_tf.serving import Client
from irevnet_tf.serving import LocalServer

server = LocalServer(sys.argv[1], "digits")
client = Client(server.rest_address, "digits")
print(client.encode([[[[0.0]] * 8] * 8]).shape)
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
    assert completed.stdout.count("(1, 2, 2, 32)") == 1
    assert message in completed.stderr


def test_the_newest_version_is_served(tiny, tmp_path):
    (tmp_path / "9").symlink_to(tiny / "1")
    (tmp_path / "10").symlink_to(tiny / "1")
    (tmp_path / "11").mkdir()  # Still empty.
    (tmp_path / ".tmp-12").mkdir()
    (tmp_path / "notes").mkdir()
    with LocalServer(tmp_path, MODEL) as server:
        assert server.version == 10
        path = "/v1/models/digits/versions/10"
        status, _ = ask(server.rest_address, path)
        assert status == 200


def test_a_directory_without_versions_is_refused(tiny, tmp_path):
    for directory in (tmp_path, tmp_path / "nothing", tiny / "1"):
        with pytest.raises(ValueError, match=r"`directory` must.*Received: "):
            LocalServer(directory, MODEL)


def test_a_port_in_use_is_refused(tiny, address):
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="in use"):
        LocalServer(tiny, MODEL, rest_port=location(address)[1])
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("nowhere.invalid", OSError),
        ("192.0.2.1", OSError),
        ("::1", ValueError),
        ("", ValueError),
    ],
)
def test_hosts_of_other_machines_are_refused(tiny, host, error):
    with pytest.raises(error):
        LocalServer(tiny, MODEL, host=host)
