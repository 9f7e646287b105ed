"""Straight lines between representations, decoded."""

import dataclasses

import numpy as np

from irevnet_tf.analysis.arguments import check_class_names
from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.network import batches
from irevnet_tf.analysis.network import to_pixels
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.analysis.words import percent
from irevnet_tf.evaluation import relative_errors
from irevnet_tf.pixel_normalization import Normalization

SPACINGS = ("pixels", "linear")
# The line is first decoded at so many places, then at those that are wanted,
# moved until their distances differ by less than this part of their mean.
_FINE = 33
_EVEN = 0.02
_ROUNDS = 20
# From here on it is said that they do.
_UNEVEN = 0.1
_CLASSES = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Interpolation(Result):
    """Images on lines between pairs of images.

    Attributes:
        point: name of the point whose representations are joined.
        spacing: "pixels" or "linear", what is equally far apart.
        t: float array (pairs, steps), from 0 at the start to 1 at the end.
        images: float array (pairs, steps, height, width, channels), decoded,
            as the network takes images. Nothing is clipped.
        pixel_images: the same for straight lines between the images.
        probabilities: float array (pairs, steps, classes) of `images`, None if
            the model does not classify.
        pixel_probabilities: the same of `pixel_images`.
        reencoding_errors: float array (pairs, steps), relative distance from
            what was decoded to the representation of the decoded image. Not 0
            where a line leaves what images can become, in an injective
            network.
        class_names: for each class.
        normalization: of the images.
    """

    point: str
    spacing: str
    t: np.ndarray
    images: np.ndarray
    pixel_images: np.ndarray
    probabilities: np.ndarray | None
    pixel_probabilities: np.ndarray | None
    reencoding_errors: np.ndarray
    class_names: tuple[str, ...]
    normalization: Normalization

    def pixel_distances(self) -> np.ndarray:
        """Return (pairs, steps), root mean squares of pixels, to the start."""
        pixels = to_pixels(self.normalization, self.images)
        square = (pixels - pixels[:, :1]) ** 2
        return np.sqrt(np.mean(square, axis=(2, 3, 4)))

    def unevenness(self) -> float:
        """Return by how much distances of neighbours differ, of their mean.

        In pixels, the most of all pairs; 0 for pairs of equal images.
        """
        steps = np.diff(self.images.astype("float64"), axis=1)
        apart = np.sqrt(np.sum(steps**2, axis=(2, 3, 4)))
        mean = np.maximum(np.mean(apart, axis=1), 1e-12)
        return float(np.max(np.ptp(apart, axis=1) / mean))

    def out_of_range(self) -> np.ndarray:
        """Return (pairs, steps), how far a pixel is beyond black or white."""
        pixels = to_pixels(self.normalization, self.images)
        beyond = np.maximum(-pixels, pixels - 1.0)
        return np.max(np.maximum(beyond, 0.0), axis=(2, 3, 4))

    def tables(self):
        distances, beyond = self.pixel_distances(), self.out_of_range()
        return {
            "interpolation": [
                {
                    "pair": pair,
                    "point": self.point,
                    "t": self.t[pair, step],
                    "class": name,
                    "probability": probability,
                    "pixel_distance_to_start": distances[pair, step],
                    "out_of_range": beyond[pair, step],
                }
                for pair, step in np.ndindex(self.t.shape)
                for name, probability in self._probable(pair, step)
            ]
        }

    def _probable(self, pair, step):
        """Return (class, probability) of the most probable classes."""
        if self.probabilities is None:
            return [("", np.nan)]
        row = self.probabilities[pair, step]
        order = np.argsort(-row, kind="stable")[:_CLASSES]
        return [(self.class_names[index], row[index]) for index in order]

    def summary(self):
        distances, beyond = self.pixel_distances(), self.out_of_range()
        rows = []
        for pair in range(len(self.t)):
            row = {"pair": pair}
            if self.probabilities is not None:
                found = np.argmax(self.probabilities[pair], axis=-1)
                changes = [found[0], *found[1:][found[1:] != found[:-1]]]
                names = [self.class_names[index] for index in changes]
                row["classes on the way"] = ", ".join(names)
            row["pixel distance of the ends"] = distances[pair, -1]
            row["farthest out of range"] = np.max(beyond[pair])
            row["re-encoding error"] = np.max(self.reencoding_errors[pair])
            rows.append(row)
        return rows

    def conclusion(self):
        beyond = np.max(self.out_of_range(), axis=1)
        off = np.max(self.reencoding_errors)
        pixels, line = (
            to_pixels(self.normalization, x)
            for x in (self.images, self.pixel_images)
        )
        square = np.mean((pixels - line) ** 2, axis=(2, 3, 4))
        text = (
            f"Lines between {len(self.t)} pairs at {self.point}, decoded at "
            f"{self.t.shape[1]} places each, leave the straight lines in "
            f"pixels by up to {np.sqrt(np.max(square)):.2f} (root mean square, "
            "white is 1). The decoded images leave the range of pixels by up "
            f"to {np.max(beyond):.2f}, half of the lines by less than "
            f"{np.median(beyond):.2f}."
        )
        if self.probabilities is not None:
            both = np.stack([self.probabilities, self.pixel_probabilities])
            certain = np.mean(np.max(both, axis=-1), axis=(1, 2))
            text += (
                " The classifier gives its class a probability of "
                f"{percent(certain[0])} on them and of {percent(certain[1])} "
                "on the lines in pixels, on average."
            )
        if self.spacing == SPACINGS[0] and self.unevenness() > _UNEVEN:
            text += (
                " Steps that are to be equal in pixels differ by up to "
                f"{percent(self.unevenness())}."
            )
        if off > 1e-3:
            text += (
                " What lies between is no representation of an image: encoded "
                f"again, decoded images are off by up to {percent(off)}."
            )
        return text


def interpolation(
    model,
    starts,
    ends,
    *,
    point=None,
    steps=9,
    spacing="pixels",
    class_names=None,
    batch_size=64,
    preprocessing=None,
    seed=0,
    progress=None,
) -> Interpolation:
    """Decode straight lines between the representations of pairs of images.

    The line begins and ends with the images themselves; in lossless mode bit
    for bit, as rounded to the grid.

    Example:

    >>> found = irevnet_tf.analysis.interpolation(model, x[:4], x[4:8])
    >>> found.images.shape  # (4, 9, height, width, channels)

    Args:
        model: any model that `irevnet_tf.encoder` takes.
        starts: float array (pairs, height, width, channels), as it takes
            images.
        ends: float array of the same shape.
        point: optional point whose representations are joined, as of
            `irevnet_tf.encoder`. Defaults to the last one.
        steps: integer of 2 or more, how many images each line has.
        spacing: `"pixels"`: decoded images are equally far apart, which the
            paper found by hand; `"linear"`: representations are.
        class_names: optional list of the classes' names.
        batch_size: integer, images at a time.
        preprocessing: how the images were scaled, see
            `irevnet_tf.preprocess_input`. Defaults to what the model says.
        seed: not used: nothing is random.
        progress: optional function of how much is done, from 0 to 1.

    Returns:
        An `Interpolation`.

    Raises:
        ValueError: if an argument is out of range, or `model` is no i-RevNet.

    Reference:
        Section 3.4 of https://arxiv.org/abs/1802.07088.
    """
    network = Network(model, preprocessing)
    starts = check_images(starts, network, "starts")
    ends = check_images(ends, network, "ends")
    steps = check_count(steps, "steps", 2)
    batch_size = check_count(batch_size, "batch_size")
    if starts.shape != ends.shape:
        raise ValueError(
            "`starts` and `ends` must have the same shape. Received: "
            f"starts.shape={starts.shape}, ends.shape={ends.shape}"
        )
    if spacing not in SPACINGS:
        raise ValueError(
            f"`spacing` must be one of {', '.join(SPACINGS)}. "
            f"Received: spacing={spacing!r}"
        )
    if point is None:
        point = network.points()[-1].name
    point = network.chain.point_name(point)
    head = network.optional_head()
    names = check_class_names(class_names, head)
    done = StepCounter(progress, len(starts))
    found = []
    for pair in zip(starts, ends, strict=True):
        ends_of_line = network.encode(np.stack(pair), point)

        def decode(t, ends_of_line=ends_of_line):
            return np.concatenate(
                [
                    network.decode(_line(ends_of_line, part), point)
                    for part in batches(t, batch_size)
                ]
            )

        t = np.linspace(0.0, 1.0, steps)
        if spacing == "pixels":
            t = _evenly(lambda t: network.pixels(decode(t)), steps)
        images = decode(t)
        again = network.encode(images, point)
        off = relative_errors(_line(ends_of_line, t), again)
        found.append((t, images, off))
        done.done()
    t, images, off = map(np.array, zip(*found, strict=True))
    straight = np.linspace(0.0, 1.0, steps)
    pixel_images = np.array([_line(x[[0, -1]], straight) for x in images])
    return Interpolation(
        point=point,
        spacing=spacing,
        t=t,
        images=images,
        pixel_images=pixel_images,
        probabilities=_probabilities(head, images, batch_size),
        pixel_probabilities=_probabilities(head, pixel_images, batch_size),
        reencoding_errors=off,
        class_names=names,
        normalization=network.normalization,
    )


def _line(ends, t):
    """Return points on a straight line; its ends are exact."""
    t = t.reshape(-1, *[1] * (ends.ndim - 1)).astype(ends.dtype)
    return (1 - t) * ends[:1] + t * ends[1:]


def _evenly(decode, count):
    """Return where on a line decoded images are equally far apart."""
    t = np.linspace(0.0, 1.0, max(_FINE, 2 * count))
    for _ in range(_ROUNDS):
        images = decode(t)
        apart = np.sqrt(np.sum(np.diff(images, axis=0) ** 2, axis=(1, 2, 3)))
        even = np.ptp(apart) <= _EVEN * np.mean(apart)
        if len(t) == count and even:
            break
        path = np.concatenate([[0.0], np.cumsum(apart)])
        t = np.interp(np.linspace(0.0, path[-1], count), path, t)
        t[0], t[-1] = 0.0, 1.0
    return t


def _probabilities(head, images, batch_size):
    if head is None:
        return None
    flat = images.reshape(-1, *images.shape[2:])
    found = head.probabilities(flat, batch_size)
    return found.reshape(*images.shape[:2], -1)
