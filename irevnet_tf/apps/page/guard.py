"""Guard: who may talk to the page, and what the page may do."""

import asyncio
import json

from irevnet_tf.apps.page.refused import Refused
from irevnet_tf.apps.page.uploads import too_many_bytes

# The names of the loopback interface: a page elsewhere whose name was made to
# lead here still sends its own name.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# A body that takes longer is given up.
READ_SECONDS = 60.0

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_HEADERS = [(key.encode(), value.encode()) for key, value in HEADERS.items()]


class Guard:
    """Answers only the page's own requests, and adds `HEADERS` to all answers.

    Args:
        app: ASGI application. What answers.
        port: int. The port at which it listens.
    """

    def __init__(self, app, port: int):
        self._app = app
        self._hosts = {f"{name}:{port}" for name in LOOPBACK}
        if port == 80:
            self._hosts |= set(LOOPBACK)

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message):
            if message["type"] == "http.response.start":
                message = {
                    **message,
                    "headers": [*message.get("headers", []), *_HEADERS],
                }
            await send(message)

        sentence = self._problem(scope)
        if sentence is None:
            await self._app(scope, receive, guarded)
            return
        await guarded(
            {
                "type": "http.response.start",
                "status": 403,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        body = json.dumps({"error": sentence}).encode()
        await guarded({"type": "http.response.body", "body": body})

    def _problem(self, scope):
        """Return why a request is refused, None if it is not."""

        def values(name):
            return [
                value.decode("latin-1").lower()
                for key, value in scope["headers"]
                if key.lower() == name
            ]

        hosts = values(b"host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return (
                "The request must name this machine as its host, such as "
                f"{min(self._hosts)}."
            )
        origins = values(b"origin")
        if origins not in ([], [f"http://{hosts[0]}"]):
            return "The request comes from another page."
        sites = values(b"sec-fetch-site")
        is_link = scope["method"] == "GET" and scope["path"] == "/"
        if sites not in ([], ["same-origin"], ["none"]) and not is_link:
            return "The request comes from another site."
        return None


async def read_body(request, most: int, seconds: float = READ_SECONDS) -> bytes:
    """Read the body of a request, and stop where it is too long.

    Args:
        request: Starlette's `Request`. The request.
        most: int. The largest number of bytes.
        seconds: float. How long they may take to arrive.

    Raises:
        Refused: if it is longer, or takes too long.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise too_many_bytes()
    parts, length = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                length += len(part)
                if length > most:
                    raise too_many_bytes()
                parts.append(part)
    except TimeoutError as error:
        raise Refused(408, "The file took too long to arrive.") from error
    return b"".join(parts)
