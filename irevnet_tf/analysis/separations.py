"""Separation, the result of the study of how depth separates classes."""

import dataclasses

import numpy as np

from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.words import percent

PIXELS = "pixels"
UNTRAINED = "untrained"


@dataclasses.dataclass(frozen=True, eq=False)
class Separation(Result):
    """Accuracies of simple classifiers, and distances, at every depth.

    Attributes:
        points: tuple of strs. Names of the P points.
        depths: int array (P,). How many blocks, or other layers with weights,
            lead to each.
        classifiers: tuple of strs. "svm", a linear support vector machine, and
            "1nn", the nearest neighbour.
        accuracy: float array (P, classifiers, draws). On the test images.
        untrained: None or float array (P, classifiers, draws). The same of a
            network of the same shape with random weights.
        pixels: float array (classifiers, draws). The same of the pixels.
        head_accuracy: None or float. The network's own on the test images; None
            if it does not classify.
        within: float array (P,). Mean distance of two test images of a class:
            the root mean square over the channels that vary, of what the
            classifiers see, which is standardised.
        between: float array (P,). The same of different classes.
        train_size: int. Training images in each draw.
        test_size: int. Number of test images.
    """

    points: tuple[str, ...]
    depths: np.ndarray
    classifiers: tuple[str, ...]
    accuracy: np.ndarray
    untrained: np.ndarray | None
    pixels: np.ndarray
    head_accuracy: float | None
    within: np.ndarray
    between: np.ndarray
    train_size: int
    test_size: int

    def tables(self) -> dict[str, list[dict]]:
        rows = self._rows([PIXELS], [0], self.pixels[None])
        rows += self._rows(self.points, self.depths, self.accuracy)
        if self.untrained is not None:
            names = [f"{UNTRAINED} {point}" for point in self.points]
            rows += self._rows(names, self.depths, self.untrained)
        if self.head_accuracy is not None:
            rows.append(
                {
                    "point": "head",
                    "depth": self.depths[-1],
                    "classifier": "head",
                    "draw": 0,
                    "accuracy": self.head_accuracy,
                }
            )
        return {
            "separation": rows,
            "separation_distances": [
                {
                    "point": point,
                    "depth": self.depths[p],
                    "within": self.within[p],
                    "between": self.between[p],
                }
                for p, point in enumerate(self.points)
            ],
        }

    def _rows(self, names, depths, accuracy):
        return [
            {
                "point": names[p],
                "depth": depths[p],
                "classifier": self.classifiers[c],
                "draw": draw,
                "accuracy": accuracy[p, c, draw],
            }
            for p, c, draw in np.ndindex(accuracy.shape)
        ]

    def summary(self) -> list[dict]:
        columns = {
            name: [np.mean(of_pixels), *np.mean(accuracy, axis=-1)]
            for name, of_pixels, accuracy in zip(
                self.classifiers,
                self.pixels,
                self.accuracy.swapaxes(0, 1),
                strict=True,
            )
        }
        if self.untrained is not None:
            for c, name in enumerate(self.classifiers):
                means = np.mean(self.untrained[:, c], axis=-1)
                columns[f"{name}, untrained"] = [np.nan, *means]
        columns["within / between"] = [np.nan, *self.within / self.between]
        return [
            {"point": point, **{name: x[p] for name, x in columns.items()}}
            for p, point in enumerate((PIXELS, *self.points))
        ]

    def conclusion(self) -> str:
        mean = np.mean(self.accuracy, axis=-1)
        ratio = self.within / self.between
        text = (
            f"A linear SVM reaches {percent(mean[0, 0])} at {self.points[0]} "
            f"and {percent(mean[-1, 0])} at {self.points[-1]}, the nearest "
            f"neighbour {percent(mean[0, 1])} and {percent(mean[-1, 1])}"
        )
        if self.untrained is not None:
            last = np.mean(self.untrained[-1, 0])
            text += f" (SVM in an untrained network, there: {percent(last)})"
        if self.head_accuracy is not None:
            text += f"; the network's own head {percent(self.head_accuracy)}"
        if not np.all(np.isfinite(ratio)):
            return f"{text}."
        return text + (
            ". Distances within classes, divided by those between, go from "
            f"{ratio[0]:.2f} to {ratio[-1]:.2f}, by way of "
            f"{np.max(ratio):.2f} at most."
        )
