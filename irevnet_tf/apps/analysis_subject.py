"""What is analysed: a network, and a data set whose images it takes."""

import dataclasses
import functools
import hashlib
import pathlib

import keras
import numpy as np
from absl import app

from irevnet_tf.analysis.arguments import check_window
from irevnet_tf.analysis.network import Network
from irevnet_tf.apps.analyze_flags import Request
from irevnet_tf.apps.analyze_flags import parse_point
from irevnet_tf.apps.analyze_flags import parse_points
from irevnet_tf.apps.analyze_flags import parse_window
from irevnet_tf.apps.data_flags import DATA_DIR
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import Source
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.data import Dataset
from irevnet_tf.data import load_dataset
from irevnet_tf.models.chain import find_chain
from irevnet_tf.models.model import find_preprocessing
from irevnet_tf.models.predictions import class_names


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A network and a data set that fit each other.

    Attributes:
        model: The network.
        name: What it is called.
        dataset: The data, scaled as the network's images are.
        fraction_bits: Of a lossless network, None of an ordinary one.
        classifies: Whether the network does.
        class_names: How the network's classes are called, None if it has
            none, or if nothing tells.
    """

    model: keras.Model
    name: str
    dataset: Dataset
    fraction_bits: int | None
    classifies: bool
    class_names: tuple[str, ...] | None

    @functools.cached_property
    def identity(self) -> dict[str, object]:
        """What results depend on, beside a study's settings, as JSON has it."""
        normalization = self.dataset.normalization
        return {
            "model": self.name,
            "weights_sha256": weights_sha256(self.model),
            "fraction_bits": self.fraction_bits,
            "dataset": self.dataset.name,
            "image_shape": list(self.dataset.image_shape),
            "mean": list(normalization.mean),
            "std": list(normalization.std),
        }


def weights_sha256(model: keras.Model) -> str:
    """Return the SHA-256 of a model's weights: shapes and bytes, in order.

    Names do not count: Keras numbers layers as they are made.
    """
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def load_subject(request: Request) -> Subject:
    """Load the network and the data that the flags name.

    Raises:
        app.UsageError: if one cannot be loaded, if they do not fit each
            other, or if other flags do not fit them.
    """
    with usage_errors():
        source = load_network(request)
        chain = find_chain(source.model)
        dataset = _load_data(request, source)
        preprocessing = (
            source.preprocessing
            or find_preprocessing(chain)
            or dataset.normalization
        )
        network = Network(source.model, preprocessing)
    _check_fit(network, dataset)
    _check_points(network, request)
    normalization = dataclasses.replace(
        network.normalization, maximum=dataset.normalization.maximum
    )
    with usage_errors():
        check_window(parse_window(request.window), dataset.image_shape[:2])
    return Subject(
        source.model,
        source.name,
        dataclasses.replace(dataset, normalization=normalization),
        network.fraction_bits,
        network.optional_head() is not None,
        _class_names(network, source.class_names or dataset.class_names),
    )


def _class_names(network, names):
    """Return names if they are of the classes that a network tells apart."""
    head = network.optional_head()
    if isinstance(names, str):
        names = class_names(names)
    if head is None or len(names) != head.classes:
        return None
    return tuple(names)


def _load_data(request: Request, source: Source) -> Dataset:
    name = request.dataset
    if name is None and source.dataset is not None:
        if request.image_size is not None:
            raise app.UsageError(
                "--image_size needs --dataset: a run's images have their "
                f"size. Received: --image_size={request.image_size}"
            )
        return source.dataset
    name = name or source.dataset_name
    if name is None:
        raise app.UsageError(
            "--dataset is needed where nothing tells what the network was "
            "trained with. Received: --dataset=None"
        )
    size, channels = request.image_size, None
    folder = pathlib.Path(name)
    if folder.is_dir() and not (folder / "dataset_info.json").exists():
        # Only these are converted to what they have to be.
        name = str(folder)  # Without a slash at its end.
        *sides, channels = source.model.inputs[0].shape[1:]
        if size is None and len(set(sides)) == 1:
            size = sides[0]
    return load_dataset(
        name,
        data_dir=DATA_DIR.value,
        image_size=size,
        image_channels=channels,
    )


def _check_fit(network, dataset):
    """Refuse images that are not as the network takes them."""
    shape = network.input_shape
    pairs = zip(shape, dataset.image_shape, strict=True)
    if not all(side in (None, found) for side, found in pairs):
        raise app.UsageError(
            f"--dataset must have images of {shape_text(shape)}, as the "
            f"network takes them. Received: --dataset={dataset.name}, with "
            f"images of {shape_text(dataset.image_shape)}"
        )
    factor = network.chain.downsampling
    if any(side % factor for side in dataset.image_shape[:2]):
        raise app.UsageError(
            "--dataset must have images whose height and width are divisible "
            f"by {factor}, as the network needs it. Received: "
            f"--dataset={dataset.name}, with images of "
            f"{shape_text(dataset.image_shape)}"
        )


def _check_points(network, request):
    for flag, text, found in (
        ("--point", request.point, [parse_point(request.point)]),
        ("--points", request.points, parse_points(request.points)),
    ):
        if text is None:
            continue
        try:
            network.points(found)
        except ValueError as error:
            raise app.UsageError(f"{flag}: {error}") from error


def shape_text(shape) -> str:
    """Return a shape as people write it, such as 28x28x1."""
    return "x".join("any" if side is None else str(side) for side in shape)
