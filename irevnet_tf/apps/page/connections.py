"""Connections: the server of the page, as the command starts it."""

import uvicorn

from irevnet_tf.apps.page.routes import Page


class _Server(uvicorn.Server):
    def __init__(self, config, page):
        super().__init__(config)
        self._page = page

    def handle_exit(self, sig, frame):
        # Otherwise uvicorn would cancel them, with a traceback.
        self._page.stop()
        super().handle_exit(sig, frame)


def server_for(page: Page, port: int) -> uvicorn.Server:
    """Return the server of a page, which listens nowhere yet.

    Args:
        page: `Page`. What is served.
        port: int. The port at which it will listen.
    """
    return _Server(
        uvicorn.Config(
            page.application(port),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        ),
        page,
    )
