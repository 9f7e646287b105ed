"""The flags of irevnet-analyze."""

import dataclasses

from absl import app

from irevnet_tf.analysis.lines import SPACINGS
from irevnet_tf.analysis.spectrum import METHODS
from irevnet_tf.apps.image_data import DataRequest
from irevnet_tf.apps.image_data import parse_point
from irevnet_tf.settings import setting

ALL = "all"
ANIMATIONS = ("gif", "webp")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(DataRequest):
    """The flags, by their names."""

    study: str | None = setting(
        None,
        "The studies to carry out, separated by commas, or all of them and a "
        f"report: {ALL}.",
    )
    output: str | None = setting(
        None, "The directory of the figures, tables and the report."
    )
    overwrite: bool = setting(
        False, "Carry out again what the directory has already."
    )
    seed: int = setting(
        0,
        "Determines the images that are drawn, and all else that is random.",
        least=0,
    )
    batch_size: int = setting(
        64, "Images that are computed at a time.", least=1
    )
    images: int = setting(4, "Test images of the study spectrum.", least=1)
    inversion_images: int = setting(
        64, "Test images of the study inversion.", least=1
    )
    train_images: int = setting(
        5000,
        "Training images of separation, dimensionality and depth_gallery.",
        least=1,
    )
    test_images: int = setting(
        2000, "Test images of separation and dimensionality.", least=1
    )
    train_size: int = setting(
        1000,
        "Of the training images, how many separation trains with at once.",
        least=2,
    )
    draws: int = setting(5, "How often separation draws these.", least=1)
    pairs: int = setting(
        8, "Pairs of images of interpolation and metamers.", least=1
    )
    image_pair: tuple[str, ...] | None = setting(
        None,
        "Two image files, a.png,b.png, to interpolate between instead of "
        "pairs of the data set. May be given several times.",
    )
    steps: int = setting(
        9, "Images of an interpolation, its two ends included.", least=2
    )
    spacing: str = setting(
        SPACINGS[0],
        "How the steps of an interpolation lie: as far apart in pixels, or in "
        "the representation.",
        SPACINGS,
    )
    point: str | None = setting(
        None,
        "The point in the network to interpolate at, such as stage2; its end "
        "if not given.",
    )
    points: str | None = setting(
        None,
        "The points in the network that the other studies look at, separated "
        "by commas; metamers looks at the end only.",
    )
    window: str | None = setting(
        None,
        "The part of the image that varies in spectrum: a side in pixels, for "
        "a square in the centre, or top,left,height,width; all of it if not "
        "given.",
    )
    method: str | None = setting(
        None,
        "All singular values, or the largest; by the image's size if not "
        "given.",
        METHODS,
    )
    count: int = setting(
        100, "With --method=svds: how many singular values.", least=1
    )
    animation: str | None = setting(
        None,
        "The format of the interpolation that moves; gif for gray images and "
        "webp for others if not given.",
        ANIMATIONS,
    )


def parse_window(text: str | None) -> int | tuple[int, ...] | None:
    """Return --window as the study takes it.

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


def parse_points(text: str | None) -> list[int | str] | None:
    """Return --points as the studies take them."""
    if text is None:
        return None
    return [parse_point(point.strip()) for point in text.split(",")]


def parse_pairs(texts: tuple[str, ...] | None) -> list[tuple[str, str]]:
    """Return the two files of every --image_pair.

    Raises:
        app.UsageError: if one is not two names.
    """
    pairs = [tuple(text.split(",")) for text in texts or ()]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise app.UsageError(
                "--image_pair must be the names of two image files, "
                f"a.png,b.png. Received: --image_pair={','.join(pair)}"
            )
    return pairs
