"""The figure of `analysis.separation`."""

import numpy as np
from matplotlib.figure import Figure

from irevnet_tf.analysis.drawing import finish
from irevnet_tf.analysis.drawing import new_figure
from irevnet_tf.analysis.separations import Separation


def draw_separation(result: Separation) -> Figure:
    """Draw accuracies and distances against depth.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 200)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.separation(
    ...     model, images[:100], labels[:100], images[100:], labels[100:],
    ...     points=[1, 3], draws=1)
    >>> figure = irevnet_tf.analysis.draw_separation(found)
    >>> figure.savefig("separation.png")

    Args:
        result: `Separation`. What `separation` returned. Bars show the standard
            deviation over the draws.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(width=9.5, height=4.0)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    curves = [("", result.accuracy, "k")]
    if result.untrained is not None:
        curves.append((", untrained", result.untrained, "0.6"))
    for suffix, accuracy, color in curves:
        for c, marker in enumerate("os"):
            left.errorbar(
                result.depths,
                np.mean(accuracy[:, c], axis=-1),
                np.std(accuracy[:, c], axis=-1),
                color=color,
                marker=marker,
                mfc="w" if c else color,
                linestyle="--" if c else "-",
                capsize=2,
                label=f"{result.classifiers[c]}{suffix}",
            )
    for c, style in enumerate((":", "-.")):
        left.axhline(
            np.mean(result.pixels[c]),
            color="0.4",
            linestyle=style,
            linewidth=1.0,
            label=f"{result.classifiers[c]}, pixels",
        )
    if result.head_accuracy is not None:
        left.plot(
            result.depths[-1] + 0.4,
            result.head_accuracy,
            "k*",
            ms=11,
            label="network's own head",
        )
    finish(left, "separation", "depth in blocks", "accuracy on test images")
    left.legend(fontsize=7, frameon=False, ncols=2, loc="lower right")
    right.plot(result.depths, result.between, "k^--", mfc="w", label="between")
    right.plot(result.depths, result.within, "ko-", label="within")
    right.set_ylim(bottom=0.0)
    finish(
        right,
        "contraction",
        "depth in blocks",
        "mean distance of two images of classes",
    )
    right.legend(fontsize=8, frameon=False, loc="lower right")
    for axis in (left, right):
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure
