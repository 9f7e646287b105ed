"""The figure of `analysis.inversion`."""

import numpy as np
from matplotlib.figure import Figure

from irevnet_tf.analysis.drawing import ZERO_UP_TO
from irevnet_tf.analysis.drawing import finish
from irevnet_tf.analysis.drawing import new_figure
from irevnet_tf.analysis.drawing import show_images
from irevnet_tf.analysis.inversion import Inversion
from irevnet_tf.analysis.network import to_pixels
from irevnet_tf.pictures import amplification
from irevnet_tf.pictures import difference_label


def draw_inversion(result: Inversion) -> Figure:
    """Draw errors against depth, and reconstructions stage by stage.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 8)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.inversion(model, images, points=[1, 2])
    >>> figure = irevnet_tf.analysis.draw_inversion(found)
    >>> figure.savefig("inversion.png")

    Args:
        result: `Inversion`. What `inversion` returned.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(width=10.0, height=3.0 + 0.8 * len(result.shown_points))
    left, right = figure.subfigures(1, 2, width_ratios=(2, 3))
    axis = left.subplots()
    markers = iter("os^Dvx")
    for m, mode in enumerate(result.modes):
        for kind in result.kinds():
            errors = [
                result.worst(m, p, kind) for p in range(len(result.points))
            ]
            axis.plot(
                result.depths,
                errors,
                f"k{next(markers)}-",
                mfc="w" if mode == "ordinary" else "k",
                linewidth=0.8,
                label=f"{mode}, {kind}",
            )
    axis.set_yscale("symlog", linthresh=ZERO_UP_TO)
    axis.set_ylim(-ZERO_UP_TO / 5)
    axis.xaxis.get_major_locator().set_params(integer=True)
    finish(
        axis,
        "worst reconstruction",
        "depth in blocks",
        r"largest $\|x - x'\|_2 \,/\, \|x\|_2$",
    )
    axis.legend(fontsize=7, frameon=False)
    _draw_pictures(right, result)
    return figure


def _draw_pictures(figure, result):
    originals = to_pixels(result.normalization, result.originals)
    rebuilt = to_pixels(result.normalization, result.reconstructions)
    difference = np.mean(np.abs(originals - rebuilt[-1]), axis=-1)
    digit, exponent = amplification(difference, 1.0)
    rows = {
        "original": originals,
        **dict(zip(result.shown_points, rebuilt, strict=True)),
        difference_label(digit, exponent): difference * digit * 10.0**exponent,
    }
    show_images(
        figure, rows, title=f"rebuilt from, in {result.shown_mode} mode"
    )
