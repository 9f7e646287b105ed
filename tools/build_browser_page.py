"""Make a page that runs the shipped networks in the browser, without a server.

    python tools/build_browser_page.py --output=runs/browser
    python -m http.server --bind 127.0.0.1 --directory runs/browser

in a checkout; docs/browser.md says more. It needs npm, which gets ONNX Runtime
Web in the version of examples/browser/package-lock.json, and the extra `onnx`.
"""

import base64
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import Any

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import print_rows
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import say
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.apps.page.samples import samples_for
from irevnet_tf.atomic import TEMPORARY_PREFIX
from irevnet_tf.atomic import flush_directory
from irevnet_tf.atomic import flush_tree
from irevnet_tf.export import export_onnx
from irevnet_tf.export import export_saved_model
from irevnet_tf.export.onnx import import_tf2onnx
from irevnet_tf.models.predictions import class_names
from irevnet_tf.settings import setting
from irevnet_tf.zoo.registry import find_record

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "examples" / "browser"
# What it has in common with the page of irevnet-demo.
SHARED = ROOT / "irevnet_tf" / "apps" / "page" / "static"
SHARED_FILES = (
    "drawing.js",
    "elements.js",
    "icon.svg",
    "latest.js",
    "page.css",
    "pictures.js",
)
PACKAGE_FILES = ("package.json", "package-lock.json")
# Of many builds the one that runs on the CPU alone, and the smallest. The first
# file holds the JavaScript that comes with the second, too.
RUNTIME = "node_modules/onnxruntime-web/dist"
# Renamed: some servers, such as nginx, do not know .mjs as JavaScript.
RUNTIME_FILES = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
MODEL = "IRevNet28"
NETWORKS = {
    "fashion_mnist": "Clothes (Fashion-MNIST)",
    "digits": "Handwritten digits",
}
# By which a folder is known as one of these.
LIST = "files.js"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The flags, by their names."""

    output: str = setting(
        str(ROOT / "runs" / "browser"),
        "The folder to make. One that this tool has made is replaced.",
    )


def build(output: str | os.PathLike) -> pathlib.Path:
    """Make the page.

    Args:
        output: str or path. The folder, which appears in full or not at all.

    Returns:
        Its path.

    Raises:
        ImportError: if the extra `onnx` or npm is not installed.
        ValueError: if `output` is something else than such a page.
        OSError: if npm cannot get the runtime, or files cannot be written.
    """
    output = pathlib.Path(output)
    require_replaceable_page(output)
    import_tf2onnx()
    npm = require_npm()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=TEMPORARY_PREFIX, dir=output.parent
    ) as scratch:
        scratch = pathlib.Path(scratch)
        page = scratch / "page"
        page.mkdir()
        copy_sources(page)
        copy_runtime(npm, scratch / "npm", page / "ort")
        networks = [
            write_network(name, title, scratch, page / "networks" / name)
            for name, title in NETWORKS.items()
        ]
        write_text(page / "networks.json", json.dumps(networks))
        write_text(page / LIST, list_of_files(page))
        flush_tree(page)
        if output.exists():
            output.rename(scratch / "before")
        page.rename(output)
        flush_directory(output.parent)
    return output


def require_replaceable_page(output: pathlib.Path) -> None:
    """Raise ValueError where a folder must not be replaced."""
    if not output.exists():
        return
    listing = output / LIST
    known = listing.read_text("utf-8") if listing.is_file() else ""
    if not output.is_dir() or any(
        json.dumps(path.relative_to(output).as_posix()) not in known
        for path in output.rglob("*")
        if path.is_file() and path != listing
    ):
        raise ValueError(
            "--output must be a new folder, or one that this tool has made. "
            f"Received: --output={output}"
        )


def require_npm() -> str:
    """Return the path of npm.

    Raises:
        ImportError: if it is not installed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ImportError(
            "npm is needed to get ONNX Runtime Web; it comes with Node.js"
        )
    return npm


def copy_sources(page: pathlib.Path) -> None:
    """Copy what is written by hand."""
    for path in PAGE.iterdir():
        hidden = path.name.startswith(".")
        if path.is_file() and not hidden and path.name not in PACKAGE_FILES:
            shutil.copyfile(path, page / path.name)
    for name in SHARED_FILES:
        shutil.copyfile(SHARED / name, page / name)


def copy_runtime(npm: str, scratch: pathlib.Path, folder: pathlib.Path) -> None:
    """Let npm install the locked version, and copy what is needed of it.

    Args:
        npm: str. The path of npm.
        scratch: path. A folder to make and to install into.
        folder: path. The folder to make, for the runtime's files.

    Raises:
        OSError: if npm fails.
    """
    scratch.mkdir()
    for name in PACKAGE_FILES:
        shutil.copyfile(PAGE / name, scratch / name)
    # No script of a package has to run.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    process = subprocess.run(
        command, cwd=scratch, capture_output=True, text=True
    )
    if process.returncode:
        raise OSError(
            "npm must be able to install ONNX Runtime Web. Received: "
            f"{' '.join(command[1:])}: {process.stderr.strip()}"
        )
    folder.mkdir()
    for name, target in RUNTIME_FILES.items():
        shutil.copyfile(scratch / RUNTIME / name, folder / target)


def write_network(
    name: str, title: str, scratch: pathlib.Path, folder: pathlib.Path
) -> dict[str, Any]:
    """Write both directions of a network as ONNX files.

    Args:
        name: str. The name of its weights.
        title: str. What the page calls it.
        scratch: path. A folder for what is not kept.
        folder: path. Where to write forward.onnx and inverse.onnx.

    Returns:
        Its entry in networks.json.
    """
    source = load_network(
        NetworkRequest(model=MODEL, weights=name, lossless=True)
    )
    version = export_saved_model(
        source.model, scratch / f"saved_{name}", warmup=False
    )
    export_onnx(version, folder)
    record = find_record(MODEL, name)
    return {
        "folder": name,
        "title": title,
        "shape": record.input_shape,
        "fraction_bits": record.fraction_bits,
        "classes": class_names(name),
        "samples": [
            {
                "caption": caption,
                "pixels": base64.b64encode(pixels.tobytes()).decode(),
            }
            for caption, pixels in samples_for(source, record.input_shape)
        ],
    }


def list_of_files(page: pathlib.Path) -> str:
    """Return files.js, from which the service worker knows the files."""
    digests = {
        path.relative_to(page).as_posix(): hashlib.sha256(path.read_bytes())
        for path in sorted(page.rglob("*"))
        if path.is_file()
    }
    files = {
        name: f"sha256-{base64.b64encode(digest.digest()).decode()}"
        for name, digest in digests.items()
    }
    # As a browser asks for the page.
    files["./"] = files["index.html"]
    version = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
    return (
        f"self.PAGE_VERSION = {json.dumps(version)};\n"
        f"self.PAGE_FILES = {json.dumps(files, indent=2)};\n"
    )


def write_text(path: pathlib.Path, text: str) -> None:
    """Write a file, with the same bytes on every system."""
    path.write_bytes(text.encode("utf-8"))


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    request = from_flags(Request)
    say("Making the page, about a minute")
    with usage_errors():
        folder = build(request.output)
    size = sum(x.stat().st_size for x in folder.rglob("*") if x.is_file())
    print_rows(
        {
            "page": f"{folder}, {size / 1e6:.1f} MB",
            "serve it": "python -m http.server --bind 127.0.0.1 --directory "
            f"{folder}",
            "open in a browser": "http://127.0.0.1:8000/",
        }
    )


if __name__ == "__main__":
    define_flags(Request)
    launch(main)
