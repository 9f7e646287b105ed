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

    Args:
        result: what `metamers` returned, of which at most eight pairs.

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
    for row, k in ((1, 0), (2, 1)):
        captions[row] = [
            f"{name}, {small(difference)}"
            for name, difference in zip(
                captions[row], result.logit_differences[k], strict=False
            )
        ]
    figure = new_figure(width=1.0 + 1.2 * count, height=6.0)
    title = (
        "the network sees the target in the upper three, but for the largest "
        "difference of logits below"
    )
    show_images(figure, rows, title=title, captions=captions)
    return figure
