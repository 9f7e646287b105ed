"""Rebuild images from their representations and draw both.

    irevnet-invert --weights=fashion_mnist --images=shirt.png \\
        --point=stage2 --output=back.png
    irevnet-invert --run_dir=runs/digits --count=8

The picture shows the images, the images that the inverse of the network
rebuilt from their representations, and the difference, amplified. Image files
are cropped and resized as in testing, to the size and the number of channels of
the network's images.
"""

import dataclasses
import pathlib

import numpy as np
from absl import app
from matplotlib.figure import Figure

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.image_data import DataRequest
from irevnet_tf.apps.image_data import load_data
from irevnet_tf.apps.image_data import normalization
from irevnet_tf.apps.image_data import parse_point
from irevnet_tf.apps.image_files import find_images
from irevnet_tf.apps.image_files import image_shape
from irevnet_tf.apps.image_files import read_image
from irevnet_tf.apps.launch import check_writable
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import unwritable
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import Source
from irevnet_tf.apps.network_source import check_network
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.data import Dataset
from irevnet_tf.data.decoding import UnreadableImageError
from irevnet_tf.export.inference import check_model
from irevnet_tf.export.inference import refuse_layers_in_front
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.inversion import encoder
from irevnet_tf.pictures import FORMATS
from irevnet_tf.pictures import inversion_figure
from irevnet_tf.pictures import write_picture
from irevnet_tf.reconstruction import on_grid
from irevnet_tf.reconstruction import reconstruct
from irevnet_tf.settings import setting
from irevnet_tf.training import TrainedRun
from irevnet_tf.training.run_directory import PICTURE_FILE

# One column each; more could not be told apart on a page.
MAX_COUNT = 40
# The first test images, among which there is one of every class, mostly.
CANDIDATES = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(DataRequest):
    """The flags, by their names."""

    images: str | None = setting(
        None,
        "Image files, separated by commas, or a directory with some, instead "
        "of test images of the data.",
    )
    point: str | None = setting(
        None,
        "The point in the network to rebuild images from, such as stage2 or "
        "stage2_block1; its end if not given.",
    )
    output: str | None = setting(
        None,
        "The picture to write, a .png, .pdf or .svg file; inversion.png, in "
        "the run directory of a training run, if not given.",
    )
    count: int = setting(
        10,
        "Number of images: of files the first, of test images some of every "
        "class in turn.",
        least=1,
        most=MAX_COUNT,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """Images to rebuild.

    Attributes:
        images: float32 array (N, height, width, channels). Normalised images.
        captions: list of str. The text above each image.
        value_range: pair of floats. The values that stand for black and white.
        what: str. What the images are, for the title.
    """

    images: np.ndarray
    captions: list[str]
    value_range: tuple[float, float]
    what: str


def invert_images(request: Request) -> tuple[pathlib.Path, int]:
    """Write a picture of images and their reconstructions.

    Args:
        request: `Request`. The images and the network.

    Returns:
        The picture, and the number of images in it.

    Raises:
        app.UsageError: if anything is not as it should be.
    """
    check_network(request)
    if request.images is not None and request.dataset is not None:
        raise app.UsageError(
            "Either --images or --dataset is needed, and not both. Received: "
            f"--images={request.images}, --dataset={request.dataset}"
        )
    files = find_images(request.images) if request.images is not None else []
    path = _output(request)
    with usage_errors():
        source = load_network(request)
        chain = check_model(source.model)
        refuse_layers_in_front(source.model, chain)
        point = parse_point(request.point)
        encoder(source.model, point)  # Refuses a point that there is not.
        if files:
            shown = _of_files(request, source, chain, files)
        else:
            dataset = load_data(request, source, chain, only_tests=True)
            shown = _of_tests(dataset, request.count)
    return path, _draw(source.model, source.name, shown, path, point)


def draw_inversions(trained: TrainedRun, path: pathlib.Path, count: int) -> int:
    """Write a picture of test images and their reconstructions.

    Args:
        trained: `TrainedRun`. The run whose network and test data are used.
        path: path. The picture to write.
        count: int. Number of images.

    Returns:
        Number of images in the picture: less than `count` if there are not
        as many.

    Raises:
        app.UsageError: if the picture cannot be written, or if a file of the
            test data is no whole image.
    """
    shown = _of_tests(trained.dataset, count)
    name = trained.directory.config.model
    return _draw(trained.model, name, shown, path, None)


def _output(request):
    """Return the picture's path, whose format is checked."""
    path = pathlib.Path(PICTURE_FILE)
    if request.output is not None:
        path = pathlib.Path(request.output)
    elif request.run_dir is not None:
        path = pathlib.Path(request.run_dir, PICTURE_FILE)
    if path.suffix not in FORMATS:
        raise app.UsageError(
            f"--output must end in one of {', '.join(FORMATS)}. "
            f"Received: --output={path}"
        )
    return path


def _of_files(
    request: Request, source: Source, chain: Chain, files: list[pathlib.Path]
) -> Shown:
    files = files[: request.count]
    scale = normalization(request, source, chain)
    shape = image_shape(
        source.model.inputs[0].shape[1:],
        files[0],
        request.image_size,
        chain.downsampling,
    )
    return Shown(
        np.stack(
            [read_image(file, shape, scale, "--images") for file in files]
        ),
        [file.stem for file in files],
        scale.value_range,
        "images",
    )


def _of_tests(dataset: Dataset, count: int) -> Shown:
    available = min(CANDIDATES, dataset.test.count)
    try:
        images, labels = dataset.arrays("test", available)
    except UnreadableImageError as error:
        raise app.UsageError(str(error)) from error
    chosen = classes_in_turn(labels, count)
    return Shown(
        images[chosen],
        [dataset.class_names[label] for label in labels[chosen]],
        dataset.normalization.value_range,
        f"test images of {dataset.name}",
    )


def classes_in_turn(labels: np.ndarray, count: int) -> np.ndarray:
    """Choose examples so that every class comes up equally often.

    Args:
        labels: int array (N,). The class of each example.
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


def _draw(model, name, shown, path, point) -> int:
    check_writable("--output", path)  # Before the work, not after it.
    try:
        with waiting("Rebuilding and drawing"):
            write_picture(_figure(model, name, shown, point), path)
    except OSError as error:
        raise unwritable("--output", path, error) from error
    return len(shown.images)


def _figure(model, name, shown, point) -> Figure:
    # What a lossless network rounds them to, as in its inversion error.
    images = on_grid(encoder(model, point), shown.images)
    origin = "their representations"
    if point is not None:
        place = f"stage {point}" if isinstance(point, int) else point
        origin += f" at {place}"
    return inversion_figure(
        images,
        reconstruct(model, images, point=point),
        value_range=shown.value_range,
        captions=shown.captions,
        title=f"{name}: {shown.what} rebuilt from {origin}",
    )


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    path, drawn = invert_images(from_flags(Request))
    print(wrote(path, drawn))


def wrote(path: pathlib.Path, drawn: int) -> str:
    """Return the line that tells a person what was drawn."""
    images = "1 image and its reconstruction"
    if drawn != 1:
        images = f"{drawn} images and their reconstructions"
    return f"Wrote {images} to {path}"


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
