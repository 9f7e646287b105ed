"""The page's server over sockets: slow clients, and such that leave."""

import contextlib
import json
import logging
import socket
import time

import page_networks
import pytest

pytest.importorskip("starlette", reason="the extra `demo` is not installed")
pytest.importorskip("uvicorn", reason="the extra `demo` is not installed")

from irevnet_tf.apps.page import bodies
from irevnet_tf.apps.page import routes

# Far below the limit of an upload in use.
READ_SECONDS = 0.5
SLOW = 30


@pytest.fixture(scope="module")
def port():
    page = page_networks.digits_page(read_seconds=READ_SECONDS)
    with page_networks.served(page) as port:
        yield port


@contextlib.contextmanager
def recorded(caplog):
    """Record what a server logs, which has set up its loggers before."""
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)
    assert caplog.records == []


def head(port, path="/api/picture?network=digits", length=1000, **others):
    lines = {"Host": f"127.0.0.1:{port}", "Content-Length": length} | others
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{text}\r\n".encode()


@contextlib.contextmanager
def connected(port, sent=b""):
    with socket.create_connection(("127.0.0.1", port), SLOW) as connection:
        connection.sendall(sent)
        yield connection


def answered(connection):
    """Return the status and the JSON of an answer, read to its end."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        for line in iter(stream.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            if name.lower() == "content-length":
                length = int(value)
        return status, json.loads(stream.read(length))


def networks(port):
    """Return the status of another request, and how long it took."""
    begin = time.monotonic()
    request = f"GET /api/networks HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    with connected(port, request.encode()) as connection:
        status, _ = answered(connection)
    return status, time.monotonic() - begin


def test_an_upload_that_stops_is_given_up_in_time(port):
    begin = time.monotonic()
    with connected(port, head(port) + b"x" * 10) as connection:
        assert answered(connection) == (
            408,
            {"error": "The file took too long to arrive."},
        )
    assert READ_SECONDS <= time.monotonic() - begin < SLOW / 2


def test_an_upload_that_trickles_is_given_up_in_time(port):
    begin = time.monotonic()
    with connected(port, head(port)) as connection:
        connection.settimeout(0.05)
        while time.monotonic() - begin < SLOW:
            with contextlib.suppress(TimeoutError):
                if connection.recv(1, socket.MSG_PEEK):
                    break
            connection.sendall(b"x")
        connection.settimeout(SLOW)
        assert answered(connection)[0] == 408
    assert time.monotonic() - begin < SLOW / 2


def test_slow_uploads_stop_no_other_request(port):
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(connected(port, head(port) + b"x"))
            for _ in range(30)
        ]
        status, seconds = networks(port)
        assert status == 200 and seconds < READ_SECONDS
        assert {answered(x)[0] for x in slow} == {408}


def test_connections_that_send_nothing_or_half_a_head_stop_no_other(port):
    with contextlib.ExitStack() as stack:
        for sent in (b"", b"POST /api/picture HT") * 60:
            stack.enter_context(connected(port, sent))
        assert networks(port)[0] == 200


def test_clients_that_leave_are_no_failures(port, caplog):
    with recorded(caplog):
        for length in (1000, 10**7):
            with connected(port, head(port, length=length) + b"x" * 10):
                pass
        assert networks(port)[0] == 200
        time.sleep(2 * READ_SECONDS)


def test_uploads_that_do_not_fit_into_memory_together_are_refused(
    monkeypatch, port
):
    monkeypatch.setattr(bodies, "HELD_BYTES", 2000)
    with connected(port, head(port, length=1500) + b"x" * 1400) as first:
        with connected(port, head(port) + b"x" * 1000) as second:
            assert answered(second) == (
                503,
                {"error": "Too many files arrive at once; please try again."},
            )
        assert answered(first)[0] == 408
    # What they held is given back.
    with connected(port, head(port, length=1900) + b"x" * 1900) as third:
        assert answered(third)[0] == 415


def without_end(explorer, start, target, watch):
    """Search for metamers until the watch ends it."""
    while True:
        watch.step()
        time.sleep(0.01)
        yield from ()


def test_it_ends_while_a_search_runs_and_says_nothing(monkeypatch, caplog):
    monkeypatch.setattr(routes, "search_metamers", without_end)
    samples = page_networks.digits_samples(page_networks.digits_explorer())
    body = b"".join(pixels.tobytes() for _, pixels in samples[:2])
    with contextlib.ExitStack() as stack:
        with page_networks.served(page_networks.digits_page()) as port:
            stack.enter_context(recorded(caplog))
            path = f"/api/metamers?network={page_networks.NAME}"
            sent = head(port, path, len(body)) + body
            connection = stack.enter_context(connected(port, sent))
            # So that it is under way as the server is told to end.
            while b"steps in" not in connection.recv(1000):
                pass
