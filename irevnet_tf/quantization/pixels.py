"""Images for a calibration, and the range and rounding of their pixels."""

import warnings

import numpy as np

from irevnet_tf.layers import PixelRange
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.preprocessing import Normalization
from irevnet_tf.quantization.bits import Bits

# As many as an ordinary batch.
LEAST_IMAGES = 32
# No normalised pixel is so large, as far as it is known.
RAW = 15.0
# Offsets that are tried, in units of the grid.
OFFSETS = np.arange(-230, 231, dtype="float32") / 512


def check_images(images, shape: tuple) -> np.ndarray:
    """Return the images of a calibration, float32.

    Args:
        images: any. What the user gave.
        shape: tuple. The network's input shape.

    Raises:
        ValueError: if they are no such images.
    """
    if images is None:
        raise ValueError(
            "`images` must be training images, on which the network is "
            "calibrated. Received: images=None"
        )
    try:
        images = np.asarray(images)
    except ValueError as error:
        raise ValueError(
            "`images` must be one array, all of one size. Received: images of "
            f"type {type(images)}"
        ) from error
    fits = (
        images.dtype.kind in "fiu"
        and images.ndim == 4
        and all(
            side in (None, own)
            for side, own in zip(shape[1:], images.shape[1:], strict=True)
        )
    )
    if not fits:
        raise ValueError(
            f"`images` must be an array of images {tuple(shape)}, as the "
            f"network takes them. Received: images of dtype={images.dtype}, "
            f"shape={images.shape}"
        )
    if len(images) < LEAST_IMAGES:
        raise ValueError(
            f"`images` must be at least {LEAST_IMAGES}; 512 are plenty. "
            f"Received: {len(images)} images"
        )
    images = images.astype("float32")
    if not np.all(np.isfinite(images)):
        raise ValueError(
            "`images` must be finite. Received: images with NaN or infinity"
        )
    if np.all(images == images[:1]):
        raise ValueError(
            "`images` must differ from each other, to show what values the "
            f"network meets. Received: {len(images)} times the same image"
        )
    return images


def pixel_range_of(given, preprocessing: str | None, images: np.ndarray):
    """Return the least and the largest value of a pixel.

    Args:
        given: any. What the user gave; None for the default.
        preprocessing: None or str. How images are scaled.
        images: float32 array. The images of the calibration.

    Raises:
        ValueError: if it is no range, or images are beyond it.
    """
    if preprocessing is not None and preprocessing not in PREPROCESSING:
        raise ValueError(
            "`model.preprocessing` must be None or one of "
            f"{', '.join(map(repr, PREPROCESSING))}. Received: "
            f"model.preprocessing={preprocessing!r}"
        )
    if given is None and preprocessing is not None:
        given = PREPROCESSING[preprocessing].value_range
    elif given is None:
        given = (images.min(), images.max())
        if max(map(abs, given)) > RAW:
            raise ValueError(
                "`images` must be normalised as in training; if they are, give "
                "`pixel_range`. Received: images that look like raw pixels, "
                f"from {given[0]:g} to {given[1]:g}"
            )
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            "`pixel_range` must be the least and the largest value of a "
            f"pixel, finite. Received: pixel_range={given!r}"
        )
    slack = 1e-4 * (high - low)
    if images.min() < low - slack or images.max() > high + slack:
        raise ValueError(
            f"`images` must be normalised as for the network, {low:g} to "
            f"{high:g}; `pixel_range` sets another range. Received: images "
            f"from {images.min():g} to {images.max():g}"
        )
    # Normalised in another order, they may be beyond it by some rounding.
    return min(low, float(images.min())), max(high, float(images.max()))


def pixel_offset(
    preprocessing: str | None, channels: int, bits: Bits
) -> np.ndarray:
    """Return where to round pixels, so that none of 8 bits is near a tie.

    Runtimes normalise in other orders, and find floats that are off by up to
    0.014 steps of a grid of 14 bits. For all of those the nearest step is to
    be the same one. With more bits, there may be no such offset.

    Args:
        preprocessing: None or str. How images are scaled, if known.
        channels: int. Channels of the images.
        bits: `Bits`. They have the grid.

    Returns:
        float32 array (channels,), in steps of the grid, below 1/2.
    """
    if preprocessing not in PREPROCESSING:
        return np.zeros(channels)
    scale = PREPROCESSING[preprocessing]
    values = _normalized(scale) * np.float32(2.0**bits.fraction_bits)
    # By offset, order, value and channel, as the network computes them.
    sums = values + OFFSETS[:, None, None, None]
    steps = np.rint(sums)
    agree = np.all(steps == steps[:, :1], axis=(1, 2))
    margins = np.abs(sums % 1.0 - 0.5).min(axis=(1, 2))
    best = np.argmax(np.where(agree, margins, margins - 1.0), axis=0)
    # Where nothing is taken off, values are thirds, fifths, seventeenths of a
    # step: nothing is farther from ties than without an offset.
    zero = np.argmin(np.abs(OFFSETS))
    best = np.where((np.array(scale.mean) == 0) & agree[zero], zero, best)
    return np.broadcast_to(OFFSETS[best], (channels,))


def check_export_range(
    entrance: PixelRange, scale: Normalization, is_given: bool
) -> None:
    """Compare how an export scales images with what a network was made for.

    Args:
        entrance: `PixelRange`, or what shares it. The network's first layer.
        scale: `Normalization`. How the export scales images.
        is_given: bool. Whether the user said so, or the model.

    Raises:
        ValueError: if nobody said so, and the range is another one.

    Warns:
        UserWarning: if the range is another one, or runtimes may round values
            of 8 bits to different steps.
    """
    entrance = getattr(entrance, "layer", entrance)
    low, high = entrance.bounds.numpy()
    found = scale.value_range
    width = high - low
    if np.max(np.abs(np.subtract(found, (low, high)))) > 0.02 * width:
        message = (
            f"The network was made portable for images from {low:.4g} to "
            f"{high:.4g}, and `preprocessing` is to scale them to that. "
            f"Received: preprocessing that makes {found[0]:.4g} to "
            f"{found[1]:.4g}"
        )
        if not is_given:
            raise ValueError(f"{message}, the default")
        warnings.warn(message, stacklevel=4)
        return
    values = _normalized(scale) * np.float32(2.0**entrance.fraction_bits)
    steps = np.rint(values + entrance.offset.numpy())
    count = np.any(steps != steps[:1], axis=0).sum()
    if count:
        warnings.warn(
            "Representations may differ between runtimes, which round some "
            "pixels to different steps, since the network was not made "
            "portable for this `preprocessing`: set `model.preprocessing` "
            f"before `irevnet_tf.portable`. Received: {count} of the values of "
            "8 bits too near to a tie",
            stacklevel=4,
        )


def _normalized(scale: Normalization) -> np.ndarray:
    """Return all normalised pixels, computed in the orders that runtimes have.

    Returns:
        float32 array (orders, values, channels).
    """
    exact = np.arange(scale.maximum + 1)[:, None]
    raw = exact.astype("float32")
    top = np.float32(scale.maximum)
    mean, std = np.array(scale.mean, "float32"), np.array(scale.std, "float32")
    factor = 1 / (std * top)
    found = [
        ((exact / scale.maximum) - scale.mean) / scale.std,
        (raw - mean * top) / (std * top),
        (raw - mean * top) * factor,
        raw * factor - mean / std,
        exact * factor.astype("float64") - mean / std,
    ]
    # Divisions by constants become products.
    for unit in (raw / top, raw * (1 / top)):
        found += [
            (unit - mean) / std,
            (unit - mean) * (1 / std),
            unit * (1 / std) - mean / std,
            # Rounded once.
            unit.astype("float64") * (1 / std) - mean / std,
        ]
    return np.stack([x.astype("float32") for x in found])
