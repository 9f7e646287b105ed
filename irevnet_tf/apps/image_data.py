"""Data sets for commands: their flags, and loading them."""

import dataclasses
import pathlib

from absl import app

from irevnet_tf.apps.launch import say
from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.apps.network_source import Source
from irevnet_tf.data import Dataset
from irevnet_tf.data import image_folder
from irevnet_tf.data import load_dataset
from irevnet_tf.data.loading import is_image_folder
from irevnet_tf.export.checks import check_normalization
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.model import find_preprocessing
from irevnet_tf.preprocessing import NORMALIZATIONS
from irevnet_tf.preprocessing import Normalization
from irevnet_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataRequest(NetworkRequest):
    """The flags that choose a network and a data set, by their names."""

    dataset: str | None = setting(
        None,
        "The data, as of irevnet-train; that of the run, or of the weights of "
        "a name, if not given.",
    )
    image_size: int | None = setting(
        None,
        "Height and width of images that come in many sizes; the network's "
        "own, if it has one, for a folder of images.",
        least=1,
    )


def load_data(
    request: DataRequest,
    source: Source,
    chain: Chain | None,
    *,
    only_tests: bool = False,
) -> Dataset:
    """Load the data set that the flags name, scaled as the network wants it.

    Args:
        request: `DataRequest`. The flags.
        source: `Source`. The network.
        chain: None or `Chain`. Its invertible layers, None if it has none.
        only_tests: bool. Whether only test images are needed; a folder may then
            hold nothing else.

    Raises:
        ValueError: if the data set cannot be loaded.
        app.UsageError: if flags are missing, or if the network cannot take
            its images.
    """
    dataset = _load(request, source, only_tests)
    _check_fit(tuple(source.model.inputs[0].shape[1:]), chain, dataset)
    scale = normalization(request, source, chain, dataset.normalization)
    scale = dataclasses.replace(scale, maximum=dataset.normalization.maximum)
    return dataclasses.replace(dataset, normalization=scale)


def normalization(
    request: DataRequest,
    source: Source,
    chain: Chain | None,
    otherwise: Normalization | None = None,
) -> Normalization:
    """Return how a network's images are scaled, and print a guess.

    Args:
        request: `DataRequest`. The flags.
        source: `Source`. The network.
        chain: None or `Chain`. Its invertible layers, None if it has none.
        otherwise: None or `Normalization`. What to guess if the scaling is not
            known, None for "unit".

    Raises:
        ValueError: if it does not fit the network's images.
    """
    preprocessing = (
        request.preprocessing
        or source.preprocessing
        or (chain and find_preprocessing(chain))
    )
    if preprocessing is None:
        preprocessing = otherwise or NORMALIZATIONS["unit"]
        say(
            "Nothing tells how images were scaled in training: taking "
            f"mean {preprocessing.mean}, standard deviation "
            f"{preprocessing.std} of values from 0 to 1. --preprocessing says "
            "it."
        )
    return check_normalization(preprocessing, source.model.inputs[0].shape[-1])


def _load(request, source, only_tests):
    name = request.dataset
    if name is None and source.trained is not None:
        if request.image_size is not None:
            raise app.UsageError(
                "--image_size needs --dataset: a run's images have their "
                f"size. Received: --image_size={request.image_size}"
            )
        return source.trained.dataset
    name = name or source.dataset_name
    if name is None:
        raise app.UsageError(
            "--dataset is needed where nothing tells what the network was "
            "trained with. Received: --dataset=None"
        )
    size, channels = request.image_size, None
    if is_image_folder(name):
        # Only these are converted to what they have to be.
        name = str(pathlib.Path(name))  # Without a slash at its end.
        *sides, channels = source.model.inputs[0].shape[1:]
        if size is None and len(set(sides)) == 1:
            size = sides[0]
        if only_tests:
            return image_folder.load_tests(
                name, image_size=size, image_channels=channels
            )
    return load_dataset(
        name,
        data_dir=request.data_dir,
        image_size=size,
        image_channels=channels,
    )


def _check_fit(shape, chain, dataset):
    """Refuse images of a shape that the network does not take."""
    pairs = zip(shape, dataset.image_shape, strict=True)
    if not all(side in (None, found) for side, found in pairs):
        raise app.UsageError(
            f"--dataset must have images of {shape_text(shape)}, as the "
            f"network takes them. Received: --dataset={dataset.name}, with "
            f"images of {shape_text(dataset.image_shape)}"
        )
    factor = 1 if chain is None else chain.downsampling
    if any(side % factor for side in dataset.image_shape[:2]):
        raise app.UsageError(
            "--dataset must have images whose height and width are divisible "
            f"by {factor}, as the network needs it. Received: "
            f"--dataset={dataset.name}, with images of "
            f"{shape_text(dataset.image_shape)}"
        )


def shape_text(shape) -> str:
    """Return a shape as people write it, such as 28x28x1."""
    return "x".join("any" if side is None else str(side) for side in shape)


def parse_point(text: str | None) -> int | str | None:
    """Return a stage's number as an int, and other points by name."""
    return int(text) if text and text.isdecimal() else text


def parse_names(text: str | None) -> tuple[str, ...] | str | None:
    """Return --class_names as names, or as the name of a data set."""
    names = tuple(name.strip() for name in (text or "").split(","))
    return names if len(names) > 1 else text
