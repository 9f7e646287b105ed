"""Pictures of reconstructions, and of training curves."""

import math
import os
import pathlib

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from irevnet_tf.atomic import replacing
from irevnet_tf.reconstruction import relative_errors

FORMATS = (".pdf", ".png", ".svg")


def amplification(differences: np.ndarray, span: float) -> tuple[int, int]:
    """Return a round factor by which differences still fit a range.

    Args:
        differences: float array. Absolute differences.
        span: float. White minus black, in the units of `differences`.

    Returns:
        Digit 1, 2 or 5 and exponent n of the largest such factor, at least
        1, with `differences * digit * 10**n <= span`; (1, 0) if there is no
        difference at all.
    """
    largest = float(np.max(differences))
    if not 0.0 < largest < span:
        return 1, 0
    # Close to a power of ten the logarithm may be rounded across it, so both
    # sides are tried.
    near = math.floor(math.log10(span / largest))
    exponent, digit = max(
        (exponent, digit)
        for exponent in range(max(0, near - 1), near + 2)
        for digit in (1, 2, 5)
        if largest * digit * 10.0**exponent <= span
    )
    return digit, exponent


def inversion_figure(
    images: np.ndarray,
    reconstructions: np.ndarray,
    *,
    value_range: tuple[float, float],
    captions: list[str],
    title: str,
) -> Figure:
    """Draw one column for each image: itself, rebuilt, and the difference.

    The third row shows absolute differences (their mean over the channels),
    multiplied by the factor in the row's label. Under each stands the
    relative error of that image's reconstruction.

    Args:
        images: float array (N, height, width, 1 or 3). The originals.
        reconstructions: float array of the same shape. What came back.
        value_range: pair of floats. The values that stand for black and for
            white.
        captions: list of strs. The text above each column.
        title: str. The text above the whole.

    Returns:
        A matplotlib `Figure`.

    Raises:
        ValueError: if the arguments do not fit each other.
    """
    if images.shape != reconstructions.shape:
        raise ValueError(
            "`images` and `reconstructions` must have the same shape. "
            f"Received: images.shape={images.shape}, "
            f"reconstructions.shape={reconstructions.shape}"
        )
    if len(images) == 0 or len(images) != len(captions):
        raise ValueError(
            "`images` and `captions` must be of equal length and not empty. "
            f"Received: len(images)={len(images)}, "
            f"len(captions)={len(captions)}"
        )
    black, white = value_range
    span = white - black
    differences = np.mean(np.abs(images - reconstructions), axis=-1)
    digit, exponent = amplification(differences, span)
    differences = differences / span * digit * 10.0**exponent
    rows = {
        "original": (images - black) / span,
        "rebuilt": (reconstructions - black) / span,
        difference_label(digit, exponent): differences,
    }
    figure = Figure(
        # At least wide enough for the title.
        figsize=(max(7.0, 1.1 * len(images) + 1.2), 4.5),
        dpi=160,
        layout="constrained",
    )
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(rows), len(images), squeeze=False)
    for axes, (label, pictures) in zip(grid, rows.items(), strict=True):
        axes[0].set_ylabel(label, fontsize=10, labelpad=6)
        for axis, picture in zip(axes, pictures, strict=True):
            draw_picture(axis, picture)
    errors = relative_errors(images, reconstructions)
    for axis, caption in zip(grid[0], captions, strict=True):
        axis.set_title(caption, fontsize=10)
    for axis, error in zip(grid[-1], errors, strict=True):
        axis.set_xlabel(f"{error:.1e}" if error else "0", fontsize=9)
    figure.supxlabel(
        r"relative error $\|x - x'\|_2 \,/\, \|x\|_2$ of each image",
        fontsize=9,
    )
    return figure


def curves_figure(rows: list[dict[str, float]]) -> Figure:
    """Draw how training went: loss, accuracy, learning rate, inversion error.

    Args:
        rows: list of dicts. What `RunDirectory.read_metrics` returns, at least
            one row.

    Returns:
        A matplotlib `Figure`.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError(f"`rows` must not be empty. Received: rows={rows}")
    figure = Figure(figsize=(9.0, 6.0), dpi=160, layout="constrained")
    panels = {
        "loss": [name for name in rows[0] if name.endswith("loss")],
        "accuracy": [name for name in rows[0] if name.endswith("accuracy")],
        "learning rate": ["learning_rate"],
        # A network that has no inverse has no such column.
        "inversion error, relative": [
            name for name in rows[0] if name == "inversion_error"
        ],
    }
    epochs = [row["epoch"] for row in rows]
    # A single point is no line.
    marker = "o" if len(rows) < 10 else None
    axes = figure.subplots(2, 2, sharex=True).flat
    for axis, (title, names) in zip(axes, panels.items(), strict=True):
        for name in names:
            label = name.replace("_", " ")
            if name in ("loss", "accuracy", "top_5_accuracy"):
                label = f"training {label}"
            values = [row[name] for row in rows]
            axis.plot(epochs, values, marker=marker, label=label)
        axis.set_title(title, fontsize=10)
        axis.grid(color="0.9")
        axis.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            axis.legend(
                frameon=False,
                fontsize=9,
                loc="upper right" if title == "loss" else "lower right",
            )
    loss, accuracy, rate, error = figure.axes
    # Early losses on held-out images can be a thousand times the later ones.
    loss.set_yscale("log")
    accuracy.set_ylim(top=1.0)
    rate.set_ylim(bottom=0.0)
    if not any(row.get("inversion_error") for row in rows):
        is_exact = "inversion_error" in rows[0]
        error.set_ylim(-0.05, 1.0)
        error.set_yticks([0.0] if is_exact else [])
        text = "0 in every epoch" if is_exact else "nothing can be inverted"
        error.text(0.5, 0.5, text, transform=error.transAxes)
    for axis in (rate, error):
        axis.set_xlabel("epoch", fontsize=9)
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure


def write_picture(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure, in the format of the file's ending.

    Args:
        figure: matplotlib `Figure`. The figure to write.
        path: str or path. The file, replaced as a whole if it exists. Its
            directory is made if needed.

    Raises:
        ValueError: if the name ends in none of `FORMATS`.
    """
    path = pathlib.Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(
            f"The name of a picture must end in one of {', '.join(FORMATS)}. "
            f"Received: path={str(path)!r}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def difference_label(digit: int, exponent: int) -> str:
    """Return the label of a row of amplified differences."""
    if exponent:
        factor = f"10^{{{exponent}}}"
        if digit > 1:
            factor = rf"{digit} \cdot {factor}"
    else:
        factor = str(digit)
    return "difference\n" + rf"$\times\,{factor}$"


def draw_picture(axis: Axes, picture: np.ndarray) -> None:
    """Draw values from 0 to 1.

    Args:
        axis: matplotlib `Axes`. Where to draw.
        picture: float array. Colours (height, width, 3), grays (height, width,
            1), or magnitudes (height, width), for the colour map magma.
    """
    axis.imshow(
        np.clip(picture, 0.0, 1.0),
        cmap="magma" if picture.ndim == 2 else "gray",
        vmin=0.0,
        vmax=1.0,
        interpolation="nearest",
    )
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color("0.75")
