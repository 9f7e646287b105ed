"""Guard: who may talk to the page, and what the page may do."""

import json

# The names of the loopback interface: a page elsewhere whose name was made to
# lead here still sends its own name.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

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
