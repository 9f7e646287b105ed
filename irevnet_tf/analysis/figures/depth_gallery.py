"""The figure of `analysis.depth_gallery`."""

import numpy as np
from matplotlib.figure import Figure

from irevnet_tf.analysis.depth_gallery import DepthGallery
from irevnet_tf.analysis.drawing import as_picture
from irevnet_tf.analysis.drawing import new_figure
from irevnet_tf.analysis.network import to_pixels
from irevnet_tf.pictures import draw_picture


def draw_depth_gallery(result: DepthGallery) -> Figure:
    """Draw each image, its stages, and what was decoded, row by row.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 34)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.depth_gallery(
    ...     model, images[:32], images[32:], points=["stage1"]
    ... )
    >>> figure = irevnet_tf.analysis.draw_depth_gallery(found)
    >>> figure.savefig("depth_gallery.png")

    Args:
        result: `DepthGallery`. What `depth_gallery` returned.

    Returns:
        A matplotlib `Figure`.
    """
    points, count = len(result.points), len(result.components)
    figure = new_figure(
        width=1.3 * (1 + points + 1.4 * count / points) + 0.8,
        height=0.7 + 1.35 * len(result.examples),
    )
    grid = figure.subplots(
        len(result.examples),
        2 + points,
        squeeze=False,
        width_ratios=(1, *[1] * points, count / points),
    )
    titles = ("image", *result.points, "decoded from the first components")
    for title, axis in zip(titles, grid[0], strict=True):
        axis.set_title(title, fontsize=9)
    for index, axes in enumerate(grid):
        image = to_pixels(result.normalization, result.examples[index])
        draw_picture(axes[0], as_picture(image))
        for axis, tiles in zip(axes[1:], result.tiles, strict=False):
            draw_picture(axis, _mosaic(tiles[index])[..., None])
        cells = to_pixels(result.normalization, result.decoded[:, :, index])
        cells = _side_by_side(cells)
        draw_picture(axes[-1], as_picture(cells))
        axes[-1].set_yticks(
            (np.arange(points) + 0.5) * len(cells) / points, result.points
        )
        axes[-1].set_xticks(
            (np.arange(count) + 0.5) * cells.shape[1] / count,
            result.components,
        )
        axes[-1].tick_params(labelsize=7, length=0)
    return figure


def _mosaic(tiles):
    """Return tiles (N, height, width) as one square picture."""
    count, height, width = tiles.shape
    side = int(np.ceil(np.sqrt(count)))
    filled = np.ones((side**2, height, width))
    filled[:count] = tiles
    return _side_by_side(filled.reshape(side, side, height, width, 1))[..., 0]


def _side_by_side(pictures):
    """Return (rows, columns, height, width, channels) as one picture."""
    gap = max(1, pictures.shape[2] // 14)
    padded = np.pad(
        pictures,
        ((0, 0), (0, 0), (gap, 0), (gap, 0), (0, 0)),
        constant_values=1.0,
    )
    rows, columns, height, width, channels = padded.shape
    joined = padded.transpose(0, 2, 1, 3, 4)
    return joined.reshape(rows * height, columns * width, channels)
