"""Serve an export on this machine, to try it out.

    irevnet-serve --directory=models/digits --rest_port=8501

Answers requests of TensorFlow Serving's REST API until it is interrupted. For
production use TensorFlow Serving itself.
"""

import contextlib
import pathlib
import signal
import threading

from absl import app
from absl import flags

from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import print_rows
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.serving import LocalServer

_DIRECTORY = flags.DEFINE_string(
    "directory",
    None,
    "The model's directory; the newest version in it is served.",
    required=True,
)
_NAME = flags.DEFINE_string(
    "name", None, "The model's name; that of the directory if not given."
)
_HOST = flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "The address to listen at; 0.0.0.0 for all of this machine's.",
)
_REST_PORT = flags.DEFINE_integer(
    "rest_port", 8501, "The port, 0 for any that is free.", 0, 65535
)


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    name = _NAME.value or pathlib.Path(_DIRECTORY.value).resolve().name
    try:
        server = LocalServer(
            _DIRECTORY.value,
            name,
            host=_HOST.value,
            rest_port=_REST_PORT.value,
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


def run() -> None:
    launch(main)


if __name__ == "__main__":
    run()
