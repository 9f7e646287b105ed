"""Put the weights of a finished training run into weights/.

    python tools/publish_weights.py --run_dir=runs/digits \
        --recipe=recipes/digits.flags --hardware="2 cores of an AMD EPYC"

in a checkout copies the run's last weights, measures them on the test data in
both modes, draws its curves, and writes the entry in registry.json. The run
must be finished and must be the recipe's, so that the recorded command repeats
it.
"""

import dataclasses
import importlib.metadata
import json
import pathlib
import shutil

from absl import app
from absl import flags

from irevnet_tf.apps.flags import DATA_DIR
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.invert import draw_inversions
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.atomic import replacing
from irevnet_tf.evaluation import Evaluation
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.models.predictions import class_names
from irevnet_tf.pictures import curves_figure
from irevnet_tf.pictures import write_picture
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.settings import setting
from irevnet_tf.training import RunConfig
from irevnet_tf.training import TrainedRun
from irevnet_tf.training import build_model
from irevnet_tf.training import count_parameters
from irevnet_tf.training import load_trained_run
from irevnet_tf.training import run_length
from irevnet_tf.zoo.files import SUFFIX
from irevnet_tf.zoo.record import WeightsRecord
from irevnet_tf.zoo.registry import REGISTRY_FILE
from irevnet_tf.zoo.registry import file_sha256
from irevnet_tf.zoo.registry import weights_directory

FOLDER = weights_directory()
PICTURED = 10
PACKAGES = ("keras", "numpy", "tensorflow")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The flags, by their names."""

    run_dir: str | None = setting(None, "Directory of the training run.")
    recipe: str | None = setting(None, "The run's flag file, in recipes/.")
    hardware: str | None = setting(None, "What the run was trained on.")
    data_dir: str | None = setting(None, DATA_DIR)


def read_recipe(path: str) -> RunConfig:
    """Return the configuration that irevnet-train makes of a flag file.

    Raises:
        app.UsageError: if there is no such file, or if it is no recipe.
    """
    values = flags.FlagValues()  # The recipe is all that counts.
    define_flags(RunConfig, values)
    try:
        values(["publish", f"--flagfile={path}"])
        return from_flags(RunConfig, values)
    except flags.Error as error:
        raise app.UsageError(
            f"--recipe must be a flag file of irevnet-train, but: {error}. "
            f"Received: --recipe={path}"
        ) from error


def require_publishable(
    trained: TrainedRun, recipe: RunConfig, path: str
) -> None:
    """Raise app.UsageError unless the run is all of the recipe.

    And unless users can scale their images and name the classes as the run
    did.
    """
    config, dataset = trained.directory.config, trained.dataset
    if config != recipe:
        raise app.UsageError(
            f"--run_dir must be a run of {path}. "
            f"Received: {config} instead of {recipe}"
        )
    epochs = run_length(config, dataset).epochs
    finished = len(trained.directory.read_metrics())
    if finished < epochs:
        raise app.UsageError(
            f"--run_dir must be a finished run of {epochs} epochs. "
            f"Received: {finished} epochs"
        )
    if dataset.normalization != PREPROCESSING.get(config.dataset):
        raise app.UsageError(
            "--run_dir must be a run on a data set that `preprocess_input` "
            f"has, scaled as there. Received: {config.dataset}, scaled by "
            f"{dataset.normalization}"
        )
    if list(dataset.class_names) != class_names(config.dataset):
        raise app.UsageError(
            "--run_dir must be a run on a data set that `decode_predictions` "
            f"has, with these classes. Received: {dataset.class_names}"
        )


def measure(trained: TrainedRun, *, lossless: bool) -> Evaluation:
    """Evaluate the last weights on the test data in one of the modes."""
    config = dataclasses.replace(trained.directory.config, lossless=lossless)
    weights = trained.directory.trained_weights()
    model = build_model(config, trained.dataset, weights)
    dataset = trained.dataset
    return Evaluator(model).on(dataset, dataset.test, config.batch_size)


def training_hours(trained: TrainedRun) -> float:
    """Return how long the training steps took, without evaluations."""
    config = trained.directory.config
    steps = run_length(config, trained.dataset).steps_per_epoch
    seconds = sum(
        steps * config.batch_size / row["images_per_second"]
        for row in trained.directory.read_metrics()
    )
    return round(seconds / 3600, 2)


def make_record(trained: TrainedRun, request: Request) -> WeightsRecord:
    """Measure the run and describe it."""
    config = trained.directory.config
    results = {mode: measure(trained, lossless=mode) for mode in (True, False)}
    recipe = pathlib.Path(request.recipe)
    own = results[config.lossless]
    return WeightsRecord(
        model=config.model,
        name=config.dataset,
        description=f"{config.model} trained on {config.dataset}.",
        file=f"{config.model.lower()}_{config.dataset}{SUFFIX}",
        sha256=file_sha256(trained.directory.trained_weights()),
        source="trained by this package",
        licence="Apache-2.0",
        dataset=config.dataset,
        parameters=count_parameters(trained.model),
        input_shape=tuple(trained.dataset.image_shape),
        preprocessing=config.dataset,
        classes=len(trained.dataset.class_names),
        class_names=config.dataset,
        lossless=config.lossless,
        fraction_bits=config.fraction_bits if config.lossless else None,
        command=f"irevnet-train --flagfile=recipes/{recipe.name} "
        f"--run_dir=runs/{recipe.stem}",
        seed=config.seed,
        hardware=request.hardware,
        hours=training_hours(trained),
        accuracy=own.accuracy,
        accuracy_by="this package, weights after the last epoch",
        inversion_error=own.inversion_error_mean,
        inversion_error_ordinary=results[False].inversion_error_mean,
        packages={name: importlib.metadata.version(name) for name in PACKAGES},
    )


def draw(trained: TrainedRun, stem: str) -> None:
    """Draw the curves and some reconstructions for the model card."""
    curves = curves_figure(trained.directory.read_metrics())
    write_picture(curves, FOLDER / f"{stem}_curves.png")
    draw_inversions(trained, FOLDER / f"{stem}_inversion.png", PICTURED)


def registry_with(record: WeightsRecord, path: pathlib.Path) -> str:
    """Return the text of a registry with a record in the place of the old one.

    Args:
        record: `WeightsRecord`. The new record.
        path: path. The registry's file.
    """
    records = json.loads(path.read_text(encoding="utf-8"))

    def key(record):
        portable = record.get("portable", False)
        return (record["model"], record["name"], portable)

    new = record.to_dict()
    kept = [old for old in records if key(old) != key(new)]
    return json.dumps(sorted([*kept, new], key=key), indent=2) + "\n"


def install(trained: TrainedRun, record: WeightsRecord) -> None:
    """Copy the weights, and put the record in the place of the old one."""
    path = FOLDER / REGISTRY_FILE
    text = registry_with(record, path)
    with (
        replacing(path) as registry,
        replacing(FOLDER / record.file) as weights,
    ):
        registry.write_text(text, encoding="utf-8")
        shutil.copyfile(trained.directory.trained_weights(), weights)


def publish(request: Request) -> WeightsRecord:
    """Put the weights of a run into weights/, and return their record.

    Raises:
        app.UsageError: if it is not a finished run of the recipe.
    """
    needed = (request.run_dir, request.recipe, request.hardware)
    if not all(needed):
        raise app.UsageError(
            "--run_dir, --recipe and --hardware are needed. Received: "
            f"--run_dir={request.run_dir}, --recipe={request.recipe}, "
            f"--hardware={request.hardware}"
        )
    recipe = read_recipe(request.recipe)
    with usage_errors():
        trained = load_trained_run(request.run_dir, request.data_dir)
    require_publishable(trained, recipe, request.recipe)
    record = make_record(trained, request)
    draw(trained, record.file.removesuffix(SUFFIX))
    install(trained, record)
    return record


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    record = publish(from_flags(Request))
    print(json.dumps(record.to_dict(), indent=2))


if __name__ == "__main__":
    define_flags(Request)
    launch(main)
