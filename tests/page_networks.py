"""A page with a small network, for the tests of the page."""

import asyncio
import contextlib
import signal
import socket
import threading

import irevnet_tf
from irevnet_tf.analysis.network import Network
from irevnet_tf.apps.network_source import Source
from irevnet_tf.apps.page.explorer import Explorer
from irevnet_tf.apps.page.samples import samples_for
from irevnet_tf.preprocessing import PREPROCESSING

NAME = "digits"
SHAPE = (8, 8, 1)
PORT = 8600


def digits_explorer():
    """Return the network of the digits, lossless."""
    model = irevnet_tf.IRevNet28(weights="digits", lossless=True)
    scale = PREPROCESSING["digits"]
    return Explorer(Network(model, scale), SHAPE, scale, "0123456789")


def digits_samples(explorer):
    """Return sample pictures for the network of the digits."""
    source = Source(
        explorer.network.model, NAME, "digits", "digits", dataset_name="digits"
    )
    return samples_for(source, SHAPE)


def digits_page(**arguments):
    """Return the page of the network of the digits."""
    from irevnet_tf.apps.page.routes import Page

    explorer = digits_explorer()
    return Page({NAME: explorer}, {NAME: digits_samples(explorer)}, **arguments)


@contextlib.contextmanager
def served(page):
    """Serve a page as the command does, in a thread.

    Yields the port, and ends as Ctrl-C does.
    """
    from irevnet_tf.apps.page.connections import server_for

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = server_for(page, port)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield port
        finally:
            server.handle_exit(signal.SIGINT, None)
            thread.join()
            page.close()


class PageClient:
    """Asks a page within this process, request by request.

    Args:
        page: `Page`. What is asked.
    """

    def __init__(self, page):
        self._application = page.application(PORT)

    def get(self, path, **arguments):
        """Return the answer to a GET request."""
        return asyncio.run(self._ask("GET", path, **arguments))

    def post(self, path, **arguments):
        """Return the answer to a POST request."""
        return asyncio.run(self._ask("POST", path, **arguments))

    async def _ask(self, method, path, **arguments):
        import httpx

        transport = httpx.ASGITransport(
            self._application, raise_app_exceptions=False
        )
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://127.0.0.1:{PORT}", timeout=60
        ) as client:
            return await client.request(method, path, **arguments)
