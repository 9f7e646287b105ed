"""The figure of `analysis.dimensionality`."""

import numpy as np
from matplotlib.figure import Figure

from irevnet_tf.analysis.dimensionality import Dimensionality
from irevnet_tf.analysis.drawing import finish
from irevnet_tf.analysis.drawing import line_styles
from irevnet_tf.analysis.drawing import new_figure


def draw_dimensionality(result: Dimensionality) -> Figure:
    """Draw accuracies and variance against the number of components.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 200)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.dimensionality(
    ...     model, images[:100], labels[:100], images[100:], labels[100:]
    ... )
    >>> figure = irevnet_tf.analysis.draw_dimensionality(found)
    >>> figure.savefig("dimensionality.png")

    Args:
        result: `Dimensionality`. What `dimensionality` returned.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(width=9.5, height=4.0)
    left, right = figure.subplots(1, 2)
    styles = line_styles(len(result.points))
    for p, (style, point) in enumerate(zip(styles, result.points, strict=True)):
        for c, marker in enumerate("os"):
            left.plot(
                result.components[p],
                result.accuracy[p][:, c],
                **style,
                marker=marker,
                mfc="w" if c else style["color"],
                ms=4,
                label=f"{point}, {result.classifiers[c]}",
            )
        shares = result.variance[p]
        right.plot(np.arange(1, len(shares) + 1), shares, **style, label=point)
    right.set_ylim(0.0, 1.02)
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.legend(fontsize=7, frameon=False, loc="lower right")
    finish(left, "accuracy", "principal components", "accuracy on test images")
    finish(right, "variance", "principal components", "share of the variance")
    return figure
