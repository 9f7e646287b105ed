"""The figure of `analysis.interpolation`, and its animation."""

import numpy as np
from matplotlib.figure import Figure

from irevnet_tf.analysis.drawing import new_figure
from irevnet_tf.analysis.drawing import show_images
from irevnet_tf.analysis.lines import Interpolation
from irevnet_tf.analysis.network import to_pixels

# Pairs in the figure, and classes of each picture in the table.
_SHOWN = 6


def draw_interpolation(result: Interpolation) -> Figure:
    """Draw each line, decoded, above the line in pixels.

    Under each picture stand the most probable class and its probability.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 2)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.interpolation(
    ...     model, images[:1], images[1:]
    ... )
    >>> figure = irevnet_tf.analysis.draw_interpolation(found)
    >>> figure.savefig("interpolation.png")

    Args:
        result: `Interpolation`. What `interpolation` returned; at most six
            pairs are drawn.

    Returns:
        A matplotlib `Figure`.
    """
    rows, captions = {}, []
    for pair in range(min(_SHOWN, len(result.t))):
        for kind, images, probabilities in (
            ("decoded", result.images, result.probabilities),
            ("pixels", result.pixel_images, result.pixel_probabilities),
        ):
            rows[f"{pair}: {kind}"] = to_pixels(
                result.normalization, images[pair]
            )
            captions.append(
                [""] * len(images[pair])
                if probabilities is None
                else [
                    f"{result.class_names[np.argmax(row)]} {np.max(row):.0%}"
                    for row in probabilities[pair]
                ]
            )
    figure = new_figure(
        width=1.0 + 1.05 * result.t.shape[1], height=0.4 + 1.25 * len(rows)
    )
    shown = min(_SHOWN, len(result.t))
    title = (
        f"lines between representations at {result.point}, pairs 0 to "
        f"{shown - 1} of {len(result.t)}, range clipped"
    )
    show_images(figure, rows, title=title, captions=captions)
    return figure


def interpolation_frames(result: Interpolation) -> list[np.ndarray]:
    """Return an animation: all pairs side by side, there and back.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 2)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.interpolation(
    ...     model, images[:1], images[1:], steps=5
    ... )
    >>> len(irevnet_tf.analysis.interpolation_frames(found))
    8

    Args:
        result: `Interpolation`. What `interpolation` returned.

    Returns:
        A list of uint8 arrays (height, width of all), or with three channels
        for colour. Pixels out of range are clipped.
    """
    pixels = np.clip(to_pixels(result.normalization, result.images), 0.0, 1.0)
    pixels = np.rint(pixels * 255.0).astype("uint8")
    if pixels.shape[-1] != 3:
        pixels = pixels[..., :1]
    strips = [
        np.concatenate(list(step), axis=1) for step in pixels.swapaxes(0, 1)
    ]
    strips = [
        strip[..., 0] if strip.shape[-1] == 1 else strip for strip in strips
    ]
    return strips + strips[-2:0:-1]
