"""Subject: the network and the data set of an analysis."""

import dataclasses
import functools
import hashlib

import keras
import numpy as np
from absl import app

from irevnet_tf.analysis.arguments import check_window
from irevnet_tf.analysis.network import Network
from irevnet_tf.apps.analysis.flags import Request
from irevnet_tf.apps.analysis.flags import parse_points
from irevnet_tf.apps.analysis.flags import parse_window
from irevnet_tf.apps.image_data import load_data
from irevnet_tf.apps.image_data import parse_point
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.data import Dataset
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.predictions import class_names
from irevnet_tf.models.predictions import class_places


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A network and a data set that fit each other.

    Attributes:
        model: Keras model. The network.
        name: str. Its name.
        dataset: `Dataset`. The data, scaled as the network's images are.
        fraction_bits: None or int. Those of a lossless network, None for an
            ordinary one.
        classifies: bool. Whether the network has a classifier.
        class_names: None or tuple of str. The names of the network's classes,
            those of the data if not known. None without a classifier, or if it
            has another number of classes.
        labels_fit: bool. Whether the data's labels are the network's classes,
            in order.
    """

    model: keras.Model
    name: str
    dataset: Dataset
    fraction_bits: int | None
    classifies: bool
    class_names: tuple[str, ...] | None
    labels_fit: bool

    @functools.cached_property
    def identity(self) -> dict[str, object]:
        """What results depend on besides a study's settings, for JSON."""
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
        network = Network(source.model)
        dataset = load_data(request, source, chain)
    _check_points(network, request)
    with usage_errors():
        check_window(parse_window(request.window), dataset.image_shape[:2])
    return Subject(
        source.model,
        source.name,
        dataset,
        network.fraction_bits,
        network.optional_head() is not None,
        _class_names(network, source.class_names or dataset.class_names),
        _labels_fit(network, source.class_names, dataset),
    )


def _class_names(network, names):
    """Return names as a tuple if they are as many as a network's classes."""
    head = network.optional_head()
    if isinstance(names, str):
        names = class_names(names)
    if head is None or len(names) != head.classes:
        return None
    return tuple(names)


def _labels_fit(network, names, dataset):
    """Return whether the data's labels are the network's classes, in order."""
    head = network.optional_head()
    if head is None or head.classes != len(dataset.class_names):
        return False
    if names is None:
        return True  # Nothing tells the contrary.
    places = class_places(names, dataset.class_names)
    return places == list(range(len(places)))


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
