"""Measure accuracy and inversion error of a network.

    irevnet-evaluate --run_dir=runs/digits
    irevnet-evaluate --weights=fashion_mnist --dataset=photographs_of_clothes
    irevnet-evaluate --keras_file=tuned.keras --dataset=cifar10

The results are printed as a table. Those of a training run on its own test
data are written to evaluation.json in the run directory, others to --output;
there null stands for a number that is not finite.
"""

import dataclasses
import pathlib

import keras
import numpy as np
from absl import app

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.image_data import DataRequest
from irevnet_tf.apps.image_data import load_data
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import Source
from irevnet_tf.apps.network_source import check_network
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.apps.trained_run import TrainedRun
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.atomic import write_json
from irevnet_tf.data import Dataset
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data.unreadable import UnreadableImageError
from irevnet_tf.data.unreadable import naming_unreadable_files
from irevnet_tf.evaluation import Evaluation
from irevnet_tf.evaluation import evaluate
from irevnet_tf.export.inference import check_model
from irevnet_tf.models.predictions import class_names
from irevnet_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(DataRequest):
    """The flags, by their names."""

    batch_size: int | None = setting(
        None,
        "Images that are computed at a time; 64, or those of a step of the "
        "run, if not given.",
        least=1,
    )
    output: str | None = setting(
        None,
        "The JSON file for the results; evaluation.json in the run directory "
        "for a run's own test data, none for others, if not given.",
    )


def evaluate_network(request: Request) -> Evaluation:
    """Measure a network, and write the results where they belong.

    Args:
        request: What to measure.

    Raises:
        app.UsageError: if anything is not as it should be.
    """
    check_network(request)
    if request.output is not None:
        with usage_errors():
            require_replaceable(request.output)
    with usage_errors():
        source = load_network(request)
        chain = check_model(source.model)
        dataset = load_data(request, source, chain, only_tests=True)
    trained, size = source.trained, request.batch_size
    if size is None:
        size = trained.directory.config.batch_size if trained else 64
    classes = _classes(source, dataset)
    result = _evaluate(source.model, dataset, size, classes)
    if request.output is not None:
        with usage_errors():
            write_json(pathlib.Path(request.output), _values(result))
    elif trained is not None and request.dataset is None:
        trained.directory.write_evaluation(_values(result))
    return result


def evaluate_run(trained: TrainedRun) -> Evaluation:
    """Measure a run's network on its test data and record the result.

    Args:
        trained: The run, whose directory receives the `evaluation.json`.

    Returns:
        What was measured.

    Raises:
        app.UsageError: if a file of the test data is no whole image.
    """
    result = _evaluate(
        trained.model, trained.dataset, trained.directory.config.batch_size
    )
    trained.directory.write_evaluation(_values(result))
    return result


def _evaluate(
    model: keras.Model,
    dataset: Dataset,
    batch_size: int,
    classes: np.ndarray | None = None,
) -> Evaluation:
    batches = evaluation_batches(dataset, dataset.test, batch_size)
    try:
        with naming_unreadable_files(dataset.test, dataset.image_shape):
            return evaluate(model, batches, classes)
    except UnreadableImageError as error:
        raise app.UsageError(str(error)) from error


def _values(result: Evaluation) -> dict[str, float]:
    return {"accuracy": result.accuracy, **dataclasses.asdict(result)}


def _classes(source: Source, dataset: Dataset) -> np.ndarray | None:
    """Return the network's class for each of the data's, None if as they are.

    By their names where both are known: folders are in alphabetical order.
    """
    shape = source.model.outputs[0].shape
    if len(shape) != 2:
        raise app.UsageError(
            "The network must end in a classifier. "
            f"Received: {source.name} with output shape={tuple(shape)}"
        )
    names = source.class_names
    if isinstance(names, str):
        names = class_names(names)
    if names is None or len(names) != shape[-1]:
        if len(dataset.class_names) != shape[-1]:
            raise app.UsageError(
                f"--dataset must have {shape[-1]} classes, as the network "
                f"tells apart. Received: --dataset={dataset.name}, with "
                f"{len(dataset.class_names)}"
            )
        return None
    if tuple(names) == tuple(dataset.class_names):
        return None
    places = {name: place for place, name in enumerate(names)}
    unknown = [name for name in dataset.class_names if name not in places]
    if unknown:
        raise app.UsageError(
            f"--dataset must have classes that the network knows, which are "
            f"{_listed(names)}. Received: --dataset={dataset.name}, with "
            f"{_listed(unknown)}"
        )
    return np.array([places[name] for name in dataset.class_names])


def _listed(names, most=20) -> str:
    text = ", ".join(names[:most])
    return f"{text}, ..." if len(names) > most else text


def table(result: Evaluation) -> str:
    """Return the lines that tell a person what was measured."""
    return (
        f"test accuracy             {result.accuracy:.2%} "
        f"({result.correct} of {result.images} images)\n"
        f"inversion error, mean     {result.inversion_error_mean:.1e} "
        "(relative, per image)\n"
        f"inversion error, largest  {result.inversion_error_max:.1e}\n"
        f"largest pixel difference  {result.absolute_error_max:.1e}"
    )


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    print(table(evaluate_network(from_flags(Request))))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
