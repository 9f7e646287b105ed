"""How ill-conditioned inverting a network locally is."""

import dataclasses

import numpy as np

from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.arguments import check_window
from irevnet_tf.analysis.jacobian import Jacobian
from irevnet_tf.analysis.local_inversion import LocalInversion
from irevnet_tf.analysis.local_inversion import invert_locally
from irevnet_tf.analysis.local_inversion import joined
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.network import batches
from irevnet_tf.analysis.result import Result
from irevnet_tf.analysis.singular_values import SpectraAlong
from irevnet_tf.analysis.singular_values import largest
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.pixel_normalization import Normalization

METHODS = ("exact", "svds")
# Pixels of which the whole Jacobian is formed without being asked to.
MOST_COLUMNS = 2048
# Of which whole Jacobians are in memory at a time.
_POINTS_AT_ONCE = 8
DISTANCES = 10.0 ** np.arange(-3, 0.5, 0.5)
SHARES = (0.8, 0.99, 0.996)


@dataclasses.dataclass(frozen=True, eq=False)
class Spectrum(Result):
    """Singular values of a network's Jacobian at images.

    Attributes:
        points: names of the P points.
        depths: int array (P,).
        singular_values: float64 array (images, P, k), falling.
        energy: float64 array (images, P), the sum of the squares of all
            singular values, estimated if `method` is not "exact".
        pixels: how many values of the image vary: there are as many singular
            values.
        method: "exact", or "svds" where only the k largest are known.
        block_gains: float64 array (images, P, 2), the least and the largest
            factor by which the layers since the point before stretch what a
            change of the image has become; NaN unless exact.
        local: the comparison with the inverse at the last point, None unless
            exact.
        normalization: of the images.
    """

    points: tuple[str, ...]
    depths: np.ndarray
    singular_values: np.ndarray
    energy: np.ndarray
    pixels: int
    method: str
    block_gains: np.ndarray
    local: LocalInversion | None
    normalization: Normalization

    def energy_shares(self) -> np.ndarray:
        """Return (images, P, k), the share of energy in the first 1 to k."""
        energy = np.cumsum(self.singular_values**2, axis=-1)
        return energy / self.energy[..., None]

    def share_of_first(self, fraction: float) -> np.ndarray:
        """Return (images, P), the share in the first part of all values.

        NaN if more than the known values are asked for.
        """
        count = max(1, round(fraction * self.pixels))
        if count > self.singular_values.shape[-1]:
            return np.full(self.energy.shape, np.nan)
        return self.energy_shares()[..., count - 1]

    def values_for(self, share: float) -> np.ndarray:
        """Return (images, P), how many values hold a share of the energy.

        NaN where that are more than are known.
        """
        enough = self.energy_shares() >= share - 1e-12  # Of their rounding.
        counts = np.argmax(enough, axis=-1) + 1.0
        return np.where(enough[..., -1], counts, np.nan)

    def condition_numbers(self) -> np.ndarray:
        """Return (images, P), largest by least singular value.

        The least of those that are known, which is a lower bound unless the
        method is exact.
        """
        return self.singular_values[..., 0] / self.singular_values[..., -1]

    def log_volumes(self) -> np.ndarray:
        """Return (images, P), the sum of the values' logarithms.

        0 in a bijective network of additive couplings. NaN unless exact.
        """
        if self.method != "exact":
            return np.full(self.energy.shape, np.nan)
        return np.sum(np.log(self.singular_values), axis=-1)

    def tables(self):
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

    def summary(self):
        gains = np.median(self.block_gains, axis=0)
        columns = {
            "energy in the first 10 %": self.share_of_first(0.1),
            **{
                f"values for {share:.1%}": self.values_for(share)
                for share in SHARES
            },
            "condition number": self.condition_numbers(),
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

    def conclusion(self):
        count = len(self.singular_values)
        condition = np.median(self.condition_numbers()[:, -1])
        known = self.singular_values.shape[-1]
        if self.method == "exact":
            share = np.mean(self.share_of_first(0.1)[:, -1])
            text = (
                f"At {self.points[-1]}, the first 10 % of {self.pixels} "
                f"singular values hold {share:.1%} of the energy, and the "
                f"condition number is {condition:.3g} (mean and median of "
                f"{count} images)."
            )
        else:
            share = np.mean(self.energy_shares()[:, -1, -1])
            text = (
                f"At {self.points[-1]}, the first {known} of {self.pixels} "
                f"singular values hold {share:.1%} of the energy, estimated; "
                f"the condition number is {condition:.3g} or more ({count} "
                "images)."
            )
        if self.local is not None:
            text += f" {self._conclusion_of_local()}"
        return text

    def _conclusion_of_local(self):
        distances = np.median(self.local.distances, axis=0)
        single, double, explicit = np.median(self.local.errors, axis=0)
        useless = distances[double >= distances]
        near = np.argmin(np.abs(distances - 0.1))
        text = (
            f"An image at a relative distance of {distances[near]:.2g} from "
            "a known one is rebuilt by least squares with the Jacobian to "
            f"{single[near]:.1e} in float32 and {double[near]:.1e} in "
            f"float64, by the inverse to {explicit[near]:.1e}."
        )
        if len(useless):
            text += (
                f" From a distance of {useless[0]:.2g} on, the local guess is "
                "worse than none."
            )
        return text


def spectrum(
    model,
    images,
    *,
    points=None,
    method=None,
    count=100,
    window=None,
    batch_size=64,
    preprocessing=None,
    seed=0,
    progress=None,
) -> Spectrum:
    """Compute singular values of the encoder's Jacobian at images.

    Example:

    >>> found = irevnet_tf.analysis.spectrum(model, images[:2])
    >>> found.condition_numbers()

    Args:
        model: any model that `irevnet_tf.encoder` takes.
        images: float array (N, height, width, channels), as it takes them.
        points: optional list of points, as of `irevnet_tf.features`. Defaults
            to all blocks, or to the last one if `method` is not exact.
        method: `"exact"`: all singular values, in float64, from the whole
            matrix, whose size is that of the representation times that of the
            window; `"svds"`: the largest, without the matrix. Defaults to
            `"exact"` for up to 2,048 pixels.
        count: integer. How many singular values `"svds"` looks for.
        window: the part of the image that varies: a side in pixels, for a
            square in the centre, or (top, left, height, width). Defaults to
            all of the image.
        batch_size: integer. Columns of the matrix at a time.
        preprocessing: how the images were scaled, see
            `irevnet_tf.preprocess_input`. Defaults to what the model says.
        seed: of the random directions.
        progress: optional function of how much is done, from 0 to 1.

    Returns:
        A `Spectrum`.

    Raises:
        ValueError: if an argument is out of range, if `model` is no i-RevNet,
            or if TensorFlow's forward mode does not pass it. What
            tf.stop_gradient hides has no derivative.

    Reference:
        Section 3.3 of https://arxiv.org/abs/1802.07088. The method's name
        `exact` is that of plenoptic's `Eigendistortion`.
    """
    network = Network(model, preprocessing)
    images = check_images(images, network)
    window = check_window(window, images.shape[1:3])
    batch_size = check_count(batch_size, "batch_size")
    count = check_count(count, "count")
    pixels = window[2] * window[3] * images.shape[-1]
    if method is None:
        method = "exact" if pixels <= MOST_COLUMNS else "svds"
    if method not in METHODS:
        raise ValueError(
            f"`method` must be None or one of {', '.join(METHODS)}. "
            f"Received: method={method!r}"
        )
    found_points = network.points(points)
    if points is None and method != "exact":
        found_points = found_points[-1:]
    names = tuple(point.name for point in found_points)
    generator = np.random.default_rng(seed)
    steps = StepCounter(progress, len(images) * len(names))
    groups = [
        Jacobian(network, group, window, batch_size, images.shape[1:])
        for group in batches(names, _POINTS_AT_ONCE)
    ]
    values, energies, gains, local = [], [], [], []
    for image in network.on_grid(images):
        if method == "exact":
            spectra = SpectraAlong(pixels)
            for jacobian in groups:
                matrices = jacobian.columns(image)
                for name in jacobian.names:
                    spectra.add(matrices[name])
                    steps.done()
            values.append(spectra.values)
            energies.append(np.sum(np.square(spectra.values), axis=-1))
            gains.append(spectra.gains)
            local.append(
                invert_locally(
                    network,
                    image,
                    matrices[names[-1]],
                    names[-1],
                    window=window,
                    distances=DISTANCES,
                    generator=generator,
                )
            )
        else:
            found = []
            for jacobian in groups:
                for name in jacobian.names:
                    operator = jacobian.operator(image, name)
                    found.append(largest(operator, count, generator))
                    steps.done()
            values.append([one for one, _ in found])
            energies.append([energy for _, energy in found])
            gains.append(np.full((len(names), 2), np.nan))
    return Spectrum(
        points=names,
        depths=np.array([point.depth for point in found_points]),
        singular_values=np.array(values, "float64"),
        energy=np.array(energies, "float64"),
        pixels=pixels,
        method=method,
        block_gains=np.array(gains, "float64"),
        local=joined(local) if local else None,
        normalization=network.normalization,
    )
