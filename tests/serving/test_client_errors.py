"""What a client makes of servers that are gone, busy, slow, or wrong."""

import contextlib
import json
import socket
import time

import numpy as np
import pytest
import tensorflow as tf
from doubles import MODEL
from doubles import http_reply
from doubles import serving

from irevnet_tf.serving import Client
from irevnet_tf.serving import InvalidRequestError
from irevnet_tf.serving import ModelNotFoundError
from irevnet_tf.serving import ServingError
from irevnet_tf.serving import ServingTimeoutError
from irevnet_tf.serving import UnavailableError

IMAGES = np.zeros((1, 2, 2, 1), "float32")
GOOD = http_reply(200, json.dumps({"outputs": IMAGES.tolist()}).encode())


def rest_client(server, **arguments):
    return Client(server.address, MODEL, **{"timeout": 20, **arguments})


def grpc_client(server, **arguments):
    return Client(server.address, MODEL, **{"timeout": 20, **arguments})


def good_response(value=IMAGES, name="images"):
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    return response


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_rest_tries_again_while_a_server_is_busy(replying, status):
    busy = http_reply(status, b'{"error": "busy"}')
    server = replying(busy, busy, GOOD)
    with rest_client(server) as client:
        np.testing.assert_array_equal(client.decode(IMAGES), IMAGES)
    assert server.attempts == 3


def test_rest_does_not_repeat_what_a_server_took(replying):
    server = replying(b"", GOOD)  # It hangs up.
    with (
        rest_client(server) as client,
        pytest.raises(UnavailableError, match="Connection aborted"),
    ):
        client.decode(IMAGES)
    assert server.attempts == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, UnavailableError),
        (502, UnavailableError),
        (503, UnavailableError),
        (504, ServingTimeoutError),
    ],
)
def test_rest_gives_up_in_the_end(replying, status, kind):
    server = replying(http_reply(status, b'{"error": "too much to do"}'))
    with (
        rest_client(server, retries=2) as client,
        pytest.raises(kind, match=f"HTTP {status} .*: too much to do"),
    ):
        client.decode(IMAGES)
    assert server.attempts == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, ServingError),
        (400, InvalidRequestError),
        (401, ServingError),
        (404, ModelNotFoundError),
        (408, ServingTimeoutError),
        (413, InvalidRequestError),
        (500, ServingError),
        (501, ServingError),
    ],
)
def test_rest_does_not_repeat_what_would_fail_again(replying, status, kind):
    server = replying(http_reply(status, b'{"error": "no, thank you"}'))
    with rest_client(server) as client, pytest.raises(ServingError) as caught:
        client.decode(IMAGES)
    assert type(caught.value) is kind
    assert str(caught.value) == (
        f"HTTP {status} from {server.address}/v1/models/digits:predict: "
        "no, thank you"
    )
    assert server.attempts == 1


def test_rest_quotes_errors_that_are_no_json(replying):
    server = replying(http_reply(500, b"<html>Bad day</html>"))
    with (
        rest_client(server) as client,
        pytest.raises(ServingError, match="HTTP 500 .*<html>Bad day</html>"),
    ):
        client.decode(IMAGES)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "must be JSON. Received: ''"),
        (b'{"outputs": [[[', "must be JSON. Received: '{\"outputs"),
        (b"\xff\xfe", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (b"[1]", "must have the key 'outputs'. Received: "),
        (b'{"predictions": [1]}', "must have the key 'outputs'"),
        (b'{"outputs": {"pictures": [1]}}', r"'images'.*\['pictures'\]"),
        (b'{"outputs": [[[[1]]], [[[1]]]]}', r"shape=\(2, 1, 1, 1\)"),
        (b'{"outputs": [[1]]}', r"rank 4 and batch size 1.*shape=\(1, 1\)"),
        (b'{"outputs": 1}', r"rank 4 .* Received: shape=\(\)"),
        (b'{"outputs": [[[["a"]]]]}', "must hold numbers. .*dtype=<U1"),
        (b'{"outputs": [[[[null]]]]}', "must hold numbers. .*dtype=object"),
        (b'{"outputs": [[[[true]]]]}', "must hold numbers. .*dtype=bool"),
        (b'{"outputs": [[1], [2, 3]]}', "must be one array"),
    ],
)
def test_rest_does_not_trust_replies(replying, body, message):
    server = replying(http_reply(200, body))
    with (
        rest_client(server) as client,
        pytest.raises(ServingError, match=message) as caught,
    ):
        client.decode(IMAGES)
    assert type(caught.value) is ServingError
    assert server.attempts == 1


@pytest.mark.parametrize(
    "classes", ["[1]", '"zero"', '[["zero"]]', '["zero", "one"]', "[null]"]
)
def test_rest_does_not_trust_classes(replying, classes):
    body = f'{{"outputs": {{"probabilities": [[1]], "classes": {classes}}}}}'
    server = replying(http_reply(200, body.encode()))
    with (
        rest_client(server) as client,
        pytest.raises(ServingError, match="'classes' must hold 1 strings"),
    ):
        client.classify(IMAGES)


def test_rest_notices_a_reply_that_breaks_off(replying):
    server = replying(http_reply(200, b'{"outputs": ', length=1000))
    with (
        rest_client(server) as client,
        pytest.raises(ServingError, match="broke off"),
    ):
        client.decode(IMAGES)


def test_rest_notices_what_is_not_http(replying):
    server = replying(b"SSH-2.0-OpenSSH_9.2\r\n")
    with (
        rest_client(server, retries=1) as client,
        pytest.raises(ServingError, match="cannot be reached|SSH-2.0"),
    ):
        client.decode(IMAGES)


def test_rest_reads_what_is_not_finite(replying):
    body = b'{"outputs": [[[[NaN], [Infinity]], [[-Infinity], [-0.0]]]]}'
    server = replying(http_reply(200, body))
    expected = np.array([np.nan, np.inf, -np.inf, -0.0], "float32")
    with rest_client(server) as client:
        found = client.decode(IMAGES)
    assert found.tobytes() == expected.tobytes()


def test_rest_reads_floats_as_tensorflow_serving_prints_them(replying):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**31, 40_000, dtype=np.uint32)
    floats = bits.view(np.float32)
    floats = floats[np.isfinite(floats)]
    printed = [f"{value:.6g}" for value in floats]
    printed = [
        short if np.float32(short) == value else f"{value:.9g}"
        for short, value in zip(printed, floats, strict=True)
    ]
    body = f'{{"outputs": [[[[{",".join(printed)}]]]]}}'
    server = replying(http_reply(200, body.encode()))
    with rest_client(server) as client:
        found = client.decode(IMAGES)
    assert found.tobytes() == floats.tobytes()


def test_rest_does_not_repeat_what_timed_out(replying):
    server = replying(None, GOOD)
    start = time.monotonic()
    with (
        rest_client(server, timeout=0.5, retries=3) as client,
        pytest.raises(ServingTimeoutError, match=r"within 0\.5 s"),
    ):
        client.decode(IMAGES)
    assert 0.4 < time.monotonic() - start < 5
    assert server.attempts == 1


def test_rest_gives_each_attempt_its_time(replying):
    busy = http_reply(503)
    server = replying(busy, busy, GOOD, delay=0.7)
    start = time.monotonic()
    with rest_client(server, timeout=1.5) as client:
        np.testing.assert_array_equal(client.decode(IMAGES), IMAGES)
    assert time.monotonic() - start > 3 * 0.7
    assert server.attempts == 3


@pytest.fixture
def deaf():
    """A server to which no connection is ever made, as it accepts none."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(8):  # More than wait in its queue.
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("retries", [0, 2])
def test_rest_waits_for_a_connection_no_longer_than_told(deaf, retries):
    start = time.monotonic()
    with (
        Client(deaf, MODEL, timeout=0.5, retries=retries) as client,
        pytest.raises(ServingTimeoutError, match=r"within 0\.5 s"),
    ):
        client.decode(IMAGES)
    took = time.monotonic() - start
    assert (1 + retries) * 0.5 <= took < (1 + retries) * 0.5 + 3


def test_rest_waits_no_longer_for_a_server_that_does_not_read():
    file = b"0" * 2**25  # More than fits into the sockets' buffers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(address, MODEL, timeout=0.5) as client,
            pytest.raises(ServingTimeoutError, match="in the middle"),
        ):
            client.encode([file])


def test_rest_waits_for_the_rest_of_a_reply_no_longer_than_told(replying):
    head = http_reply(200, b"", length=10).replace(b"close", b"keep-alive")
    server = replying(head, hold=True)
    with (
        rest_client(server, timeout=0.5) as client,
        pytest.raises(ServingTimeoutError, match="in the middle|within"),
    ):
        client.decode(IMAGES)


def test_nobody_at_the_port_is_unavailable(protocol, free_port):
    scheme = {"rest": "http", "grpc": "grpc"}[protocol]
    address = f"{scheme}://127.0.0.1:{free_port}"
    for retries in (0, 2):
        with (
            Client(address, MODEL, retries=retries, timeout=20) as client,
            pytest.raises(UnavailableError, match="(?i)refused|failed to con"),
        ):
            client.decode(IMAGES)


def test_a_server_that_left_is_unavailable_until_it_is_back(
    tiny, protocol, images
):
    with serving(tiny, protocol) as address:
        client = Client(address, MODEL, timeout=20)
        expected = client.encode(images)
    port = int(address.rpartition(":")[2])
    with client:
        with pytest.raises(UnavailableError):
            client.encode(images)
        with serving(tiny, protocol, port=port):
            np.testing.assert_array_equal(client.encode(images), expected)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_grpc_tries_again_while_a_server_is_busy(grpc_replying, code):
    server = grpc_replying(code, code, good_response())
    with grpc_client(server) as client:
        np.testing.assert_array_equal(client.decode(IMAGES), IMAGES)
    assert server.attempts == 3


def test_grpc_tries_again_with_large_messages(grpc_replying):
    images = np.zeros((1, 1024, 1024, 5), "float32")
    server = grpc_replying("UNAVAILABLE", good_response())
    with grpc_client(server) as client:
        client.decode(images)
    assert server.attempts == 2
    assert min(server.sizes) > images.nbytes > 4 * 2**20


def test_grpc_gives_up_in_the_end(grpc_replying):
    server = grpc_replying("UNAVAILABLE")
    with (
        grpc_client(server, retries=2) as client,
        pytest.raises(UnavailableError, match="UNAVAILABLE .*: as told"),
    ):
        client.decode(IMAGES)
    assert server.attempts == 3


def test_no_retries_are_none(grpc_replying, replying):
    server = grpc_replying("UNAVAILABLE")
    with (
        grpc_client(server, retries=0) as client,
        pytest.raises(UnavailableError),
    ):
        client.decode(IMAGES)
    assert server.attempts == 1
    server = replying(http_reply(503))
    with (
        rest_client(server, retries=0) as client,
        pytest.raises(UnavailableError),
    ):
        client.decode(IMAGES)
    assert server.attempts == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("DEADLINE_EXCEEDED", ServingTimeoutError),
        ("FAILED_PRECONDITION", InvalidRequestError),
        ("INTERNAL", ServingError),
        ("INVALID_ARGUMENT", InvalidRequestError),
        ("NOT_FOUND", ModelNotFoundError),
        ("OUT_OF_RANGE", InvalidRequestError),
        ("PERMISSION_DENIED", ServingError),
        ("UNIMPLEMENTED", ServingError),
    ],
)
def test_grpc_does_not_repeat_what_would_fail_again(grpc_replying, code, kind):
    server = grpc_replying(code)
    with grpc_client(server) as client, pytest.raises(ServingError) as caught:
        client.decode(IMAGES)
    assert type(caught.value) is kind
    location = server.address.removeprefix("grpc://")
    assert str(caught.value) == f"{code} from {location}: as told"
    assert server.attempts == 1


def test_grpc_waits_no_longer_than_told(grpc_replying):
    server = grpc_replying(30)
    start = time.monotonic()
    with (
        grpc_client(server, timeout=0.5) as client,
        pytest.raises(ServingTimeoutError, match="DEADLINE_EXCEEDED"),
    ):
        client.decode(IMAGES)
    assert 0.4 < time.monotonic() - start < 5
    assert server.attempts == 1


@pytest.mark.usefixtures("needs_grpc")
def test_grpc_waits_no_longer_for_what_does_not_speak_it(free_port):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"grpc://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with (
            Client(address, MODEL, timeout=0.5) as client,
            pytest.raises(ServingTimeoutError),
        ):
            client.decode(IMAGES)
        assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 2, 2, 1), "float32"), r"shape=\(2, 2, 2, 1\)"),
        (np.zeros((1, 2), "float32"), r"rank 4 .*shape=\(1, 2\)"),
        (np.array([[[[b"a"]]]]), "must hold numbers"),
    ],
)
def test_grpc_does_not_trust_replies(grpc_replying, value, message):
    server = grpc_replying(good_response(value))
    with (
        grpc_client(server) as client,
        pytest.raises(ServingError, match=message),
    ):
        client.decode(IMAGES)


def test_replies_to_predict_are_not_trusted(grpc_replying):
    for response, message in (
        (good_response(np.float32(1)), r"batch size 1. Received: shape=\(\)"),
        (good_response(IMAGES.astype(bool)), "must hold numbers"),
        (good_response(np.array([[b"a"]])), "must hold 1 strings"),
    ):
        server = grpc_replying(response)
        with (
            grpc_client(server) as client,
            pytest.raises(ServingError, match=message),
        ):
            client.predict(IMAGES)


def test_half_precision_becomes_single(grpc_replying):
    half = tf.cast(IMAGES + 0.1, tf.bfloat16).numpy()
    server = grpc_replying(good_response(half))
    with grpc_client(server) as client:
        found = client.predict(IMAGES)["images"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, half.astype("float32"))


def test_grpc_does_not_trust_tensors(grpc_replying):
    broken = good_response()
    broken.outputs["images"].tensor_content = b"123"
    unknown = good_response()
    unknown.outputs["images"].dtype = 0
    renamed = good_response(name="pictures")
    for response, message in (
        (broken, "'images' must be a tensor"),
        (unknown, "'images' must be a tensor"),
        (renamed, r"must have the output 'images'.*\['pictures'\]"),
        (b"", r"must have the output 'images'. Received: outputs=\[\]"),
        (b"\xff\xff\xff", "INTERNAL"),
    ):
        server = grpc_replying(response)
        with (
            grpc_client(server) as client,
            pytest.raises(ServingError, match=message),
        ):
            client.decode(IMAGES)
