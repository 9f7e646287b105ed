"""Explorer: what the page computes with a network, picture by picture."""

import contextlib
import dataclasses
import math
import threading

import numpy as np
import tensorflow as tf

from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.points import stage_points
from irevnet_tf.apps.page.exported import CLOSED
from irevnet_tf.apps.page.exported import ExportedNetwork
from irevnet_tf.apps.page.refused import Refused
from irevnet_tf.pictures import amplification
from irevnet_tf.preprocessing import Normalization

WHITE = 255.0
TOP = 5
# Channels that are drawn of a representation, and the side of each.
MOST_TILES = 64
LARGEST_TILE = 32
NO_CLASSIFIER = (
    "This network has no classifier: there are no classes, and no metamers."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Rebuilt:
    """A picture that came back from a representation.

    Attributes:
        pixels: uint8 array (height, width, channels). The picture.
        difference: uint8 array of the same shape. The absolute difference to
            what the network was given, times `factor`.
        factor: float. The amplification.
        differing: int. The bits of its floats that differ.
        bits: int. All bits of its floats.
    """

    pixels: np.ndarray
    difference: np.ndarray
    factor: float
    differing: int
    bits: int


class Explorer:
    """A network for pictures of 8 bits, from several threads.

    Args:
        network: `Network` or `ExportedNetwork`. The network.
        shape: tuple of ints. Height, width and channels of the pictures.
        scale: None or `Normalization`. How pixels are scaled for the network,
            None if it takes them as they are, from 0 to 255.
        class_names: None or sequence of strs. The names of its classes, None
            if not known.

    Attributes:
        absent: str. What the page lacks with this network, and why; "" if
            nothing.
        can_search: bool. Whether metamers can be looked for.
    """

    def __init__(
        self,
        network: Network | ExportedNetwork,
        shape,
        scale: Normalization | None,
        class_names,
    ):
        self.network, self.shape, self._scale = network, shape, scale
        self.points = [point.name for point in network.points()]
        stages = network.points(default=stage_points)
        self.stages = [point.name for point in stages]
        self.head = network.optional_head()
        lacking = []
        if isinstance(network, ExportedNetwork):
            lacking.append(CLOSED)
        if self.head is None:
            lacking.append(NO_CLASSIFIER)
        self.can_search, self.absent = not lacking, " ".join(lacking)
        classes = self.head.classes if self.head else 0
        if class_names is None or len(class_names) != classes:
            class_names = [f"class {number}" for number in range(classes)]
        self.class_names = list(class_names)
        self._build, self._built = threading.Lock(), set()

    def images(self, raw: bytes, count: int) -> list[np.ndarray]:
        """Return pictures as the network takes them.

        Args:
            raw: bytes. The pixels of all pictures, one after the other, a byte
                each.
            count: int. The number of pictures.

        Returns:
            A list of float32 arrays (1, height, width, channels), on the grid
            of a lossless network.

        Raises:
            Refused: if these are not as many bytes.
        """
        wanted = count * math.prod(self.shape)
        if len(raw) != wanted:
            raise Refused(
                400,
                f"The request must have the {wanted:,} bytes of {count} "
                f"picture(s). Received: {len(raw):,}",
            )
        pixels = np.frombuffer(raw, "uint8").reshape(count, 1, *self.shape)
        return [
            self.network.on_grid(self._scaled(x))
            for x in pixels.astype("float32")
        ]

    def _scaled(self, pixels):
        if self._scale is None:
            return pixels
        factor = self._scale.maximum / WHITE
        return self._scale.apply(pixels * factor).numpy()

    def check_point(self, name: str | None) -> str:
        """Return a point's name.

        Raises:
            Refused: if there is no such point.
        """
        if name not in self.points:
            raise Refused(400, f"The network has no point {name!r:.80}.")
        return name

    def classes(self, image: np.ndarray) -> list[tuple[str, float]]:
        """Return the names and probabilities of the likeliest classes.

        Empty for a network without a classifier.
        """
        if self.head is None:
            return []
        with _out_of_range_refused():
            found = self.head.probabilities(image)[0]
        order = np.argsort(-found, kind="stable")[:TOP]
        return [(self.class_names[i], float(found[i])) for i in order]

    def rebuilt(self, image: np.ndarray, point: str) -> Rebuilt:
        """Encode a picture up to a point, and decode it from there."""
        back = self._decoded(self._encoded(image, point), point)
        difference = np.abs(
            self.network.pixels(back) - self.network.pixels(image)
        )
        digit, exponent = amplification(difference, 1.0)
        factor = digit * 10.0**exponent
        given, returned = (
            np.frombuffer(x.tobytes(), "uint8") for x in (image, back)
        )
        return Rebuilt(
            self.drawn(back),
            _bytes_of(difference[0] * factor),
            factor,
            int(np.sum(np.bitwise_count(given ^ returned), dtype="int64")),
            8 * given.size,
        )

    def between(self, first, second, point: str, share: float) -> np.ndarray:
        """Return the picture at a place between two in representation space.

        Args:
            first: float array (1, height, width, channels). One picture.
            second: float array of the same shape. The other picture.
            point: str. Where the representations are taken.
            share: float. The share of the second, from 0 to 1.

        Returns:
            float32 array (1, height, width, channels).
        """
        start, end = (self._encoded(x, point) for x in (first, second))
        share = start.dtype.type(share)
        # The ends are exact.
        return self._decoded((1 - share) * start + share * end, point)

    def representations(self, image) -> list[tuple[str, np.ndarray, str]]:
        """Return a picture of the representation behind each stage.

        Zero is gray. A picture has the channels as tiles, row by row.

        Returns:
            A list of the stage, a uint8 array (height, width, 1), and a
            sentence.
        """
        with _out_of_range_refused():
            found = [
                (name, x.numpy()[0])
                for name, x in self.network.walk(image, self.stages)
            ]
        return [(name, *_tiles(x)) for name, x in found]

    def drawn(self, image: np.ndarray) -> np.ndarray:
        """Return an image of the network as a picture of 8 bits, clipped."""
        return _bytes_of(self.network.pixels(image)[0])

    def _encoded(self, image, point):
        with self._first_alone("encode", point), _out_of_range_refused():
            return self.network.encode(image, point)

    def _decoded(self, representation, point):
        with self._first_alone("decode", point), _out_of_range_refused():
            return self.network.decode(representation, point)

    @contextlib.contextmanager
    def _first_alone(self, what, point):
        """Let one thread in until it has made the model of a point."""
        if (what, point) in self._built:
            yield
            return
        with self._build:
            yield
            self._built.add((what, point))


@contextlib.contextmanager
def _out_of_range_refused():
    """Refuse pictures for which lossless streams leave their range."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        raise Refused(
            422, "The values leave the range in which this network is exact."
        ) from error


def _bytes_of(pixels):
    values = np.nan_to_num(np.asarray(pixels, "float64"))
    return np.rint(np.clip(values, 0.0, 1.0) * WHITE).astype("uint8")


def _tiles(x):
    """Return channels (height, width, channels) side by side, and a line."""
    x = x.reshape(-1, 1, x.shape[-1]) if x.ndim == 2 else x
    height, width, channels = x.shape
    count = min(channels, MOST_TILES)
    chosen = np.linspace(0, channels - 1, count).round().astype(int)
    step = math.ceil(max(height, width) / LARGEST_TILE)
    x = x[::step, ::step, chosen]
    largest = float(np.max(np.abs(x))) or 1.0
    values = np.rint(127.5 + 127.5 * x / largest).astype("uint8")
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    picture = np.full(
        (rows * (len(x) + 1), columns * (x.shape[1] + 1), 1), 128, "uint8"
    )
    for index in range(count):
        row, column = divmod(index, columns)
        top, left = row * (len(x) + 1), column * (x.shape[1] + 1)
        tile = values[..., index : index + 1]
        picture[top : top + len(x), left : left + x.shape[1]] = tile
    shown = f"{count} of {channels:,}" if count < channels else f"{channels:,}"
    return picture, (
        f"{height}x{width} positions, {shown} channels; black is "
        f"{-largest:.3g}, white {largest:.3g}"
    )
