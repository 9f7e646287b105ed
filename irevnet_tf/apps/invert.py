"""Rebuild test images from their representations and draw both.

    irevnet-invert --run_dir=runs/digits --output=picture.png --count=8

The picture shows the images, what the inverse of the network made of their
representations, and the difference, amplified.
"""

import pathlib

import numpy as np
from absl import app
from absl import flags
from matplotlib.figure import Figure

from irevnet_tf.apps.data_flags import DATA_DIR
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.run_flags import RUN_DIR
from irevnet_tf.apps.trained_run import BEST
from irevnet_tf.apps.trained_run import TrainedRun
from irevnet_tf.apps.trained_run import load_trained_run
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.data.unreadable import UnreadableImageError
from irevnet_tf.evaluation import on_grid
from irevnet_tf.evaluation import reconstruct
from irevnet_tf.pictures import FORMATS
from irevnet_tf.pictures import inversion_figure
from irevnet_tf.pictures import write_picture

# One column each; more could not be told apart on a page.
MAX_COUNT = 40
# The first test images, among which there is one of every class, mostly.
CANDIDATES = 1000

flags.declare_key_flag(RUN_DIR)
flags.declare_key_flag(DATA_DIR)
flags.declare_key_flag(BEST)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The picture to write, a .png, .pdf or .svg file; inversion.png in the "
    "run directory if not given.",
)
_COUNT = flags.DEFINE_integer(
    "count",
    10,
    "Number of test images, taken from every class in turn.",
    lower_bound=1,
    upper_bound=MAX_COUNT,
)

flags.register_validator(
    _OUTPUT,
    lambda path: path is None or pathlib.Path(path).suffix in FORMATS,
    f"must end in one of {', '.join(FORMATS)}",
)


def classes_in_turn(labels: np.ndarray, count: int) -> np.ndarray:
    """Choose examples so that every class comes up equally often.

    Args:
        labels: int array (N,).
        count: int. How many to choose, at most N.

    Returns:
        int array (count,) of indices: the first example of every class, in
        the order of the classes, then the second of every class, ...
    """
    occurrence = np.empty_like(labels)
    for label in np.unique(labels):
        of_label = labels == label
        occurrence[of_label] = np.arange(np.sum(of_label))
    return np.lexsort((labels, occurrence))[:count]


def draw_inversions(trained: TrainedRun, path: pathlib.Path, count: int) -> int:
    """Write a picture of test images and their reconstructions.

    Args:
        trained: The run whose network and test data are used.
        path: The picture to write.
        count: Number of images.

    Returns:
        Number of images in the picture: less than `count` if there are not
        as many.

    Raises:
        app.UsageError: if the picture cannot be written, or if a file of the
            test data is no whole image.
    """
    available = trained.dataset.test.count
    try:
        images, labels = trained.dataset.arrays(
            "test", min(CANDIDATES, available)
        )
    except UnreadableImageError as error:
        raise app.UsageError(str(error)) from error
    chosen = classes_in_turn(labels, count)
    try:
        require_replaceable(path)  # Before the work, not after it.
        write_picture(_figure(trained, images[chosen], labels[chosen]), path)
    except OSError as error:
        raise app.UsageError(
            f"--output must be a file that can be written, but: {error}. "
            f"Received: --output={path}"
        ) from error
    return len(chosen)


def _figure(
    trained: TrainedRun, images: np.ndarray, labels: np.ndarray
) -> Figure:
    """Draw test images and their reconstructions."""
    dataset = trained.dataset
    # What a lossless network rounds them to, as in its inversion error.
    images = on_grid(trained.model, images)
    return inversion_figure(
        images,
        reconstruct(trained.model, images),
        value_range=dataset.normalization.value_range,
        captions=[dataset.class_names[label] for label in labels],
        title=(
            f"{trained.directory.config.model} on {dataset.name}: test images "
            "rebuilt from their representations"
        ),
    )


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    trained = load_trained_run(RUN_DIR.value, DATA_DIR.value, best=BEST.value)
    path = trained.directory.picture_path
    if _OUTPUT.value is not None:
        path = pathlib.Path(_OUTPUT.value)
    drawn = draw_inversions(trained, path, _COUNT.value)
    print(f"Wrote {drawn} images and their reconstructions to {path}")


def run() -> None:
    launch(main)


if __name__ == "__main__":
    run()
