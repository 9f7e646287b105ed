"""Spectrum, the result of the study of singular values."""

import dataclasses

import numpy as np

from irevnet_tf.analysis.local_inversion import LocalInversion
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.words import percent
from irevnet_tf.analysis.words import small
from irevnet_tf.preprocessing import Normalization

SHARES = (0.8, 0.99, 0.996)


@dataclasses.dataclass(frozen=True, eq=False)
class Spectrum(Result):
    """Singular values of a network's Jacobian at images.

    Attributes:
        points: tuple of strs. Names of the P points.
        depths: int array (P,). How many blocks, or other layers with weights,
            lead to each.
        singular_values: float64 array (images, P, k). Falling values.
        energy: float64 array (images, P). The sum of the squares of all
            singular values, estimated if `method` is not "exact".
        pixels: int. How many values of the image vary: there are as many
            singular values.
        whole_image: bool. Whether all values of the image vary.
        method: str. "exact", or "svds" if only the k largest are known.
        block_gains: float64 array (images, P, 2). The least and the largest
            factor by which the layers since the previous point stretch the
            effect of a change of the image; NaN unless exact.
        local: None or `LocalInversion`. The comparison with the inverse at the
            last point, None unless exact.
        normalization: `Normalization`. The scale of the images.
    """

    points: tuple[str, ...]
    depths: np.ndarray
    singular_values: np.ndarray
    energy: np.ndarray
    pixels: int
    whole_image: bool
    method: str
    block_gains: np.ndarray
    local: LocalInversion | None
    normalization: Normalization

    def energy_shares(self) -> np.ndarray:
        """Return (images, P, k), the share of energy in the first 1 to k."""
        energy = np.cumsum(self.singular_values**2, axis=-1)
        return energy / self.energy[..., None]

    def share_of_first(self, fraction: float) -> np.ndarray:
        """Return (images, P), the energy share of a fraction of all values.

        Args:
            fraction: float in (0, 1]. The part of all values, counted from the
                largest.

        Returns:
            float64 array (images, P). NaN if it needs more than the known
            values.
        """
        count = max(1, round(fraction * self.pixels))
        if count > self.singular_values.shape[-1]:
            return np.full(self.energy.shape, np.nan)
        return self.energy_shares()[..., count - 1]

    def values_for(self, share: float) -> np.ndarray:
        """Return (images, P), how many values hold a share of the energy.

        Args:
            share: float in (0, 1]. The share of the energy.

        Returns:
            float64 array (images, P). NaN where it needs more than the known
            values.
        """
        enough = self.energy_shares() >= share - 1e-12  # For rounding.
        counts = np.argmax(enough, axis=-1) + 1.0
        return np.where(enough[..., -1], counts, np.nan)

    def condition_numbers(self) -> np.ndarray:
        """Return (images, P), the largest divided by the least singular value.

        The least of the known values, so it is a lower bound unless the method
        is exact.
        """
        return self.singular_values[..., 0] / self.singular_values[..., -1]

    def log_volumes(self) -> np.ndarray:
        """Return (images, P), the sum of the values' logarithms.

        0 in a bijective network of additive couplings. NaN unless exact and
        of the whole image.
        """
        if self.method != "exact" or not self.whole_image:
            return np.full(self.energy.shape, np.nan)
        return np.sum(np.log(self.singular_values), axis=-1)

    def tables(self) -> dict[str, list[dict]]:
        return {
            "spectrum": [
                {
                    "image": image,
                    "point": point,
                    "index": index,
                    "singular_value": value,
                }
                for image, of_image in enumerate(self.singular_values)
                for point, values in zip(self.points, of_image, strict=True)
                for index, value in enumerate(values)
            ],
            **self._local_table(),
        }

    def _local_table(self):
        if self.local is None:
            return {}
        return {
            "spectrum_local_inversion": [
                {
                    "image": image,
                    "method": method,
                    "distance": distance,
                    "relative_error": error,
                }
                for image, of_image in enumerate(self.local.errors)
                for method, errors in zip(
                    self.local.methods, of_image, strict=True
                )
                for distance, error in zip(
                    self.local.distances[image], errors, strict=True
                )
            ]
        }

    def summary(self) -> list[dict]:
        gains = np.median(self.block_gains, axis=0)
        at_least = "" if self.method == "exact" else ", at least"
        columns = {
            "energy in the first 10 %": self.share_of_first(0.1),
            **{
                f"values for {percent(share)}": self.values_for(share)
                for share in SHARES
            },
            f"condition number{at_least}": self.condition_numbers(),
            "log-volume": self.log_volumes(),
        }
        return [
            {
                "point": point,
                **{
                    name: np.median(values[:, index])
                    for name, values in columns.items()
                },
                "least gain of the block": gains[index, 0],
                "largest gain": gains[index, 1],
            }
            for index, point in enumerate(self.points)
        ]

    def conclusion(self) -> str:
        count = len(self.singular_values)
        condition = np.median(self.condition_numbers()[:, -1])
        known = self.singular_values.shape[-1]
        if self.method == "exact":
            share = np.median(self.share_of_first(0.1)[:, -1])
            text = (
                f"At {self.points[-1]}, the first 10 % of {self.pixels} "
                f"singular values hold {percent(share)} of the energy, and the "
                f"condition number is {condition:.3g} (medians of {count} "
                "images)."
            )
        else:
            share = np.median(self.energy_shares()[:, -1, -1])
            text = (
                f"At {self.points[-1]}, the first {known} of {self.pixels} "
                f"singular values hold {percent(share)} of the energy, "
                f"estimated; the condition number is {condition:.3g} or more "
                f"(medians of {count} images); method='exact' finds all."
            )
        if self.local is not None:
            text += f" {self._conclusion_of_local()}"
        return text

    def _conclusion_of_local(self):
        distances = np.median(self.local.distances, axis=0)
        guess, single, double, explicit = np.median(self.local.errors, axis=0)
        useless = distances[double >= guess]
        near = np.argmin(np.abs(distances - 0.1))
        text = (
            f"An image at a relative distance of {distances[near]:.2g} from "
            "a known one is rebuilt by least squares with the Jacobian to "
            f"{small(single[near])} in float32 and {small(double[near])} in "
            f"float64, by the inverse to {small(explicit[near])}."
        )
        if len(useless):
            text += (
                f" At {len(useless)} of {len(distances)} distances tried, from "
                f"{useless[0]:.2g} to {useless[-1]:.2g}, this is no better "
                "than to take the known image."
            )
        return text
