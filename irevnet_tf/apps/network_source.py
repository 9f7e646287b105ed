"""Which network a command works on: its flags, and loading it.

From a training run, from a .keras file, or by name with weights.
"""

import dataclasses
from typing import Self

import keras
from absl import app
from absl import flags

from irevnet_tf.apps.data_flags import DATA_DIR
from irevnet_tf.apps.trained_run import BEST
from irevnet_tf.apps.trained_run import load_trained_run
from irevnet_tf.data import Dataset
from irevnet_tf.models.chain import find_chain
from irevnet_tf.models.model import find_preprocessing
from irevnet_tf.models.variants import CONSTRUCTORS
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.pixel_normalization import Normalization
from irevnet_tf.zoo.registry import find_record

flags.declare_key_flag(BEST)
flags.declare_key_flag(DATA_DIR)


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A network, and what is known of its images and classes.

    Attributes:
        model: The network.
        name: What it is called.
        preprocessing: How its images are scaled, None if nothing tells.
        class_names: How its classes are called, or the data set of
            `irevnet_tf.decode_predictions` that knows; None if nothing tells.
        dataset_name: The data set of its training, None if nothing tells.
        dataset: That data set itself, of a training run.
    """

    model: keras.Model
    name: str
    preprocessing: str | Normalization | None
    class_names: str | tuple[str, ...] | None
    dataset_name: str | None = None
    dataset: Dataset | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkRequest:
    """The flags that choose a network, by their names."""

    run_dir: str | None
    keras_file: str | None
    model: str | None
    weights: str | None
    classes: int | None
    image_channels: int | None
    lossless: bool | None

    @classmethod
    def from_flags(cls, values: flags.FlagValues) -> Self:
        """Return the values of the flags that this class has."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: values[name].value for name in names})


def define_network_flags(values: flags.FlagValues) -> None:
    """Define the flags of a `NetworkRequest`.

    Not on import: other applications have flags of the same names.
    """
    flags.DEFINE_string(
        "run_dir",
        None,
        "Take the network of a training run.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "keras_file",
        None,
        "Take a model that was saved as a .keras file.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "model",
        None,
        sorted(VARIANTS),
        "Take this network, with --weights.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "weights",
        None,
        "With --model: the name of its weights, or a .weights.h5 file.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "classes",
        None,
        "With --weights of a file: the number of classes, if not the usual.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_channels",
        None,
        "With --weights of a file, which does not tell: the images' channels, "
        "3 if not given.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "lossless",
        None,
        "With --model: whether the inverse is to be exact to the last bit; as "
        "in training if not given, no for a file.",
        flag_values=values,
    )


def check_network(request: NetworkRequest) -> None:
    """Refuse flags of one kind of network with another.

    Raises:
        app.UsageError: if there are such flags.
    """
    of_model = {
        "--weights": request.weights,
        "--classes": request.classes,
        "--image_channels": request.image_channels,
        "--lossless": request.lossless,
    }
    if request.model is None and set(of_model.values()) != {None}:
        given = [flag for flag, value in of_model.items() if value is not None]
        raise app.UsageError(
            f"{', '.join(given)} need --model: other networks are taken as "
            "they are. Received: --model=None"
        )
    if BEST.value and request.run_dir is None:
        raise app.UsageError("--best needs --run_dir. Received: --run_dir=None")


def load_network(request: NetworkRequest) -> Source:
    """Load the network that the flags name.

    Raises:
        ValueError: if they name none or several, or if it cannot be loaded.
        app.UsageError: if the training run cannot be loaded.
        OSError: if a file cannot be read.
    """
    sources = {
        "--run_dir": request.run_dir,
        "--keras_file": request.keras_file,
        "--model": request.model,
    }
    given = [flag for flag, value in sources.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            "Exactly one of --run_dir, --keras_file and --model is needed. "
            f"Received: {', '.join(given) or 'none of them'}"
        )
    if request.run_dir is not None:
        return _of_run(request.run_dir)
    if request.keras_file is not None:
        model = keras.saving.load_model(request.keras_file, compile=False)
        preprocessing = find_preprocessing(find_chain(model))
        return Source(model, model.name, preprocessing, None)
    return _of_weights(request)


def _of_run(run_dir):
    trained = load_trained_run(run_dir, DATA_DIR.value, best=BEST.value)
    dataset = trained.dataset
    return Source(
        trained.model,
        trained.directory.config.model,
        dataset.normalization,
        dataset.class_names,
        dataset.name,
        dataset,
    )


def _of_weights(request):
    if request.weights is None:
        raise ValueError(
            "--model needs --weights: the name of its weights, or a file. "
            "Received: --weights=None"
        )
    record = find_record(request.model, request.weights)
    lossless = request.lossless
    if lossless is None:
        lossless = record is not None and record.lossless
    arguments = {"weights": request.weights, "lossless": lossless}
    if request.classes is not None:
        arguments["classes"] = request.classes
    if request.image_channels is not None:
        arguments["input_shape"] = (None, None, request.image_channels)
    model = CONSTRUCTORS[request.model](**arguments)
    if record is None:
        return Source(model, request.model, None, None)
    return Source(
        model,
        request.model,
        record.preprocessing,
        record.class_names,
        record.dataset,
    )
