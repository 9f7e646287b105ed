"""The figure of `analysis.metamers`."""

from matplotlib.figure import Figure

from irevnet_tf.analysis.drawing import new_figure
from irevnet_tf.analysis.drawing import show_images
from irevnet_tf.analysis.metamers import Metamers
from irevnet_tf.analysis.network import to_pixels
from irevnet_tf.analysis.words import small

# Columns of the figure.
_SHOWN = 8


def draw_metamers(result: Metamers) -> Figure:
    """Draw targets, starts and metamers, with the class of each.

    Example:

    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> model = irevnet_tf.IRevNet(
    ...     (1,), (1,), (8,), initial_downsampling=4, input_shape=(8, 8, 1)
    ... )
    >>> found = irevnet_tf.analysis.metamers(model, images[:1], images[1:])
    >>> figure = irevnet_tf.analysis.draw_metamers(found)
    >>> figure.savefig("metamers.png")

    Args:
        result: `Metamers`. What `metamers` returned; at most eight pairs are
            drawn.

    Returns:
        A matplotlib `Figure`.
    """
    count = min(_SHOWN, len(result.targets))
    rows, captions = {}, []
    target, start = result.target_predictions, result.predictions[0]
    for label, images, classes in (
        ("target", result.targets, target),
        ("exchanged", result.metamers[0], result.predictions[1]),
        ("moved", result.metamers[1], result.predictions[2]),
        ("start", result.starts, start),
    ):
        rows[label] = to_pixels(result.normalization, images[:count])
        captions.append([result.class_names[c] for c in classes[:count]])
    captions = [[f"seen as {name}" for name in row] for row in captions]
    for row, k in ((1, 0), (2, 1)):
        for column in range(count):
            difference = small(result.logit_differences[k, column])
            captions[row][column] += f"\nlogits off by {difference}"
            if not result.found()[k, column]:
                captions[row][column] += ": not found"
    figure = new_figure(width=max(5.0, 1.0 + 1.3 * count), height=6.8)
    title = "targets, metamers of two kinds, and what 'moved' began as"
    show_images(figure, rows, title=title, captions=captions)
    return figure
