"""Measure accuracy and inversion error of a network.

    irevnet-evaluate --run_dir=runs/digits
    irevnet-evaluate --weights=fashion_mnist --dataset=photographs_of_clothes
    irevnet-evaluate --keras_file=tuned.keras --dataset=cifar10

The results are printed as a table. Those of a training run on its own test
data are written to evaluation.json in the run directory, others to --output.
In these files null stands for a number that is not finite.
"""

import dataclasses
import math
import pathlib

import keras
import numpy as np
from absl import app

from irevnet_tf.apps.class_matching import CLASS_NAMES
from irevnet_tf.apps.class_matching import matched_classes
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.image_data import DataRequest
from irevnet_tf.apps.image_data import load_data
from irevnet_tf.apps.image_data import parse_names
from irevnet_tf.apps.launch import check_writable
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import check_network
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.atomic import write_json
from irevnet_tf.data import Dataset
from irevnet_tf.data.decoding import UnreadableImageError
from irevnet_tf.evaluation import Evaluation
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.export.ends import check_ends
from irevnet_tf.export.inference import refuse_layers_in_front
from irevnet_tf.models.chains import find_chains
from irevnet_tf.settings import setting
from irevnet_tf.training import TrainedRun


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(DataRequest):
    """The flags, by their names."""

    batch_size: int | None = setting(
        None,
        "Images that are computed at a time; 64, or those of a step of the "
        "run, if not given.",
        least=1,
    )
    class_names: str | None = setting(None, CLASS_NAMES)
    output: str | None = setting(
        None,
        "The JSON file for the results; evaluation.json in the run directory "
        "for a run's own test data, none for others, if not given.",
    )


def evaluate_network(request: Request) -> Evaluation:
    """Measure a network, and write the results where they belong.

    Args:
        request: `Request`. What to measure.

    Returns:
        What was measured.

    Raises:
        app.UsageError: if anything is not as it should be.
    """
    check_network(request)
    if request.output is not None:
        check_writable("--output", request.output)
    with usage_errors():
        source = load_network(request)
        check_ends(source.model)
        # The first of several, or None: without an inverse, accuracy is left.
        chain = next(iter(find_chains(source.model)), None)
        if chain is not None:
            refuse_layers_in_front(source.model, chain)
        dataset = load_data(request, source, chain, only_tests=True)
    trained, size = source.trained, request.batch_size
    if size is None:
        size = trained.directory.config.batch_size if trained else 64
    names = parse_names(request.class_names) or source.class_names
    with usage_errors():
        classes = matched_classes(source, dataset, names)
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
        trained: `TrainedRun`. The run, whose directory receives the
            `evaluation.json`.

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
    try:
        with waiting(f"Measuring on {dataset.test.count:,} images") as progress:
            return Evaluator(model).on(
                dataset, dataset.test, batch_size, classes, progress
            )
    except UnreadableImageError as error:
        raise app.UsageError(str(error)) from error


def _values(result: Evaluation) -> dict[str, float]:
    names = (
        "accuracy",
        "images",
        "correct",
        "inversion_error_mean",
        "inversion_error_max",
        "absolute_error_max",
    )
    return {name: getattr(result, name) for name in names}


def table(result: Evaluation) -> str:
    """Return the measurements as lines of text."""
    accuracy = (
        f"test accuracy             {result.accuracy:.2%} "
        f"({result.correct} of {result.images} images)\n"
    )
    if math.isnan(result.inversion_error_max):
        return f"{accuracy}inverts                   {result.inverted}"
    return (
        f"{accuracy}"
        f"inverts                   {result.inverted}\n"
        f"inversion error, mean     {result.inversion_error_mean:.1e} "
        "(relative, per image)\n"
        f"inversion error, largest  {result.inversion_error_max:.1e}\n"
        f"largest difference        {result.absolute_error_max:.1e}"
    )


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    print(table(evaluate_network(from_flags(Request))))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
