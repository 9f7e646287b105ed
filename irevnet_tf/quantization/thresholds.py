"""BatchNorm and ReLU as a threshold, a gain, and steps of activations."""

import dataclasses

import keras
import numpy as np

# Ranges that are tried, as parts of the largest value seen.
PARTS = (1.0, 0.93, 0.86, 0.8, 0.74, 0.68, 0.62, 0.55, 0.48, 0.4, 0.3, 0.2)
# How many values of each channel are looked at.
SAMPLE = 20_000


@dataclasses.dataclass(frozen=True)
class Threshold:
    """relu(BatchNorm(x)) = gain * relu(sign * (x - threshold)), by channel.

    Attributes:
        gain: float64 array (channels,). 0 or more; 0 for a channel that is
            constant.
        sign: float64 array (channels,). 1 or -1.
        threshold: float64 array (channels,). 0 where the gain is.
        constant: float64 array (channels,). The value where the gain is 0.
    """

    gain: np.ndarray
    sign: np.ndarray
    threshold: np.ndarray
    constant: np.ndarray

    @classmethod
    def of(cls, norm: keras.Layer) -> "Threshold":
        """Return the threshold of a built BatchNorm, as it infers."""
        mean = norm.moving_mean.numpy().astype("float64")
        variance = norm.moving_variance.numpy().astype("float64")
        factor = 1.0 / np.sqrt(variance + norm.epsilon)
        beta = np.zeros_like(mean)
        if norm.scale:
            factor = factor * norm.gamma.numpy()
        if norm.center:
            beta = norm.beta.numpy().astype("float64")
        moves = factor != 0.0
        threshold = mean - beta / np.where(moves, factor, 1.0)
        return cls(
            np.abs(factor),
            np.where(factor < 0, -1.0, 1.0),
            np.where(moves, threshold, 0.0),
            np.maximum(beta, 0.0),
        )

    def excess(self, x: np.ndarray) -> np.ndarray:
        """Return relu(sign * (x - threshold)): the activation, less its gain.

        Args:
            x: float array (..., channels). What the BatchNorm takes.
        """
        return np.maximum(self.sign * (x - self.threshold), 0.0)


def sample(x: np.ndarray) -> np.ndarray:
    """Return some values of every channel, float64 (values, channels).

    Args:
        x: float array (..., channels). All values.
    """
    rows = x.reshape(-1, x.shape[-1])
    # A stride without common factors with the sides of images.
    stride = max(1, len(rows) // SAMPLE) | 1
    return rows[::stride].astype("float64")


def best_range(values: np.ndarray, largest: int) -> np.ndarray:
    """Return to what value each channel's activations should reach.

    Larger values are clipped, smaller ones rounded to the range's `largest`-th
    part: the range with the least squared error is taken.

    Args:
        values: float64 array (values, channels). Samples, 0 or more.
        largest: int. The largest integer of an activation.

    Returns:
        float64 array (channels,); 0 for a channel without values above 0.
    """
    peaks = values.max(axis=0)
    ranges = np.outer(PARTS, peaks)
    errors = [squared_error(values, x / largest, largest) for x in ranges]
    return ranges[np.argmin(errors, axis=0), np.arange(len(peaks))]


def squared_error(values, step, largest, least=0) -> np.ndarray:
    """Return the mean squared error of rounding to multiples of a step.

    Args:
        values: float64 array (values, channels). What is rounded.
        step: float64 array (channels,). The steps, 0 for channels of zeros.
        largest: int. The largest multiple.
        least: int. The least multiple.
    """
    step = np.where(step > 0, step, 1.0)
    rounded = np.clip(np.rint(values / step), least, largest) * step
    return np.mean(np.square(values - rounded), axis=0)
