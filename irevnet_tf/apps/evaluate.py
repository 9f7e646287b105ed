"""Measure accuracy and inversion error of a trained network.

    irevnet-evaluate --run_dir=runs/digits

The results are printed as a table and written to evaluation.json in the run
directory, where null stands for a number that is not finite.
"""

import dataclasses

from absl import app
from absl import flags

from irevnet_tf.apps.data_flags import DATA_DIR
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.run_flags import RUN_DIR
from irevnet_tf.apps.trained_run import BEST
from irevnet_tf.apps.trained_run import TrainedRun
from irevnet_tf.apps.trained_run import load_trained_run
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data.unreadable import UnreadableImageError
from irevnet_tf.data.unreadable import naming_unreadable_files
from irevnet_tf.evaluation import Evaluation
from irevnet_tf.evaluation import evaluate

flags.declare_key_flag(RUN_DIR)
flags.declare_key_flag(DATA_DIR)
flags.declare_key_flag(BEST)


def evaluate_run(trained: TrainedRun) -> Evaluation:
    """Measure a run's network on its test data and record the result.

    Args:
        trained: The run, whose directory receives the `evaluation.json`.

    Returns:
        What was measured.

    Raises:
        app.UsageError: if a file of the test data is no whole image.
    """
    dataset = trained.dataset
    batches = evaluation_batches(
        dataset, dataset.test, trained.directory.config.batch_size
    )
    try:
        with naming_unreadable_files(dataset.test, dataset.image_shape):
            result = evaluate(trained.model, batches)
    except UnreadableImageError as error:
        raise app.UsageError(str(error)) from error
    trained.directory.write_evaluation(
        {"accuracy": result.accuracy, **dataclasses.asdict(result)}
    )
    return result


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
    trained = load_trained_run(RUN_DIR.value, DATA_DIR.value, best=BEST.value)
    print(table(evaluate_run(trained)))


def run() -> None:
    launch(main)


if __name__ == "__main__":
    run()
