"""Workers: computations in threads, of which only so many wait."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

from irevnet_tf.apps.page.refused import Refused


class Workers:
    """A few threads, and a bounded number of computations for them.

    One that is slow occupies one thread, and the others go on.

    Args:
        threads: int. The number of threads.
        most: int. How many computations may run or wait at once.
        busy: str. The sentence for those that come when there are as many.
    """

    def __init__(self, threads: int, most: int, busy: str):
        self._executor = concurrent.futures.ThreadPoolExecutor(threads)
        self._most, self._busy, self._running = most, busy, 0

    async def run(self, function: Callable, *arguments) -> Any:
        """Return what a function returns, computed in a thread.

        Raises:
            Refused: if too many computations wait already.
        """
        return await self.begin(function, *arguments)

    def begin(self, function: Callable, *arguments) -> asyncio.Future:
        """Start a function in a thread, as `run`, without waiting for it."""
        if self._running >= self._most:
            raise Refused(503, self._busy)
        self._running += 1
        loop = asyncio.get_running_loop()
        future = self._executor.submit(function, *arguments)

        def done(_):
            # The thread ends later than a request that was given up.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._one_less)

        future.add_done_callback(done)
        return asyncio.wrap_future(future)

    def _one_less(self):
        self._running -= 1

    def close(self) -> None:
        """Drop what waits. What runs already ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)
