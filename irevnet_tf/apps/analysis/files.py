"""Writing the files of a study: figures, tables, animations."""

import csv
import math
import pathlib

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from irevnet_tf.atomic import replacing

# An animation of small images is enlarged to be this high, in pixels.
SMALLEST_HEIGHT = 128
MILLISECONDS = 150
# Without these, the same figure is the same file.
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def write_svg(figure: Figure, path: pathlib.Path) -> None:
    """Write a figure as SVG, with text as text.

    The same figure gives the same bytes. The ids in it depend on the file's
    stem, so that they differ between files.
    """
    style = {"svg.fonttype": "none", "svg.hashsalt": path.stem}
    with matplotlib.rc_context(style), replacing(path) as temporary:
        figure.savefig(temporary, metadata=_NO_METADATA)


def write_table(rows: list[dict], path: pathlib.Path) -> None:
    """Write rows as CSV: numbers that can be read back exactly, NaN as empty.

    Args:
        rows: list of dicts. At least one row; all have the same columns.
        path: path. The file.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: _cell(plain(v)) for k, v in row.items()})


def plain(value):
    """Return a value of NumPy as a value of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _cell(value):
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return value


def write_animation(frames: list[np.ndarray], path: pathlib.Path) -> None:
    """Write frames as an endless animation.

    Args:
        frames: list of uint8 arrays (height, width) or (height, width, 3). The
            frames.
        path: path. A .gif or .webp file.
    """
    factor = max(1, math.ceil(SMALLEST_HEIGHT / frames[0].shape[0]))
    images = [
        Image.fromarray(np.repeat(np.repeat(frame, factor, 0), factor, 1))
        for frame in frames
    ]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    with replacing(path) as temporary:
        images[0].save(
            temporary,
            save_all=True,
            append_images=images[1:],
            duration=MILLISECONDS,
            loop=0,
            **options,
        )
