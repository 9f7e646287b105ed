"""Checks of the arguments of studies."""

import numbers
import warnings

import numpy as np

from irevnet_tf.analysis.network import Network
from irevnet_tf.layers.base import is_integer

# How far images may leave the range of pixels, where white is 1.
_BEYOND = 0.5


def check_images(images, network: Network, name: str = "images") -> np.ndarray:
    """Return images as an array, as the first invertible layer gets them.

    Raises:
        ValueError: if they are no finite floats, or not of the size that the
            network takes.
    """
    images = np.asarray(images)
    if images.dtype.kind != "f":
        raise ValueError(
            f"`{name}` must be floats as the network takes them; see "
            "`irevnet_tf.preprocess_input`. "
            f"Received: {name} of dtype {images.dtype}"
        )
    shape = network.input_shape
    fits = images.ndim == 4 and all(
        expected in (None, side)
        for expected, side in zip(shape, images.shape[1:], strict=True)
    )
    if not fits or not len(images):
        sides = ", ".join(
            "any" if side is None else str(side) for side in shape
        )
        raise ValueError(
            f"`{name}` must have the shape (N, {sides}), as the network takes "
            f"them. Received: {name} of shape {images.shape}"
        )
    if not np.all(np.isfinite(images)):
        bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        raise ValueError(
            f"`{name}` must be finite. Received: {name} with NaN or infinity "
            f"in {len(bad)} of {len(images)}, the first at index {bad[0]}"
        )
    images = network.entered(images.astype(network.dtype))
    factor = network.chain.downsampling
    if any(side % factor for side in images.shape[1:3]):
        raise ValueError(
            f"`{name}` must have a height and width divisible by {factor}, as "
            f"the network needs it. Received: {name} of shape {images.shape}"
        )
    _warn_of_scale(images, network, name)
    return images


def _warn_of_scale(images, network, name):
    """Warn of images that were not scaled like those of the network."""
    # Per channel, since each channel has its own scale.
    channels = images.shape[-1]
    flat = images.reshape(-1, channels)
    low = float(np.min(network.pixels(np.min(flat, axis=0))))
    high = float(np.max(network.pixels(np.max(flat, axis=0))))
    if low < -_BEYOND or high > 1.0 + _BEYOND:
        warnings.warn(
            f"`{name}` should have values from black to white, as the network "
            "takes them: see `irevnet_tf.preprocess_input`, and "
            "`preprocessing`, which tells how they were scaled. Received: "
            f"{name} from {low:.3g} to {high:.3g}, where black is 0 and white "
            "is 1",
            stacklevel=4,  # The caller of the study.
        )


def check_labels(labels, images, name: str = "labels") -> np.ndarray:
    """Return an int64 array, one label for each image."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise ValueError(
            f"`{name}` must be integers (N,), one for each of the "
            f"{len(images)} images. Received: {name} of shape {labels.shape} "
            f"and dtype {labels.dtype}"
        )
    return labels.astype("int64")


def check_count(value, name: str, smallest: int = 1) -> int:
    """Return `value` as an int of at least `smallest`, else raise."""
    if not is_integer(value, smallest):
        raise ValueError(
            f"`{name}` must be an integer of {smallest} or more. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def check_counts(values, name: str) -> list[int]:
    """Return a list of positive ints, at least one."""
    if not isinstance(values, list | tuple | np.ndarray) or not len(values):
        raise ValueError(
            f"`{name}` must be a list of one positive integer or more. "
            f"Received: {name}={values!r}"
        )
    return [check_count(value, name) for value in values]


def check_seed(seed) -> int:
    """Return `seed` as an int that all generators accept."""
    return check_count(seed, "seed", 0)


def require_differences(x, name: str) -> None:
    """Raise ValueError if all rows are equal, and cannot be analysed."""
    if not np.any(np.ptp(x, axis=0)):
        raise ValueError(
            "`images` must have different representations. Received: "
            f"{len(x)} images that are equal at {name}"
        )


def check_window(window, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of a window in an image.

    Args:
        window: None, int or sequence of four ints. None for the whole image, an
            int for a square in its centre, or (top, left, height, width), in
            pixels.
        size: pair of ints. Height and width of the image.

    Raises:
        ValueError: if it is none of these, or not inside the image.
    """
    if window is None:
        return (0, 0, *size)
    given = window
    if is_integer(window):
        top, left = ((side - window) // 2 for side in size)
        window = (top, left, window, window)
    is_box = (
        isinstance(window, tuple | list)
        and len(window) == 4
        and all(isinstance(side, numbers.Integral) for side in window)
    )
    if not is_box or not (
        window[0] >= 0
        and window[1] >= 0
        and window[2] >= 1
        and window[3] >= 1
        and window[0] + window[2] <= size[0]
        and window[1] + window[3] <= size[1]
    ):
        raise ValueError(
            "`window` must be a side in pixels, or (top, left, height, "
            f"width), inside of the image of {size[0]}x{size[1]} pixels. "
            f"Received: window={given!r}"
        )
    return tuple(map(int, window))


def check_class_names(names, head) -> tuple[str, ...]:
    """Return the name of every class, its number if there are no names.

    Args:
        names: None or list of strs. The names that the user gave.
        head: None or `Head`. The classifier, None if there is none.
    """
    count = 0 if head is None else head.classes
    if names is None:
        return tuple(map(str, range(count)))
    is_list = isinstance(names, list | tuple | np.ndarray)
    if not is_list or (count and len(names) != count):
        raise ValueError(
            f"`class_names` must be the names of {count} classes. "
            f"Received: class_names={names!r}"
        )
    return tuple(map(str, names))
