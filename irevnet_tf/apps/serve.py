"""Serve an export on this machine, to try it out.

    irevnet-serve --directory=models/digits --rest_port=8501

Answers requests of TensorFlow Serving's REST API until it is interrupted. For
production use TensorFlow Serving itself.
"""

import contextlib
import dataclasses
import pathlib
import signal
import threading

from absl import app

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import print_rows
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.serving import LocalServer
from irevnet_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The flags, by their names."""

    directory: str | None = setting(
        None, "The model's directory; the newest version in it is served."
    )
    name: str | None = setting(
        None, "The model's name; that of the directory if not given."
    )
    host: str = setting(
        "127.0.0.1",
        "The address to listen at; 0.0.0.0 for all of this machine's.",
    )
    rest_port: int = setting(
        8501, "The port, 0 for any that is free.", least=0, most=65535
    )


def serve(request: Request) -> None:
    """Serve until the process is interrupted or terminated.

    Args:
        request: `Request`. What to serve, and where.

    Raises:
        app.UsageError: if it cannot be served there.
    """
    if request.directory is None:
        raise app.UsageError(
            "--directory must be a model's directory. "
            "Received: --directory=None"
        )
    name = request.name or pathlib.Path(request.directory).resolve().name
    try:
        with waiting("Loading the export"):
            server = LocalServer(
                request.directory,
                name,
                host=request.host,
                rest_port=request.rest_port,
            )
    except (OSError, ValueError) as error:
        raise app.UsageError(str(error)) from error
    with server:
        print_rows(
            {
                "model": f"{name}, version {server.version}",
                "REST": server.rest_address,
            }
        )
        # SIGTERM, too, is how one ends a server.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    serve(from_flags(Request))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
