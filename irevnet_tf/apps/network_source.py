"""Networks for commands: their flags, and loading them.

A network comes from a training run, from a .keras file, or by name with
weights.
"""

import dataclasses
import zipfile

import keras
from absl import app

from irevnet_tf.apps.flags import DATA_DIR
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.models.constructors import CONSTRUCTORS
from irevnet_tf.models.model import preprocessing_of
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.preprocessing import Normalization
from irevnet_tf.settings import setting
from irevnet_tf.training import TrainedRun
from irevnet_tf.training import load_trained_run
from irevnet_tf.zoo.recipes import recipe_sentence
from irevnet_tf.zoo.registry import find_record
from irevnet_tf.zoo.registry import weights_records


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A network, and what is known about its images and classes.

    Attributes:
        model: Keras model. The network.
        name: str. Its name.
        preprocessing: None, str or `Normalization`. How its images are scaled,
            None if not known.
        class_names: None, str or tuple of str. The names of its classes, or the
            data set of `irevnet_tf.decode_predictions` that has them; None if
            not known.
        dataset_name: None or str. The data set of its training, None if not
            known.
        trained: None or `TrainedRun`. Its training run, None for a network from
            elsewhere.
    """

    model: keras.Model
    name: str
    preprocessing: str | Normalization | None
    class_names: str | tuple[str, ...] | None
    dataset_name: str | None = None
    trained: TrainedRun | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkRequest:
    """The flags that choose a network, by their names."""

    run_dir: str | None = setting(
        None, "Take the network of a training run: its directory."
    )
    best: bool = setting(
        False,
        "With --run_dir: the best weights by validation instead of the last "
        "ones.",
    )
    keras_file: str | None = setting(
        None, "Take a model that was saved as a .keras file."
    )
    model: str | None = setting(
        None,
        "Take this network, with --weights; not needed with weights of a name "
        "that only one network has.",
        sorted(CONSTRUCTORS),
    )
    weights: str | None = setting(
        None, "The name of the network's weights, or a .weights.h5 file."
    )
    classes: int | None = setting(
        None,
        "With --weights of a file: the number of classes, if not the usual.",
        least=1,
    )
    image_channels: int | None = setting(
        None,
        "With --weights of a file, which does not tell: the images' channels, "
        "3 if not given.",
        least=1,
    )
    lossless: bool | None = setting(
        None,
        "With --weights: whether the inverse is to be exact to the last bit; "
        "as in training if not given, no for a file.",
    )
    portable: bool = setting(
        False,
        "With --weights: take those of a portable network, of integers, as "
        "irevnet-portable makes them.",
    )
    preprocessing: str | None = setting(
        None,
        "How images were scaled in training; if not given, as for the run, the "
        "weights of a name, or the network in the file.",
        PREPROCESSING,
    )
    data_dir: str | None = setting(None, DATA_DIR)


def check_network(request: NetworkRequest) -> None:
    """Refuse flags of one kind of network with another.

    Raises:
        app.UsageError: if there are such flags.
    """
    of_weights = {
        "--model": request.model,
        "--classes": request.classes,
        "--image_channels": request.image_channels,
        "--lossless": request.lossless,
        "--portable": request.portable or None,
    }
    if request.weights is None and set(of_weights.values()) != {None}:
        given = [flag for flag, x in of_weights.items() if x is not None]
        raise app.UsageError(
            f"{', '.join(given)} need --weights: the name of weights, or a "
            "file. Other networks are taken as they are. "
            "Received: --weights=None"
        )
    if request.best and request.run_dir is None:
        raise app.UsageError("--best needs --run_dir. Received: --run_dir=None")


def load_network(request: NetworkRequest) -> Source:
    """Load the network that the flags name.

    Raises:
        ValueError: if they name none or several, or if it cannot be loaded.
        OSError: if a file cannot be read.
    """
    sources = {
        "--run_dir": request.run_dir,
        "--keras_file": request.keras_file,
        "--weights": request.weights,
    }
    given = [flag for flag, value in sources.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            "Exactly one of --run_dir, --keras_file and --weights is needed. "
            f"Received: {', '.join(given) or 'none of them'}"
        )
    with waiting("Loading the network"):
        if request.run_dir is not None:
            return _of_run(request)
        if request.keras_file is not None:
            return _of_file(request.keras_file)
        return _of_weights(request)


def _of_run(request):
    trained = load_trained_run(
        request.run_dir, request.data_dir, best=request.best
    )
    dataset = trained.dataset
    return Source(
        trained.model,
        trained.directory.config.model,
        dataset.normalization,
        dataset.class_names,
        dataset.name,
        trained,
    )


def _of_file(path):
    try:
        model = keras.saving.load_model(path, compile=False)
    except (KeyError, TypeError, zipfile.BadZipFile) as error:
        # The first line; Keras adds the network's whole configuration.
        reason = str(error).partition("\n")[0]
        raise ValueError(
            "--keras_file must be whole, and of layers that are known here. "
            f"Received: --keras_file={path}, of which is said: {reason}"
        ) from error
    return Source(model, model.name, preprocessing_of(model), None)


def _of_weights(request):
    name = request.model or _only_network_with(request.weights)
    record = find_record(name, request.weights, request.portable)
    lossless = request.lossless
    if lossless is None:
        lossless = record is not None and record.lossless
    arguments = {
        "weights": request.weights,
        "lossless": lossless,
        "portable": request.portable,
    }
    if request.classes is not None:
        arguments["classes"] = request.classes
    if request.image_channels is not None:
        arguments["input_shape"] = (None, None, request.image_channels)
    model = CONSTRUCTORS[name](**arguments)
    if record is None:
        return Source(model, name, None, None)
    return Source(
        model, name, record.preprocessing, record.class_names, record.dataset
    )


def _only_network_with(weights):
    """Return the name of the one network that has weights of this name."""
    names = {x.model for x in weights_records() if x.name == weights}
    if len(names) != 1:
        raise ValueError(
            "--weights must be a name that one network has "
            f"({', '.join(sorted({x.name for x in weights_records()}))}), or "
            f"be given with --model. {recipe_sentence(weights, '')}"
            f"Received: --weights={weights}, --model=None"
        )
    return names.pop()
