"""ONNX Runtime Web in a browser without a window.

A server on this machine gives the page, the runtime's files, the network and
the inputs, and takes the outputs. The page asks it for tasks.
"""

import atexit
import collections
import http.server
import json
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading
import urllib.parse

import numpy as np

PAGE = pathlib.Path(__file__).with_name("portable_page.html")
TYPES = {
    ".html": "text/html",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
# Seconds: of a request for a task until the page asks again, and of a batch
# until the browser counts as stuck.
PATIENCE = 5
LONGEST = 300


class Browser:
    """Runs an exported network in ONNX Runtime Web.

    Args:
        folder: path. It has `onnx/forward.onnx` and `onnx/inverse.onnx`.
        onnxruntime_web: None or str. The directory with
            `node_modules/onnxruntime-web`.
        chromium: str. The name or path of the browser.

    Raises:
        ImportError: if there is no such directory, or no such browser.
    """

    def __init__(self, folder, onnxruntime_web, chromium):
        runtime = _require_runtime(onnxruntime_web, chromium)
        self._server = _Server(
            {"runtime": runtime, "network": folder / "onnx", "": PAGE.parent}
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._profile = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [
                chromium,
                *OPTIONS,
                f"--user-data-dir={self._profile.name}",
                f"http://127.0.0.1:{self._server.server_port}/{PAGE.name}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        atexit.register(self._close)

    def run(self, signature, x, batch, *outputs) -> tuple[np.ndarray, ...]:
        """Run one direction.

        Args:
            signature: str. "forward" or "inverse".
            x: float32 array (N, ...). Its input.
            batch: int. How many images at a time.
            outputs: strs. Names of its outputs.

        Returns:
            The outputs, float32 arrays (N, ...).
        """
        task = {
            "signature": signature,
            "shape": x.shape,
            "batch": batch,
            "outputs": outputs,
        }
        found = self._server.run(task, x.tobytes())
        return tuple(np.concatenate(found[name]) for name in outputs)

    def _close(self):
        self._process.terminate()
        self._process.wait()
        self._server.shutdown()
        self._profile.cleanup()


def _require_runtime(onnxruntime_web, chromium):
    """Return the directory of the runtime's files."""
    if onnxruntime_web is None:
        raise ImportError(
            "it needs a directory in which `npm install onnxruntime-web` has "
            "been run: --onnxruntime_web=DIR"
        )
    package = pathlib.Path(onnxruntime_web, "node_modules", "onnxruntime-web")
    if not package.is_dir():
        raise ImportError(
            "--onnxruntime_web must be a directory in which `npm install "
            f"onnxruntime-web` has been run. Received: {onnxruntime_web}"
        )
    if shutil.which(chromium) is None:
        raise ImportError(
            f"--chromium must be Chromium's program. Received: {chromium}"
        )
    return package / "dist"


class _Server(http.server.ThreadingHTTPServer):
    """Serves files, one task at a time, and collects its outputs.

    Args:
        folders: {first part of a URL's path: folder}.
    """

    daemon_threads = True

    def __init__(self, folders):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folders = folders
        self.input, self.tasks, self.posted = b"", queue.Queue(), queue.Queue()

    def run(self, task, content):
        """Return {name: list of arrays} of a task."""
        self.input = content
        self.tasks.put(task)
        outputs = collections.defaultdict(list)
        while True:
            try:
                url, body = self.posted.get(timeout=LONGEST)
            except queue.Empty:
                raise RuntimeError(
                    "The browser must answer. Received: nothing in "
                    f"{LONGEST} seconds"
                ) from None
            match url.path:
                case "/output":
                    query = urllib.parse.parse_qs(url.query)
                    shape = tuple(map(int, query["shape"][0].split(",")))
                    values = np.frombuffer(body, "<f4").reshape(shape)
                    outputs[query["name"][0]].append(values)
                case "/done":
                    return outputs
                case _:
                    raise RuntimeError(
                        "The page must run the network. Received: "
                        f"{body.decode()}"
                    )


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/task":
            try:
                task = self.server.tasks.get(timeout=PATIENCE)
            except queue.Empty:
                task = None
            self._send(json.dumps(task).encode(), "application/json")
        elif path == "/input":
            self._send(self.server.input, "application/octet-stream")
        else:
            self._send_file(path)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.posted.put((urllib.parse.urlsplit(self.path), body))
        self._send(b"", "text/plain")

    def _send_file(self, path):
        *folder, name = path.strip("/").split("/")
        folder = self.server.folders.get("/".join(folder))
        file = folder / name if folder and name else None
        if file is None or not file.is_file():
            self.send_error(404)
            return
        kind = TYPES.get(file.suffix, "application/octet-stream")
        self._send(file.read_bytes(), kind)

    def _send(self, content, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass
