"""TensorFlow Serving's REST API for a `LocalModel`."""

import contextlib
import http.server
import json
import logging
import re
import socket
import threading
import urllib.parse

from google.protobuf import json_format

from irevnet_tf.serving import local_json
from irevnet_tf.serving.local_model import LocalModel
from irevnet_tf.serving.local_model import Refusal

MAX_BODY_BYTES = 256 * 2**20

# After so many seconds without a byte a connection is closed.
IDLE_SECONDS = 60

# As in `http_rest_api_util.cc` of TensorFlow Serving.
_MODEL = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
PREDICT_PATH = re.compile(_MODEL + ":predict", re.IGNORECASE)
GET_PATH = re.compile(_MODEL + "(/metadata)?", re.IGNORECASE)

# As in `http_server.cc` of TensorFlow Serving.
STATUSES = {
    "CANCELLED": 499,
    "DEADLINE_EXCEEDED": 504,
    "FAILED_PRECONDITION": 400,
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "OUT_OF_RANGE": 400,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "UNIMPLEMENTED": 501,
}
INTERNAL_ERROR = 500

_log = logging.getLogger(__name__)


class RestServer(http.server.ThreadingHTTPServer):
    """Answers in threads of its own until it is closed.

    The threads are daemonic: a server that is not closed must not keep the
    process from ending.

    Args:
        model: the model to serve.
        host: the address to listen at.
        port: int, 0 for any that is free.

    Raises:
        OSError: if the port is not free.
    """

    # The default, 5, refuses a burst of connections.
    request_queue_size = 128

    def __init__(self, model: LocalModel, host: str, port: int):
        self.model = model
        self._threads_by_connection = {}
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": 0.1},
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Finish the requests under way and close all connections."""
        self.shutdown()
        self._thread.join()
        with self._lock:
            threads = list(self._threads_by_connection.values())
            for connection in self._threads_by_connection:
                # To their threads this looks as if the client left; some have.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
        for thread in threads:
            thread.join()
        self.server_close()

    def process_request(self, request, client_address):
        """Start a thread. The inherited method forgets those of daemons."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            daemon=True,
        )
        with self._lock:  # It cannot end before it is noted.
            thread.start()
            self._threads_by_connection[request] = thread

    def shutdown_request(self, request):
        super().shutdown_request(request)
        with self._lock:
            self._threads_by_connection.pop(request, None)

    def handle_error(self, request, client_address):
        """Say nothing of clients that leave in the middle."""
        _log.debug("Connection of %s failed", client_address, exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without these a reply of two packets waits 40 ms for the client.
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_SECONDS

    def do_GET(self):
        self._answer(self._get)

    def do_POST(self):
        self._answer(self._post)

    def send_error(self, code, message=None, explain=None):
        """Send what the HTTP server itself refuses, as JSON as well."""
        self.close_connection = True
        # A line that could not be read leaves 0.9 here, which has no headers.
        self.request_version = self.protocol_version
        self._send(code, _error(message or "Malformed request"))

    def log_message(self, *args):
        _log.debug(*args)

    def _answer(self, method):
        try:
            status, body = 200, method()
        except Refusal as refusal:
            status = STATUSES.get(refusal.code, INTERNAL_ERROR)
            body = _error(str(refusal))
        except OSError:
            raise  # The connection's.
        except Exception:
            _log.exception("A request failed")
            status, body = INTERNAL_ERROR, _error("Internal error")
        if body is not None:
            self._send(status, body)

    def _get(self):
        match = GET_PATH.fullmatch(self._path())
        if match is None:
            raise self._malformed()
        name, version, label = _model_spec(match)
        model = self.server.model
        if match[4]:
            model.require(name, version, label)
            return _metadata(model)
        model.require_status(name, version)
        if label:
            model.require(name, version, label)
        return _status(model)

    def _post(self):
        body = self._read()
        if body is None:
            return None
        match = PREDICT_PATH.fullmatch(self._path())
        if match is None:
            raise self._malformed()
        model = self.server.model
        model.require(*_model_spec(match))
        content = local_json.parse_body(body)
        signature = content.get("signature_name", "")
        arrays = local_json.arrays(content, model.inputs(signature))
        outputs = model.predict(signature, arrays)
        return local_json.body(outputs, in_rows="instances" in content)

    def _read(self):
        """Return the body, or None after having refused it."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.send_error(411, "Expected a Content-Length")
            return None
        if int(length) > MAX_BODY_BYTES:
            self.send_error(
                413,
                f"Expected a body of at most {MAX_BODY_BYTES} bytes. "
                f"Received: {length}",
            )
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # The client left.
            self.close_connection = True
            return None
        return body

    def _path(self):
        return urllib.parse.urlsplit(self.path).path

    def _malformed(self):
        return Refusal(
            "INVALID_ARGUMENT",
            f"Malformed request: {self.command} {self.path}",
        )

    def _send(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _model_spec(match):
    name, version, label = match[1], match[2], match[3] or ""
    unquote = urllib.parse.unquote
    version = None if version is None else int(version)
    return unquote(name), version, unquote(label)


def _error(message):
    return json.dumps({"error": message}).encode()


def _status(model):
    status = {
        "version": str(model.version),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return json.dumps({"model_version_status": [status]}).encode()


def _metadata(model):
    signatures = {
        name: json_format.MessageToDict(
            signature,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for name, signature in model.signature_defs.items()
    }
    spec = {
        "name": model.name,
        "signature_name": "",
        "version": str(model.version),
    }
    # Twice, as TensorFlow Serving prints it.
    metadata = {"signature_def": {"signature_def": signatures}}
    return json.dumps({"model_spec": spec, "metadata": metadata}).encode()
