"""The figure of `analysis.spectrum`."""

import numpy as np
from matplotlib.figure import Figure

from irevnet_tf.analysis.drawing import ZERO_UP_TO
from irevnet_tf.analysis.drawing import few_labels
from irevnet_tf.analysis.drawing import finish
from irevnet_tf.analysis.drawing import line_styles
from irevnet_tf.analysis.drawing import new_figure
from irevnet_tf.analysis.drawing import show_images
from irevnet_tf.analysis.network import to_pixels
from irevnet_tf.analysis.spectra import Spectrum
from irevnet_tf.analysis.words import small

# The distance of the neighbour in the figure.
_DRAWN_DISTANCE = 0.3


def draw_spectrum(result: Spectrum) -> Figure:
    """Draw the spectra, where they come from, and what follows from them.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 2)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.spectrum(model, images, points=["stage1"])
    >>> figure = irevnet_tf.analysis.draw_spectrum(found)
    >>> figure.savefig("spectrum.png")

    Args:
        result: `Spectrum`. What `spectrum` returned. Of several images, medians
            are drawn.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(width=9.0, height=7.0 if result.local is None else 9.0)
    if result.local is None:
        axes = figure.subplots(2, 2).flat
        axes[3].set_visible(False)
    else:
        upper, lower = figure.subfigures(2, 1, height_ratios=(7, 2))
        axes = upper.subplots(2, 2).flat
        _draw_local(axes[3], result.local)
        _draw_rebuilt(lower, result)
    _draw_values(axes[0], result)
    _draw_energy(axes[1], result)
    _draw_depth(axes[2], result)
    return figure


def _draw_values(axis, result):
    spectra = np.median(result.singular_values, axis=0)
    positions = np.arange(1, spectra.shape[-1] + 1)
    labels = few_labels(result.points)
    for style, label, values in zip(
        line_styles(len(spectra)), labels, spectra, strict=True
    ):
        axis.plot(positions, values / values[0], **style, label=label)
    axis.set_yscale("log")
    finish(axis, "singular values", "index", r"$\sigma_i \,/\, \sigma_1$")
    axis.legend(fontsize=7, frameon=False, ncols=2)


def _draw_energy(axis, result):
    shares = np.median(result.energy_shares(), axis=0)
    positions = np.arange(1, shares.shape[-1] + 1)
    for style, share in zip(line_styles(len(shares)), shares, strict=True):
        axis.plot(positions, share, **style)
    axis.axvline(result.pixels / 10, color="0.6", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_ylim(0.0, 1.02)
    finish(
        axis,
        f"energy in the first of {result.pixels} (line: 10 %)",
        "number of singular values",
        "share of the sum of squares",
    )


def _draw_depth(axis, result):
    depths = result.depths
    conditions = np.median(result.condition_numbers(), axis=0)
    axis.plot(depths, conditions, "ks-", label="condition number up to here")
    low, high = np.median(result.block_gains, axis=0).T
    if np.all(np.isfinite(low)):
        axis.plot(depths, high, "k^--", mfc="w", label="block: largest gain")
        axis.plot(depths, low, "kv:", mfc="w", label="block: least gain")
    axis.set_yscale("log")
    axis.xaxis.get_major_locator().set_params(integer=True)
    finish(axis, "where it comes from", "depth in blocks", "factor")
    axis.legend(fontsize=7, frameon=False)


def _draw_local(axis, local):
    errors = np.median(local.errors, axis=0)
    distances = np.median(local.distances, axis=0)
    styles = ("-", "o--", "s:", "D-")
    for style, method, values in zip(
        styles, local.methods, errors, strict=True
    ):
        color = "0.6" if method == local.methods[0] else "k"
        axis.plot(distances, values, style, c=color, mfc="w", label=method)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=ZERO_UP_TO)
    axis.set_ylim(-ZERO_UP_TO / 2, 3.0 * np.max(errors))
    finish(
        axis,
        "an image rebuilt, knowing a neighbour",
        "relative distance of the neighbour",
        "relative error",
    )
    axis.legend(fontsize=7, frameon=False)


def _draw_rebuilt(figure, result):
    """Draw a known image, a neighbour, and the neighbour rebuilt."""
    local = result.local
    size = np.argmin(np.abs(local.distances[0] - _DRAWN_DISTANCE))
    pictures = [local.known[0], local.neighbours[0, size]]
    pictures += list(local.rebuilt[0, 1:, size])
    captions = [
        local.methods[0],
        f"neighbour, at {local.distances[0, size]:.2f}",
        *(
            f"{method}: {small(error)}"
            for method, error in zip(
                local.methods[1:], local.errors[0, 1:, size], strict=True
            )
        ),
    ]
    pixels = to_pixels(result.normalization, np.array(pictures))
    title = "the neighbour, rebuilt from its representation"
    show_images(figure, {"": pixels}, title=title, captions=[captions])
