"""LocalServer: the part of TensorFlow Serving's REST API that clients need.

https://www.tensorflow.org/tfx/serving/api_rest
"""

import http.server
import json
import logging
import os
import re
import threading
import urllib.parse

from irevnet_tf.serving.local.bodies import answer
from irevnet_tf.serving.local.model import LocalModel
from irevnet_tf.serving.local.model import Refusal

MAX_BODY_BYTES = 256 * 2**20

STATUS_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d{1,18}))?")
PREDICT_PATH = re.compile(STATUS_PATH.pattern + ":predict")

_log = logging.getLogger(__name__)


class LocalServer:
    """Serves the newest version of an exported model in this process.

    It stands in for TensorFlow Serving to try a client or to test an export,
    not in production: no batching, no reloading, no access control, one Python
    process. It has `predict`, by columns and by rows, and the status of the
    REST API, with the same paths and HTTP statuses, but other messages; no
    metadata, no labels. A request may have up to 256 MB.

    Example:

    >>> from irevnet_tf.serving import Client, LocalServer
    >>> model = irevnet_tf.IRevNet(
    ...     (1,), (1,), (8,), initial_downsampling=4, input_shape=(8, 8, 1)
    ... )
    >>> saved = irevnet_tf.export_saved_model(model, "models/digits")
    >>> with LocalServer("models/digits", "digits") as server:
    ...     with Client(server.rest_address, "digits") as client:
    ...         found = client.classify(np.zeros((1, 8, 8, 1)))

    Attributes:
        version: int. The version that is served.
        rest_address: str. The address for `Client`.

    Args:
        directory: str or path. The directory with the versions.
        name: str. The name under which the model is served.
        rest_port: int. The port; 0 for any that is free.
        host: str. The IPv4 address or the name to listen at. "0.0.0.0" lets
            other machines in.

    Raises:
        OSError: if the port is not free, or `host` is not this machine's.
        ValueError: if there is no version in `directory`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        name: str,
        *,
        rest_port: int = 0,
        host: str = "127.0.0.1",
    ):
        if not re.fullmatch(r"[\w.-]+", host):
            raise ValueError(
                "`host` must be an IPv4 address or a host name. "
                f"Received: host={host!r}"
            )
        model = LocalModel(directory)
        self.version = model.version
        self._http = _HttpServer((host, rest_port), _Handler)
        self._http.model, self._http.name = model, name
        self.rest_address = f"http://{host}:{self._http.server_port}"
        # A server that is not closed must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.1,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Finish the requests under way and stop."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def __enter__(self) -> "LocalServer":
        return self

    def __exit__(self, *_) -> None:
        self.close()


class _HttpServer(http.server.ThreadingHTTPServer):
    # Only for threads that are no daemons `server_close` waits.
    daemon_threads = False
    # The default, 5, refuses a burst of connections.
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Log clients that leave in the middle, instead of printing them."""
        _log.debug("Connection of %s failed", client_address, exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Seconds until a client that sends nothing is dropped; `close` waits, too.
    timeout = 10

    def do_GET(self):
        self._answer(self._status)

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.send_error(411, "Expected a Content-Length")
        elif int(length) > MAX_BODY_BYTES:
            self.send_error(413, f"Expected at most {MAX_BODY_BYTES} bytes")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):  # The client is still there.
                self._answer(self._predict, body)

    def send_error(self, code, message=None, explain=None):
        """Send refusals of the HTTP server itself as JSON, too."""
        self._send(code, {"error": message or "Malformed request"})

    def log_message(self, *args):
        _log.debug(*args)

    def _answer(self, method, *args):
        try:
            status, content = 200, method(*args)
        except Refusal as refusal:
            status, content = refusal.status, {"error": str(refusal)}
        except Exception:
            _log.exception("A request failed")
            status, content = 500, {"error": "Internal error"}
        self._send(status, content)

    def _status(self):
        status = {
            "version": str(self._model(STATUS_PATH).version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return {"model_version_status": [status]}

    def _predict(self, body):
        return answer(body, self._model(PREDICT_PATH))

    def _model(self, path):
        match = path.fullmatch(urllib.parse.urlsplit(self.path).path)
        if match is None:
            raise Refusal(400, f"Malformed request: {self.requestline}")
        model = self.server.model
        asked = urllib.parse.unquote(match[1]), int(match[2] or model.version)
        if asked != (self.server.name, model.version):
            raise Refusal(404, f"Servable not found for: {self.requestline}")
        return model

    def _send(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        # Connections that are kept would keep their threads.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
