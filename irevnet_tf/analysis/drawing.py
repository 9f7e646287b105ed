"""Drawing helpers for the figures of all studies."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from irevnet_tf.pictures import draw_picture

# Logarithmic axes with a zero are linear up to this value.
ZERO_UP_TO = 1e-8
_MOST_LABELS = 10
_DASHES = ("-", "--", "-.", ":")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; width and height are in inches."""
    return Figure(figsize=(width, height), dpi=130, layout="constrained")


def line_styles(count: int) -> list[dict]:
    """Return arguments of `Axes.plot` for curves that differ in gray, too.

    They go from dark to light, in the order of depth.
    """
    colors = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, count))
    return [
        {"color": color, "linestyle": _DASHES[index % 4], "linewidth": 1.4}
        for index, color in enumerate(colors)
    ]


def few_labels(names) -> list[str | None]:
    """Return names for a legend; of many names only some, evenly spread."""
    kept = np.linspace(0, len(names) - 1, _MOST_LABELS).round().astype(int)
    return [
        name if index in kept or len(names) <= _MOST_LABELS else None
        for index, name in enumerate(names)
    ]


def finish(axis, title: str, xlabel: str, ylabel: str) -> None:
    """Label an axis, add a grid, and remove the upper and right lines."""
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(xlabel, fontsize=9)
    axis.set_ylabel(ylabel, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def show_images(figure, rows: dict, *, title: str, captions=None) -> None:
    """Draw rows of pictures with a label each.

    Args:
        figure: matplotlib `Figure` or `SubFigure`. Where to draw.
        rows: dict {label: float array}. Images (N, height, width, channels), or
            magnitudes (N, height, width), from 0 for black to 1. Other than 1
            or 3 channels are shown by their mean.
        title: str. The text above all.
        captions: None or list of lists of strs. For each row the texts under
            its pictures.
    """
    columns = max(map(len, rows.values()))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    figure.suptitle(title, fontsize=10)
    for index, (axes, (label, pictures)) in enumerate(
        zip(grid, rows.items(), strict=True)
    ):
        axes[0].set_ylabel(label.replace("_", "\n"), fontsize=8)
        for column, (axis, picture) in enumerate(
            zip(axes, pictures, strict=False)
        ):
            draw_picture(axis, as_picture(picture))
            if captions is not None:
                axis.set_xlabel(captions[index][column], fontsize=6.5)
        for axis in axes[len(pictures) :]:
            axis.set_visible(False)


def as_picture(image: np.ndarray) -> np.ndarray:
    """Return an image with 1 or 3 channels: the mean of any other number."""
    if image.ndim == 3 and image.shape[-1] not in (1, 3):
        return np.mean(image, axis=-1, keepdims=True)
    return image
