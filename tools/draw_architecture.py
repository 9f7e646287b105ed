"""Draw docs/figures/architecture.svg: a network, its inverse, and the files.

python tools/draw_architecture.py
"""

import pathlib

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.patches import FancyBboxPatch

PATH = pathlib.Path(__file__).parents[1] / "docs/figures/architecture.svg"

# What is computed, what it is on the way back, and where both stand.
PARTS = (
    ("image", "image", "height x width x 3",
     "preprocessing.py"),
    ("psi", "psi inverse", "2x2 pixels become\n4 channels",
     "layers/downsampling.py"),
    ("split", "merge", "two streams, half of\nthe channels each",
     "layers/channels.py"),
    ("blocks", "blocks, reversed",
     "y1 = x2,  y2 = x1 + F(x2)\nx2 = y1,  x1 = y2 - F(y1)",
     "layers/reversible.py\nlayers/additive_coupling.py\n"
     "layers/residual.py (F)"),
    ("merge", "split", "the representation",
     "layers/channels.py"),
    ("head", "", "BatchNorm, ReLU, mean,\nDense: no inverse",
     "models/irevnet.py"),
)  # fmt: skip
FORWARD, BACK, PLAIN = "#1f6fb4", "#b4461f", "#555555"
TOP, STEP, HEIGHT = 6.2, 1.08, 0.62
LEFT, MIDDLE, RIGHT, WIDTH = 0.2, 3.65, 5.1, 1.95


def box(axes, x, y, text, colour):
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0.02,rounding_size=0.08",
            facecolor="white",
            edgecolor=colour,
            linewidth=1.6,
        )
    )
    axes.text(
        x + WIDTH / 2, y + HEIGHT / 2, text, ha="center", va="center", size=14
    )


def arrow(axes, begin, end, colour):
    axes.add_patch(
        FancyArrowPatch(
            begin,
            end,
            arrowstyle="-|>",
            mutation_scale=13,
            color=colour,
            linewidth=1.4,
        )
    )


def draw() -> Figure:
    figure = Figure(figsize=(10, 7.2), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.4, 10.4), ylim=(TOP - 5.2 * STEP, TOP + HEIGHT + 0.8))
    axes.axis("off")
    centre, back = LEFT + WIDTH / 2, RIGHT + WIDTH / 2
    titles = (
        (centre, "forward: irevnet_tf.encoder(model)", FORWARD),
        (back, "back: irevnet_tf.invert(model)", BACK),
    )
    for x, text, colour in titles:
        axes.text(
            x, TOP + HEIGHT + 0.35, text, ha="center", color=colour, size=13
        )
    for index, (forward, backward, what, where) in enumerate(PARTS):
        y = TOP - index * STEP
        box(axes, LEFT, y, forward, FORWARD if backward else PLAIN)
        axes.text(
            MIDDLE,
            y + HEIGHT / 2,
            what,
            ha="center",
            va="center",
            size=12,
            color=PLAIN,
        )
        axes.text(
            RIGHT + WIDTH + 0.25,
            y + HEIGHT / 2,
            where,
            va="center",
            size=11,
            family="monospace",
        )
        if backward:
            box(axes, RIGHT, y, backward, BACK)
        if index:
            above, below = y + STEP - 0.03, y + HEIGHT + 0.03
            colour = FORWARD if backward else PLAIN
            arrow(axes, (centre, above), (centre, below), colour)
            if backward:
                arrow(axes, (back, below), (back, above), BACK)
    # The way back begins with the representation, which is a merge's output.
    y = TOP - (len(PARTS) - 2) * STEP + 0.08
    arrow(axes, (LEFT + WIDTH + 0.05, y), (RIGHT - 0.05, y), BACK)
    return figure


if __name__ == "__main__":
    draw().savefig(PATH, metadata={"Date": None})
