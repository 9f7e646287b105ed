"""The arguments of each study of irevnet-analyze."""

import dataclasses

import numpy as np

from irevnet_tf.apps.analysis.flags import Request
from irevnet_tf.apps.analysis.flags import parse_pairs
from irevnet_tf.apps.analysis.flags import parse_points
from irevnet_tf.apps.analysis.flags import parse_window
from irevnet_tf.apps.analysis.samples import CANDIDATES
from irevnet_tf.apps.analysis.samples import draw_images
from irevnet_tf.apps.analysis.samples import find_pairs
from irevnet_tf.apps.analysis.samples import photographs
from irevnet_tf.apps.analysis.subject import Subject
from irevnet_tf.apps.image_data import parse_point
from irevnet_tf.apps.image_files import read_image
from irevnet_tf.apps.launch import say
from irevnet_tf.data import Dataset

# Columns of the figure of the depths.
GALLERY_IMAGES = 6
# All of their representations are in memory at once.
GALLERY_TRAINING_IMAGES = 1000


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The arguments of a study.

    Attributes:
        arrays: tuple of arrays. The positional arguments after the model.
        options: dict. The keyword arguments that not every study takes.
        sampled: str. A sentence on where the images come from.
    """

    arrays: tuple[np.ndarray, ...]
    options: dict[str, object]
    sampled: str


def for_inversion(subject: Subject, request: Request) -> Prepared:
    """Return test images, photographs and the points."""
    drawn = _draw(subject, request, "test", request.inversion_images)
    others, text = photographs(subject.dataset)
    return Prepared(
        (drawn.images,),
        {
            "photographs": others,
            "points": parse_points(request.points),
            "seed": request.seed,
        },
        f"{drawn.text}, {_seeded(request)}; {text}; noise.",
    )


def for_spectrum(subject: Subject, request: Request) -> Prepared:
    """Return test images, and what to compute for them."""
    drawn = _draw(subject, request, "test", request.images)
    return Prepared(
        (drawn.images,),
        {
            "points": parse_points(request.points),
            "method": request.method,
            "count": request.count,
            "window": parse_window(request.window),
            "seed": request.seed,
        },
        f"{drawn.text}, {_seeded(request)}.",
    )


def for_interpolation(subject: Subject, request: Request) -> Prepared:
    """Return pairs of test images, or of the user's images."""
    files = parse_pairs(request.image_pair)
    if files:
        starts, ends = (
            np.stack(
                [read_of_pair(pair[end], subject.dataset) for pair in files]
            )
            for end in (0, 1)
        )
        names = "; ".join(" and ".join(pair) for pair in files)
        text = f"Image files, cropped and resized: {names}."
    else:
        within = request.pairs // 2
        starts, ends, text = _pairs(
            subject, request, request.pairs - within, within
        )
    options = {
        "point": parse_point(request.point),
        "steps": request.steps,
        "spacing": request.spacing,
        "class_names": subject.class_names,
    }
    return Prepared((starts, ends), options, text)


def for_separation(subject: Subject, request: Request) -> Prepared:
    """Return training and test images with their labels."""
    arrays, text = _parts(subject, request)
    size = min(request.train_size, len(arrays[0]))
    if subject.classifies and not subject.labels_fit:
        say(
            "The network's classes are not those of the data, in their order: "
            "its own classifier is left out."
        )
    options = {
        "points": parse_points(request.points),
        "train_size": size,
        "draws": request.draws,
        "seed": request.seed,
        "own_head": subject.labels_fit,
    }
    return Prepared(
        arrays,
        options,
        f"{text} Of the training images, {size:,} at once, "
        f"{request.draws} times.",
    )


def for_dimensionality(subject: Subject, request: Request) -> Prepared:
    """Return training and test images with their labels."""
    arrays, text = _parts(subject, request)
    options = {"points": parse_points(request.points), "seed": request.seed}
    return Prepared(arrays, options, text)


def for_metamers(subject: Subject, request: Request) -> Prepared:
    """Return pairs of test images of different classes."""
    starts, targets, text = _pairs(subject, request, request.pairs, 0)
    options = {"class_names": subject.class_names, "seed": request.seed}
    return Prepared((starts, targets), options, text)


def for_depth_gallery(subject: Subject, request: Request) -> Prepared:
    """Return training images, and the test images to show."""
    count = min(request.train_images, GALLERY_TRAINING_IMAGES)
    train = _draw(subject, request, "train", count)
    shown = _draw(subject, request, "test", GALLERY_IMAGES)
    return Prepared(
        (train.images, shown.images),
        {"points": parse_points(request.points), "seed": request.seed},
        f"Principal components of {train.text}; shown are {shown.text}; "
        f"{_seeded(request)}.",
    )


def _draw(subject, request, part, count):
    return draw_images(subject.dataset, part, count, request.seed)


def _seeded(request):
    return f"drawn with seed {request.seed}"


def _parts(subject, request):
    """Return training and test images with their labels, and a sentence."""
    train = _draw(subject, request, "train", request.train_images)
    test = _draw(subject, request, "test", request.test_images)
    arrays = (train.images, train.labels, test.images, test.labels)
    return arrays, f"{train.text}, {test.text}, {_seeded(request)}."


def _pairs(subject, request, across, within):
    """Return two arrays of test images, and a sentence."""
    drawn = _draw(subject, request, "test", CANDIDATES)
    found = find_pairs(drawn.labels, across=across, within=within)
    starts, ends = drawn.images[np.concatenate(found).T]
    if not len(starts):
        raise ValueError(
            "the test images must be of two classes or more. "
            f"Received: {drawn.text}, all of one class"
        )
    text = f"{len(found[0])} pairs of test images of different classes"
    if within:
        text += f" and {len(found[1])} of one class"
    return starts, ends, f"{text}, out of {drawn.text}, {_seeded(request)}."


def read_of_pair(path: str, dataset: Dataset) -> np.ndarray:
    """Read a file of --image_pair as one of the data set's images.

    Raises:
        app.UsageError: if it is no image file.
    """
    return read_image(
        path, dataset.image_shape, dataset.normalization, "--image_pair"
    )
