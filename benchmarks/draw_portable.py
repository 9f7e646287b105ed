"""Draw two tables of `portable_matrix.py`: what comes back from where.

    python benchmarks/draw_portable.py lossless.md portable.md \\
        docs/figures/portable.png

The first table of each file is drawn: the share of images that did not come
back, encoded in the runtime of the row and decoded in that of the column.
"""

import pathlib
import re
import sys

import matplotlib.figure
import numpy as np
from matplotlib import colormaps

TITLES = ("lossless", "portable")
# Shorter names than those of the tables.
SHORT = {
    "TensorFlow without oneDNN": "TF, no oneDNN",
    "TensorFlow, one thread": "TF, one thread",
    "ONNX Runtime, not optimized": "ONNX RT, not optimized",
    "NumPy float64 reference": "NumPy float64",
}


def read_table(path):
    """Return the runtimes of a file's first table, and the shares lost."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    trips = int(re.search(r"([\d,]+) round trips a cell", text)[1])
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text[text.index("| there, back") :].splitlines()
    ]
    rows = rows[: next(i for i, row in enumerate(rows) if len(row) < 3)]
    names = [_short(name) for name in rows[0][1:]]
    lost = [[int(re.match(r"\d+", x)[0]) for x in row[1:]] for row in rows[2:]]
    return names, np.array(lost) / trips


def _short(name):
    name = SHORT.get(name, name)
    return name.replace("TensorFlow", "TF").replace("ONNX Runtime", "ONNX RT")


def draw(tables, path):
    """Write the picture of two tables, {title: (names, shares)}."""
    figure = matplotlib.figure.Figure(figsize=(13, 6.6), layout="constrained")
    colors = colormaps["Reds"].with_extremes(under="#2a9d5c")
    for axes, (title, (names, shares)) in zip(
        figure.subplots(1, 2), tables.items(), strict=True
    ):
        image = axes.imshow(shares, cmap=colors, vmin=1e-9, vmax=1)
        places = range(len(names))
        axes.set_xticks(places, names, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(places, names, fontsize=8)
        axes.set_xlabel("decoded in")
        axes.set_ylabel("encoded in")
        axes.set_title(f"{title}: {np.mean(shares):.0%} of images lost")
        for (row, column), share in np.ndenumerate(shares):
            axes.text(
                column,
                row,
                "0" if share == 0 else f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share == 0 or share > 0.6 else "black",
            )
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.7)
    bar.set_label("share of images that did not come back bit for bit")
    figure.savefig(path, dpi=110)


def main():
    *sources, target = sys.argv[1:]
    tables = map(read_table, sources)
    draw(dict(zip(TITLES, tables, strict=True)), target)


if __name__ == "__main__":
    main()
