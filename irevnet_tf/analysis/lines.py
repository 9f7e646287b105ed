"""Interpolation, the result of the study of interpolation."""

import dataclasses

import numpy as np

from irevnet_tf.analysis.network import to_pixels
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.words import percent
from irevnet_tf.preprocessing import Normalization

SPACINGS = ("pixels", "linear")
# Difference from which it is reported.
_UNEVEN = 0.1
_CLASSES = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Interpolation(Result):
    """Images on lines between pairs of images.

    Attributes:
        point: str. Name of the point whose representations are joined.
        spacing: str. "pixels" or "linear", what is equally far apart.
        t: float array (pairs, steps). Positions from 0 at the start to 1 at the
            end.
        images: float array (pairs, steps, height, width, channels). Decoded
            images, as the network takes them. Nothing is clipped.
        pixel_images: float array of the same shape. Straight lines between the
            images themselves.
        probabilities: None or float array (pairs, steps, classes). Those of
            `images`; None if the model does not classify.
        pixel_probabilities: None or float array (pairs, steps, classes). Those
            of `pixel_images`.
        reencoding_errors: float array (pairs, steps). Relative distance from
            what was decoded to the representation of the decoded image. Not 0
            where a line leaves the representations of images, in an injective
            network.
        bijective: bool. Whether every representation has an image.
        class_names: tuple of strs. The name of each class.
        normalization: `Normalization`. The scale of the images.
    """

    point: str
    spacing: str
    t: np.ndarray
    images: np.ndarray
    pixel_images: np.ndarray
    probabilities: np.ndarray | None
    pixel_probabilities: np.ndarray | None
    reencoding_errors: np.ndarray
    bijective: bool
    class_names: tuple[str, ...]
    normalization: Normalization

    def pixel_distances(self) -> np.ndarray:
        """Return (pairs, steps), root mean squares of pixels, to the start."""
        pixels = to_pixels(self.normalization, self.images)
        square = (pixels - pixels[:, :1]) ** 2
        return np.sqrt(np.mean(square, axis=(2, 3, 4)))

    def distances_to_pixel_line(self) -> np.ndarray:
        """Return (pairs, steps), root mean squares of pixels, to the line."""
        pixels, line = (
            to_pixels(self.normalization, x)
            for x in (self.images, self.pixel_images)
        )
        return np.sqrt(np.mean((pixels - line) ** 2, axis=(2, 3, 4)))

    def unevenness(self) -> float:
        """Return the spread of the distances of neighbours, by their mean.

        In pixels, the largest of all pairs; 0 for pairs of equal images.
        """
        steps = np.diff(to_pixels(self.normalization, self.images), axis=1)
        apart = np.sqrt(np.sum(steps**2, axis=(2, 3, 4)))
        mean = np.maximum(np.mean(apart, axis=1), 1e-12)
        return float(np.max(np.ptp(apart, axis=1) / mean))

    def out_of_range(self) -> np.ndarray:
        """Return (pairs, steps), how far a pixel is beyond black or white."""
        pixels = to_pixels(self.normalization, self.images)
        beyond = np.maximum(-pixels, pixels - 1.0)
        return np.max(np.maximum(beyond, 0.0), axis=(2, 3, 4))

    def tables(self) -> dict[str, list[dict]]:
        distances, beyond = self.pixel_distances(), self.out_of_range()
        apart = self.distances_to_pixel_line()
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
            ],
            "interpolation_lines": [
                {
                    "pair": pair,
                    "t": self.t[pair, step],
                    "probability": _largest(self.probabilities, pair, step),
                    "pixel_line_probability": _largest(
                        self.pixel_probabilities, pair, step
                    ),
                    "distance_to_pixel_line": apart[pair, step],
                    "reencoding_error": self.reencoding_errors[pair, step],
                }
                for pair, step in np.ndindex(self.t.shape)
            ],
        }

    def _probable(self, pair, step):
        """Return (class, probability) of the most probable classes."""
        if self.probabilities is None:
            return [("", np.nan)]
        row = self.probabilities[pair, step]
        order = np.argsort(-row, kind="stable")[:_CLASSES]
        return [(self.class_names[index], row[index]) for index in order]

    def summary(self) -> list[dict]:
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

    def conclusion(self) -> str:
        beyond = np.max(self.out_of_range(), axis=1)
        off = np.max(self.reencoding_errors)
        apart = np.max(self.distances_to_pixel_line())
        text = (
            f"Lines between {len(self.t)} pairs at {self.point}, decoded at "
            f"{self.t.shape[1]} places each, leave the straight lines in "
            f"pixels by up to {apart:.2f} (root mean square, "
            "white is 1). The decoded images leave the range of pixels by up "
            f"to {np.max(beyond):.2f}, half of the lines by less than "
            f"{np.median(beyond):.2f}."
        )
        if self.probabilities is not None and self.t.shape[1] > 2:
            both = np.stack([self.probabilities, self.pixel_probabilities])
            between = np.max(both, axis=-1)[..., 1:-1]
            certain = np.mean(between, axis=(1, 2))
            text += (
                " Between their ends, the classifier gives its class a "
                f"probability of {percent(certain[0])} on them and of "
                f"{percent(certain[1])} on the lines in pixels, on average."
            )
        if self.spacing == SPACINGS[0] and self.unevenness() > _UNEVEN:
            text += (
                " Steps that are to be equal in pixels differ by up to "
                f"{percent(self.unevenness())}."
            )
        if off > 1e-3:
            text += (
                " Encoded again, decoded images are off by up to "
                f"{percent(off)}."
            )
            if not self.bijective:
                text += " What lies between is no representation of an image."
        return text


def _largest(probabilities, pair, step):
    if probabilities is None:
        return np.nan
    return np.max(probabilities[pair, step])
