"""Bodies of requests, read within limits of size, time and memory."""

import asyncio

from irevnet_tf.apps.page.refused import Refused
from irevnet_tf.apps.page.uploads import too_many_bytes

# A body that takes longer is given up.
READ_SECONDS = 60.0
# Of all bodies that arrive at once: ten of the largest uploads.
HELD_BYTES = 200 * 2**20


class Bodies:
    """Reads bodies, of which all together must fit into memory.

    Those that arrive slowly hold little, and stop no other.

    Args:
        seconds: float. How long one may take to arrive.
    """

    def __init__(self, seconds: float = READ_SECONDS):
        self._seconds, self._held = seconds, 0

    async def read(self, request, most: int) -> bytes:
        """Read the body of a request, and stop where it is too long.

        Args:
            request: Starlette's `Request`. The request.
            most: int. The largest number of bytes.

        Raises:
            Refused: if it is longer, or takes too long, or too many others
                arrive.
        """
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise too_many_bytes()
        parts, length = [], 0
        try:
            async with asyncio.timeout(self._seconds):
                async for part in request.stream():
                    length += len(part)
                    self._held += len(part)
                    if length > most:
                        raise too_many_bytes()
                    if self._held > HELD_BYTES:
                        raise Refused(
                            503,
                            "Too many files arrive at once; please try again.",
                        )
                    parts.append(part)
        except TimeoutError as error:
            raise Refused(408, "The file took too long to arrive.") from error
        finally:
            self._held -= length
        return b"".join(parts)
