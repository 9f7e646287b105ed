"""The flags of irevnet-analyze."""

import dataclasses

from absl import app
from absl import flags

from irevnet_tf.analysis.lines import SPACINGS
from irevnet_tf.analysis.spectrum import METHODS
from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.apps.network_source import define_network_flags

ALL = "all"
ANIMATIONS = ("gif", "webp")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(NetworkRequest):
    """The flags, by their names."""

    study: str | None
    dataset: str | None
    image_size: int | None
    output: str | None
    overwrite: bool
    seed: int
    batch_size: int
    images: int
    inversion_images: int
    train_images: int
    test_images: int
    train_size: int
    draws: int
    pairs: int
    image_pair: list[str] | None
    steps: int
    spacing: str
    point: str | None
    points: str | None
    window: str | None
    method: str | None
    count: int
    animation: str | None


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags.

    Not on import: other applications have flags of the same names.
    """
    define_network_flags(values)
    flags.DEFINE_string(
        "study",
        None,
        "The studies to carry out, separated by commas, or all of them and a "
        f"report: {ALL}.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "dataset",
        None,
        "The data, as of irevnet-train; that of the run, or of the weights of "
        "a name, if not given.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width of images that come in many sizes; the network's "
        "own, if it has one, for a folder of images.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "The directory of the figures, tables and the report.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Carry out again what the directory has already.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed",
        0,
        "Determines the images that are drawn, and all else that is random.",
        lower_bound=0,
        flag_values=values,
    )
    _define_sizes(values)
    _define_choices(values)


def _define_sizes(values):
    sizes = {
        "batch_size": (64, "Images that are computed at a time."),
        "images": (4, "Test images of the study spectrum."),
        "inversion_images": (64, "Test images of the study inversion."),
        "train_images": (
            5000,
            "Training images of separation, dimensionality and depth_gallery.",
        ),
        "test_images": (2000, "Test images of separation and dimensionality."),
        "train_size": (
            1000,
            "Of the training images, how many separation trains with at once.",
        ),
        "draws": (5, "How often separation draws these."),
        "pairs": (8, "Pairs of images of interpolation and metamers."),
        "steps": (9, "Images of an interpolation, its two ends included."),
        "count": (100, "With --method=svds: how many singular values."),
    }
    smallest = {"train_size": 2, "steps": 2}
    for name, (default, meaning) in sizes.items():
        flags.DEFINE_integer(
            name,
            default,
            meaning,
            lower_bound=smallest.get(name, 1),
            flag_values=values,
        )


def _define_choices(values):
    flags.DEFINE_multi_string(
        "image_pair",
        None,
        "Two image files, a.png,b.png, to interpolate between instead of "
        "pairs of the data set. May be given several times.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "spacing",
        SPACINGS[0],
        SPACINGS,
        "How the steps of an interpolation lie: as far apart in pixels, or in "
        "the representation.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "point",
        None,
        "The point in the network to interpolate at, such as stage2; its end "
        "if not given.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "points",
        None,
        "The points in the network that the other studies look at, separated "
        "by commas; metamers looks at the end only.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "window",
        None,
        "The part of the image that varies in spectrum: a side in pixels, for "
        "a square in the centre, or top,left,height,width; all of it if not "
        "given.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "method",
        None,
        METHODS,
        "All singular values, or the largest; by the image's size if not "
        "given.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "animation",
        None,
        ANIMATIONS,
        "The format of the interpolation that moves; gif for gray images and "
        "webp for others if not given.",
        flag_values=values,
    )


def parse_window(text: str | None) -> int | tuple[int, ...] | None:
    """Return what --window means to the study.

    Raises:
        app.UsageError: if it is neither one whole number nor four.
    """
    if text is None:
        return None
    sides = [side.strip() for side in text.split(",")]
    if len(sides) not in (1, 4) or not all(map(str.isdecimal, sides)):
        raise app.UsageError(
            "--window must be a side in pixels, or top,left,height,width. "
            f"Received: --window={text}"
        )
    numbers = tuple(map(int, sides))
    return numbers if len(numbers) > 1 else numbers[0]


def parse_point(text: str | None) -> int | str | None:
    """Return a stage's number as one, and other points by name."""
    return int(text) if text and text.isdecimal() else text


def parse_points(text: str | None) -> list[int | str] | None:
    """Return what --points means to the studies."""
    if text is None:
        return None
    return [parse_point(point.strip()) for point in text.split(",")]


def parse_pairs(texts: list[str] | None) -> list[tuple[str, str]]:
    """Return the two files of every --image_pair.

    Raises:
        app.UsageError: if one has not two names.
    """
    pairs = [tuple(text.split(",")) for text in texts or ()]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise app.UsageError(
                "--image_pair must be the names of two image files, "
                f"a.png,b.png. Received: --image_pair={','.join(pair)}"
            )
    return pairs
