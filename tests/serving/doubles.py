"""What stands in for a server, and what several tests use."""

import contextlib
import pathlib
import runpy
import socket
import threading

from absl import flags
from absl.testing import flagsaver

from irevnet_tf.serving import LocalServer

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "serving"

NAMES = [f"digit {index}" for index in range(10)]
MODEL = "digits"


# Those of examples/serving/client.py.
OWN_FLAGS = {"address", "count", "local", "model"}


@contextlib.contextmanager
def example(name):
    """Yield the names of an app of the example, which has flags of its own.

    If irevnet-train is imported, it has one of the same name, and one that must
    be given.
    """
    others = {flag: flags.FLAGS[flag] for flag in OWN_FLAGS & set(flags.FLAGS)}
    for flag in others:
        delattr(flags.FLAGS, flag)
    needed = ["--run_dir=none"] if "run_dir" in flags.FLAGS else []
    try:
        with flagsaver.flagsaver():
            namespace = runpy.run_path(str(EXAMPLE / name))
            flags.FLAGS([name, *needed])
            yield namespace
    finally:
        for flag in OWN_FLAGS & set(flags.FLAGS):
            delattr(flags.FLAGS, flag)
        for flag, found in others.items():
            flags.FLAGS[flag] = found


@contextlib.contextmanager
def serving(directory, protocol, name=MODEL, port=0):
    """Yield the address of a server of an export."""
    if protocol == "rest":
        with LocalServer(directory, name, rest_port=port) as server:
            yield server.rest_address
    else:
        from grpc_doubles import GrpcModel

        with contextlib.closing(GrpcModel(directory, name, port)) as server:
            yield server.address


class Replying:
    """A server of the fixture `replying`."""

    def __init__(self, replies, hold, delay):
        self._replies = replies
        self._hold = hold
        self._delay = delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._threads = []
        self.attempts = 0
        self.paths = []
        self.port = self._listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self):
        while True:
            connection, _ = self._listener.accept()
            if self._over.is_set():
                connection.close()
                return
            reply = self._replies[min(self.attempts, len(self._replies) - 1)]
            self.attempts += 1
            thread = threading.Thread(
                target=self._serve, args=(connection, reply)
            )
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection, reply):
        with connection:
            connection.settimeout(30)
            head, _, body = _read_until(connection, b"\r\n\r\n")
            self.paths.append(head.decode().split()[1])
            length = int(
                head.lower().partition(b"content-length:")[2].split()[0]
            )
            while len(body) < length:
                received = connection.recv(1 << 16)
                if not received:
                    return
                body += received
            self._over.wait(self._delay)
            if reply is not None:
                connection.sendall(reply)
            if reply is None or self._hold:
                self._over.wait(30)

    def close(self):
        self._over.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._accepting.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()


def _read_until(connection, end):
    data = b""
    while end not in data:
        received = connection.recv(1 << 16)
        if not received:
            break
        data += received
    return data.partition(end)


def http_reply(status, body=b"{}", length=None):
    """Return the bytes of an HTTP reply."""
    length = len(body) if length is None else length
    head = (
        f"HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
