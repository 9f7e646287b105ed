"""interpolation: decodes straight lines between representations."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np

from irevnet_tf.analysis.arguments import check_class_names
from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.lines import SPACINGS
from irevnet_tf.analysis.lines import Interpolation
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.network import batches
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.preprocessing import Normalization
from irevnet_tf.reconstruction import relative_errors

# The line is first decoded at `_FINE` places, then at the wanted number of
# places, moved until their distances differ by less than `_EVEN` of the mean.
_FINE = 33
_EVEN = 0.02
_ROUNDS = 20


def interpolation(
    model: keras.Model,
    starts: np.ndarray,
    ends: np.ndarray,
    *,
    point: int | str | None = None,
    steps: int = 9,
    spacing: str = "pixels",
    class_names: Sequence[str] | None = None,
    batch_size: int = 64,
    preprocessing: str | Normalization | None = None,
    progress: Callable[[float], object] | None = None,
) -> Interpolation:
    """Decode straight lines between the representations of pairs of images.

    The line begins and ends with the images themselves; in lossless mode they
    are equal to the last bit to the images as rounded to the grid.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 4)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.interpolation(
    ...     model, images[:2], images[2:]
    ... )
    >>> found.images.shape  # (pairs, steps, height, width, channels)
    (2, 9, 8, 8, 1)

    Args:
        model: Keras model. Any model that `irevnet_tf.encoder` takes.
        starts: float array (pairs, height, width, channels). Images as the
            model takes them.
        ends: float array of the same shape. The images at the other ends.
        point: None, int or str. The point whose representations are joined, as
            in `irevnet_tf.encoder`. Defaults to the last one.
        steps: int, 2 or more. How many images each line has.
        spacing: str. `"pixels"`: decoded images are equally far apart, which
            the paper found by hand; `"linear"`: representations are.
        class_names: None or list of strs. The names of the classes.
        batch_size: positive int. Images at a time.
        preprocessing: None, str or `Normalization`. How the images were scaled,
            see `irevnet_tf.preprocess_input`. Defaults to what the model says.
        progress: None or function. Called with the share that is done, from 0
            to 1.

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
        bijective=ends_of_line[0].size == starts[0].size,
        class_names=names,
        normalization=network.normalization,
    )


def _line(ends, t):
    """Return points on a straight line; its ends are exact."""
    t = t.reshape(-1, *[1] * (ends.ndim - 1)).astype(ends.dtype)
    return (1 - t) * ends[:1] + t * ends[1:]


def _evenly(decode, count):
    """Return positions on a line whose decoded images are equally far apart."""
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
