"""The picture of a comparison: training loss by epoch, and accuracies."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from irevnet_tf.analysis.drawing import finish
from irevnet_tf.analysis.drawing import new_figure
from irevnet_tf.apps.comparing.runs import Run
from irevnet_tf.apps.comparing.table import Row

_DASHES = ("-", "--", "-.", ":")


def comparison_figure(runs: dict[str, list[Run]], rows: list[Row]) -> Figure:
    """Draw training losses, and the test accuracy of every seed.

    Args:
        runs: dict {network: list of `Run`}. The finished runs.
        rows: list of `Row`. The table, in the same order.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(9.5, 4.2)
    losses, accuracies = figure.subplots(1, 2)
    colors = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(runs)))
    for index, (network, of_network) in enumerate(runs.items()):
        curves = np.array([[x["loss"] for x in run.rows] for run in of_network])
        epochs = np.arange(1, curves.shape[1] + 1)
        style = {
            "color": colors[index],
            "linestyle": _DASHES[index % len(_DASHES)],
        }
        losses.plot(epochs, curves.mean(axis=0), label=network, **style)
        losses.fill_between(
            epochs,
            curves.min(axis=0),
            curves.max(axis=0),
            color=colors[index],
            alpha=0.15,
            linewidth=0,
        )
        found = 100 * np.array(rows[index].accuracies)
        accuracies.plot(
            found, np.full(len(found), index), "o", color=colors[index], ms=4
        )
        accuracies.plot(
            [found.mean()], [index], "|", color=colors[index], ms=18
        )
    losses.set_yscale("log")
    losses.legend(frameon=False, fontsize=8)
    finish(losses, "Training loss, mean and range of the seeds", "epoch", "")
    losses.tick_params(which="both", labelsize=8)
    accuracies.set_yticks(range(len(rows)), [row.network for row in rows])
    accuracies.invert_yaxis()
    finish(accuracies, "Test accuracy of each seed, and their mean", "%", "")
    return figure
