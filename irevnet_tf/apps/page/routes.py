"""The page's application: its files, and what it asks for.

A picture travels as its pixels, a byte each: the page sends them again with
each request, and nothing is kept here.
"""

import math
import pathlib

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.responses import Response
from starlette.responses import StreamingResponse
from starlette.routing import Route

from irevnet_tf.apps.page.answers import ERRORS
from irevnet_tf.apps.page.answers import base64_of
from irevnet_tf.apps.page.answers import picture_of
from irevnet_tf.apps.page.answers import told
from irevnet_tf.apps.page.bodies import READ_SECONDS
from irevnet_tf.apps.page.bodies import Bodies
from irevnet_tf.apps.page.explorer import Explorer
from irevnet_tf.apps.page.guard import Guard
from irevnet_tf.apps.page.refused import Refused
from irevnet_tf.apps.page.search import SECONDS
from irevnet_tf.apps.page.search import GivenUpError
from irevnet_tf.apps.page.search import Watch
from irevnet_tf.apps.page.search import search_metamers
from irevnet_tf.apps.page.uploads import MAX_BYTES
from irevnet_tf.apps.page.uploads import read_upload
from irevnet_tf.apps.page.workers import Workers

_FOLDER = pathlib.Path(__file__).with_name("static")
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/elements.js": ("elements.js", "text/javascript; charset=utf-8"),
    "/latest.js": ("latest.js", "text/javascript; charset=utf-8"),
    "/pictures.js": ("pictures.js", "text/javascript; charset=utf-8"),
    "/requests.js": ("requests.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
THREADS, WAITING = 3, 24


class Page:
    """Answers the page's requests.

    Args:
        explorers: dict. {name: `Explorer`}, the networks to choose from.
        samples: dict. {name: list of captions and uint8 arrays}, as
            `irevnet_tf.apps.page.samples.samples_for` returns them.
        seconds: float. How long a search for metamers may take.
        read_seconds: float. How long the body of a request may take to arrive.
    """

    def __init__(
        self,
        explorers: dict[str, Explorer],
        samples: dict[str, list],
        seconds: float = SECONDS,
        read_seconds: float = READ_SECONDS,
    ):
        self._explorers, self._samples = explorers, samples
        self._seconds, self._bodies = seconds, Bodies(read_seconds)
        self._watches = set()
        self._quick = Workers(
            THREADS, WAITING, "Too many requests wait; please try again."
        )
        self._searches = Workers(
            1, 1, "Another search is running; please wait until it ends."
        )

    def application(self, port: int) -> Guard:
        """Return the ASGI application for a server at a port."""
        routes = [
            Route(path, _file(name, kind), methods=["GET"])
            for path, (name, kind) in _FILES.items()
        ]
        routes.append(Route("/api/networks", self._networks, methods=["GET"]))
        for name, function in {
            "picture": self._picture,
            "classes": self._classes,
            "rebuilt": self._rebuilt,
            "between": self._between,
            "stages": self._stages,
            "metamers": self._metamers,
        }.items():
            routes.append(Route(f"/api/{name}", function, methods=["POST"]))
        return Guard(
            Starlette(
                routes=routes,
                exception_handlers=ERRORS,
            ),
            port,
        )

    def stop(self) -> None:
        """End the searches, so that their answers end, too."""
        for watch in tuple(self._watches):
            watch.stop()

    def close(self) -> None:
        """Drop what waits."""
        self._quick.close()
        self._searches.close()

    async def _networks(self, request):
        return JSONResponse(
            [
                {
                    "name": name,
                    "shape": explorer.shape,
                    "points": explorer.points,
                    "stages": explorer.stages,
                    "absent": explorer.absent,
                    "can_search": explorer.can_search,
                    "fraction_bits": explorer.network.fraction_bits,
                    "samples": [
                        {"caption": caption, **picture_of(pixels)}
                        for caption, pixels in self._samples[name]
                    ],
                }
                for name, explorer in self._explorers.items()
            ]
        )

    async def _picture(self, request):
        explorer = self._explorer(request)
        raw = await self._bodies.read(request, MAX_BYTES)
        pixels, note = await self._quick.run(read_upload, raw, explorer.shape)
        return JSONResponse({**picture_of(pixels), "note": note})

    async def _classes(self, request):
        explorer, raw = await self._pixels(request, 1)

        def compute():
            (image,) = explorer.images(raw, 1)
            return explorer.classes(image)

        found = await self._quick.run(compute)
        return JSONResponse(
            [{"name": name, "probability": value} for name, value in found]
        )

    async def _rebuilt(self, request):
        explorer, raw = await self._pixels(request, 1)
        point = explorer.check_point(request.query_params.get("point"))

        def compute():
            (image,) = explorer.images(raw, 1)
            return explorer.rebuilt(image, point)

        found = await self._quick.run(compute)
        return JSONResponse(
            {
                **picture_of(found.pixels),
                "difference": base64_of(found.difference),
                "factor": found.factor,
                "differing": found.differing,
                "bits": found.bits,
            }
        )

    async def _between(self, request):
        explorer, raw = await self._pixels(request, 2)
        point = explorer.check_point(request.query_params.get("point"))
        share = _share(request.query_params.get("share"))

        def compute():
            image = explorer.between(*explorer.images(raw, 2), point, share)
            return explorer.drawn(image), explorer.classes(image)

        pixels, classes = await self._quick.run(compute)
        likeliest = classes[0][0] if classes else ""
        return JSONResponse({**picture_of(pixels), "class": likeliest})

    async def _stages(self, request):
        explorer, raw = await self._pixels(request, 1)

        def compute():
            (image,) = explorer.images(raw, 1)
            return explorer.representations(image)

        found = await self._quick.run(compute)
        return JSONResponse(
            [
                {"name": name, "sentence": sentence, **picture_of(pixels)}
                for name, pixels, sentence in found
            ]
        )

    async def _metamers(self, request):
        explorer, raw = await self._pixels(request, 2)
        if not explorer.can_search:
            raise Refused(400, explorer.absent)
        if raw[: len(raw) // 2] == raw[len(raw) // 2 :]:
            raise Refused(400, "Two different pictures are needed.")
        watch, found = Watch(self._seconds), []

        def search():
            target, start = explorer.images(raw, 2)
            try:
                for metamer in search_metamers(explorer, start, target, watch):
                    found.append(metamer)
            except GivenUpError:
                return False
            return True

        # Here, so that a refusal comes as such and not within the stream.
        future = self._searches.begin(search)
        self._watches.add(watch)
        future.add_done_callback(lambda _: self._watches.discard(watch))
        return StreamingResponse(
            told(future, watch, found), media_type="application/x-ndjson"
        )

    def _explorer(self, request):
        name = request.query_params.get("network")
        if name not in self._explorers:
            raise Refused(404, f"There is no network {name!r:.80}.")
        return self._explorers[name]

    async def _pixels(self, request, count):
        explorer = self._explorer(request)
        size = count * math.prod(explorer.shape)
        return explorer, await self._bodies.read(request, size)


def _share(text):
    try:
        share = float(text)
    except (TypeError, ValueError):
        share = math.nan
    if not 0.0 <= share <= 1.0:
        raise Refused(400, "`share` must be a number from 0 to 1.")
    return share


def _file(name, kind):
    content = (_FOLDER / name).read_bytes()

    async def answer(request):
        return Response(content, media_type=kind)

    return answer
