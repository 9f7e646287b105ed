"""What the page answers: pictures, lines of a search, and errors."""

import asyncio
import base64
import json

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.responses import Response

from irevnet_tf.apps.page.refused import Refused

# How often a search tells how far it is, in seconds.
_TELLING = 0.5


def picture_of(pixels: np.ndarray) -> dict:
    """Return a uint8 array (height, width, channels) as the page reads it."""
    return {"shape": pixels.shape, "pixels": base64_of(pixels)}


def base64_of(array: np.ndarray) -> str:
    """Return the bytes of an array as text."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


async def told(future, watch, found):
    """Yield lines of JSON while a search runs, and what it finds.

    Args:
        future: future. The search; returns whether it ended in time.
        watch: `irevnet_tf.apps.page.search.Watch`. Its steps; it is stopped
            when nobody reads on.
        found: list of `irevnet_tf.apps.page.search.Metamer`. Grows meanwhile.
    """
    sent = 0
    try:
        while True:
            done, _ = await asyncio.wait({future}, timeout=_TELLING)
            for metamer in found[sent:]:
                sent += 1
                yield _line(
                    {
                        "kind": metamer.kind,
                        "found": metamer.found,
                        "sentence": metamer.sentence,
                        **picture_of(metamer.pixels),
                    }
                )
            if done:
                break
            text = f"{watch.steps:,} steps in {watch.elapsed:.0f} s"
            yield _line({"progress": text})
        if future.exception() is not None:
            yield _line({"end": "The search failed for these pictures."})
        elif future.result():
            yield _line({"end": f"Done in {watch.elapsed:.0f} s."})
        else:
            yield _line({"end": f"Ended after {watch.elapsed:.0f} s."})
    finally:
        # Also where the page does not wait any more.
        watch.stop()


def _line(values):
    return json.dumps(values) + "\n"


async def _refused(request, error):
    return JSONResponse({"error": error.sentence}, error.status)


async def _http_error(request, error):
    return JSONResponse({"error": f"{error.detail}."}, error.status_code)


async def _failed(request, error):
    sentence = "The computation failed; the terminal says more."
    return JSONResponse({"error": sentence}, 500)


async def _left(request, error):
    # Nobody reads it; as an error it would fill the terminal.
    return Response(status_code=400)


ERRORS = {
    ClientDisconnect: _left,
    Refused: _refused,
    HTTPException: _http_error,
    Exception: _failed,
}
