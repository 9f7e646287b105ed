"""ExportedNetwork: a SavedModel of both directions, as the page uses it."""

import json
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from irevnet_tf.analysis.points import Point
from irevnet_tf.export.checks import WHITE
from irevnet_tf.export.version_directory import CARD_FILE
from irevnet_tf.export.version_directory import SAVED_MODEL_FILE
from irevnet_tf.preprocessing import Normalization

# Its only point.
REPRESENTATION = "representation"
CLOSED = (
    "An export holds its two directions and nothing inside of them: there is "
    "one point to rebuild from, and no metamers are looked for, which takes "
    "gradients."
)
# What TensorFlow raises for files that are no SavedModel, or are damaged.
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
    tf.errors.OpError,
)


def find_export(directory: str | os.PathLike) -> pathlib.Path:
    """Return the newest version in a model's directory, or a version itself.

    Args:
        directory: str or path. The directory.

    Raises:
        ValueError: if there is no SavedModel.
    """
    directory = pathlib.Path(directory)
    if (directory / SAVED_MODEL_FILE).is_file():
        return directory
    versions = [
        path.parent
        for path in directory.glob(f"*/{SAVED_MODEL_FILE}")
        if path.parent.name.isascii() and path.parent.name.isdecimal()
    ]
    if not versions:
        raise ValueError(
            "--directory must hold a SavedModel, or one in a directory for "
            f"its version, such as 1/. Received: --directory={directory}"
        )
    return max(versions, key=lambda path: int(path.name))


class ExportedNetwork:
    """An export of `irevnet_tf.export_saved_model`. Threads may share it.

    It has what `irevnet_tf.apps.page.explorer.Explorer` needs of an
    `irevnet_tf.analysis.network.Network`, with one point and for raw images,
    from 0 to 255.

    Args:
        path: str or path. The directory of a version.

    Attributes:
        input_shape: tuple. Height, width and channels of the images, None for
            any.
        class_names: None or list of strs. The names of its classes.
        preprocessing: None or str. The name of its preprocessing.
        fraction_bits: None or int. The grid of a lossless network.
        classes: int. The number of its classes, 0 without a classifier.

    Raises:
        ValueError: if it is no such export, or is damaged.
    """

    def __init__(self, path: str | os.PathLike):
        path = pathlib.Path(path)
        try:
            card = (path / CARD_FILE).read_text(encoding="utf-8")
            self._read_card(json.loads(card))
        except FileNotFoundError as error:
            raise _no_export(path, f"it has no {CARD_FILE}") from error
        except _UNREADABLE as error:
            raise _no_export(path, f"its {CARD_FILE} is damaged") from error
        try:
            # Held on to: signatures do not keep their variables alive.
            self._loaded = tf.saved_model.load(str(path))
        except _UNREADABLE as error:
            reason = str(error).strip().partition("\n")[0]
            raise _no_export(path, f"it cannot be loaded: {reason}") from error
        self._read_signatures(self._loaded.signatures, path)

    def _read_signatures(self, signatures, path):
        for name in ("forward", "inverse"):
            if name not in signatures:
                raise _no_export(path, f"it has no signature `{name}`")
        self._forward = signatures["forward"]
        self._inverse = signatures["inverse"]
        given = _inputs(self._forward).get("images")
        features = self._forward.structured_outputs.get("features")
        entering = _inputs(self._inverse).get("features")
        back = self._inverse.structured_outputs.get("images")
        if None in (given, features, entering, back):
            raise _no_export(
                path,
                "its signatures are not from `images` to `features` and back",
            )
        if given.shape.rank != 4 or not given.shape.is_compatible_with(
            back.shape
        ):
            raise _no_export(
                path,
                f"its inverse leads to {back.shape}, and not to images of "
                f"{given.shape}",
            )
        self._entering, self._features = given.dtype, entering.dtype
        self.input_shape = tuple(given.shape[1:])
        found = self._forward.structured_outputs.get("probabilities")
        self.classes = 0 if found is None else int(found.shape[-1])

    def _read_card(self, card):
        names, bits = card["class_names"], card["fraction_bits"]
        self.class_names = names and [str(name) for name in names]
        self.fraction_bits = bits and int(bits)
        scale = card["preprocessing"]
        self.preprocessing = scale["name"]
        self._scale = Normalization(
            float(scale["maximum"]),
            tuple(map(float, scale["mean"])),
            tuple(map(float, scale["std"])),
        )

    def try_out(self, shape: tuple[int, int, int]) -> None:
        """Send a gray image there and back.

        Args:
            shape: tuple of ints. Height, width and channels of images.

        Raises:
            ValueError: if it does not come back.
        """
        image = np.full((1, *shape), WHITE / 2, "float32")
        try:
            back = self.decode(self.encode(image)).shape
        except _UNREADABLE as error:
            raise ValueError(
                "The export must take images of this size. Received: "
                f"{shape[0]}x{shape[1]}, which it refuses"
            ) from error
        if back != image.shape:
            raise ValueError(
                "The export's inverse must lead to the image. Received: "
                f"{image.shape}, which comes back as {back}"
            )

    def points(self, points=None, default=None) -> tuple[Point, ...]:
        """Return the only point, as `Network.points`."""
        return (Point(REPRESENTATION, 1),)

    def optional_head(self) -> "ExportedNetwork | None":
        """Return what has `classes` and `probabilities`, if it classifies."""
        return self if self.classes else None

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return float array (N, classes)."""
        return self._run(images)["probabilities"].numpy()

    def on_grid(self, images: np.ndarray) -> np.ndarray:
        """Return raw images as a lossless network rounds them."""
        if self.fraction_bits is None:
            return np.asarray(images)
        step = 2.0**-self.fraction_bits
        rounded = tf.round(self._scale.apply(images) / step) * step
        return self._scale.undo(rounded).numpy()

    def walk(self, images, names) -> Iterator[tuple[str, tf.Tensor]]:
        """Yield the representations at the only point, as `Network.walk`."""
        for name in names:
            yield name, self._run(images)["features"]

    def encode(self, images, name=REPRESENTATION) -> np.ndarray:
        """Return the representations (N, h, w, c) of raw images."""
        return self._run(images)["features"].numpy()

    def decode(self, representations, name=REPRESENTATION) -> np.ndarray:
        """Return the raw images (N, height, width, channels)."""
        features = tf.constant(representations, self._features)
        return self._inverse(features=features)["images"].numpy()

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """Return images with 0 for black and 1 for white, not clipped."""
        return np.asarray(images) / np.float32(WHITE)

    def _run(self, images):
        return self._forward(images=tf.constant(images, self._entering))


def _inputs(signature):
    return signature.structured_input_signature[1]


def _no_export(path, reason):
    return ValueError(
        "--directory must be an export of irevnet-export. Received: "
        f"--directory={path}, of which is said: {reason.rstrip('.')}"
    )
