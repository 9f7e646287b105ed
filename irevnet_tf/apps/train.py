"""Train an i-RevNet and report its test accuracy.

The defaults train IRevNet28 on the digits that come with scikit-learn:

    irevnet-train --run_dir=runs/digits

Each file in recipes/ has the flags of another training:

    irevnet-train --flagfile=recipes/cifar10.flags --run_dir=runs/cifar10

The same command continues an interrupted run in the middle of the epoch,
however it was interrupted. The run directory holds the whole run;
irevnet-evaluate and irevnet-invert read it from there.

Exit status: 0 when the run is finished; 1, with a message, if a flag does not
fit, if the loss stops being finite, if a lossless network leaves its range, if
an image cannot be read or if a file cannot be written; 75 if the process was
asked to end by SIGTERM and has written a checkpoint; 76 if another worker was
lost; 130 after Ctrl-C, which loses the steps since the last checkpoint. After
75, 76 and 130 the same command continues, without anyone's help.
"""

import dataclasses
import sys

import tensorflow as tf
from absl import app
from absl import flags

from irevnet_tf.apps.flags import DATA_DIR
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import INTERRUPTED
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.data.decoding import UnreadableImageError
from irevnet_tf.distribution import STRATEGIES
from irevnet_tf.distribution import ChiefError
from irevnet_tf.distribution import PeerWatch
from irevnet_tf.distribution import is_chief
from irevnet_tf.distribution import make_strategy
from irevnet_tf.distribution import on_chief
from irevnet_tf.distribution import worker_count
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.pictures import curves_figure
from irevnet_tf.pictures import write_picture
from irevnet_tf.settings import setting
from irevnet_tf.training import DivergenceError
from irevnet_tf.training import Preempted
from irevnet_tf.training import ResumeError
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import RunOptions
from irevnet_tf.training import build_model
from irevnet_tf.training import load_data
from irevnet_tf.training import load_trained_run
from irevnet_tf.training import run_length
from irevnet_tf.training import train
from irevnet_tf.training.setup import check_devices
from irevnet_tf.training.setup import metrics_of
from irevnet_tf.training.summary import summarize

# The code that sysexits.h has for "try again later".
PREEMPTED = 75


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The flags, by their names, besides those of the run itself."""

    run_dir: str | None = setting(
        None,
        "Directory of the training run: its configuration, weights and "
        "results.",
    )
    data_dir: str | None = setting(None, DATA_DIR)
    strategy: str = setting(
        "none",
        "Devices: one, all of this machine (mirrored), all of several "
        "machines (multi_worker, found by TF_CONFIG or Slurm), or a TPU.",
        STRATEGIES,
    )
    eval_only: bool = setting(
        False,
        "Do not train: measure the run's weights on its test data, on all "
        "devices of --strategy.",
    )


# Those of `irevnet_tf.apps.commands`, too.
KINDS = (Request, RunConfig, RunOptions)
REQUIRED = ("run_dir",)
for kind in KINDS:
    define_flags(kind)
for name in REQUIRED:
    flags.mark_flag_as_required(name)


def train_run(
    run_dir: str,
    config: RunConfig,
    data_dir: str | None = None,
    options: RunOptions | None = None,
) -> None:
    """Train a network, printing a summary before and the accuracy after.

    It is trained on the devices of the current `tf.distribute` strategy.

    Args:
        run_dir: str. Path of the run directory.
        config: `RunConfig`. The run's configuration.
        data_dir: None or str. Directory of TFDS' data sets, None for the usual
            one.
        options: None or `RunOptions`. How to carry the run out.

    Raises:
        app.UsageError: if the configuration does not fit the data, the
            devices or the run directory.
        SystemExit: if training ends before its last step.
    """
    strategy = tf.distribute.get_strategy()
    chief = is_chief(strategy)
    try:
        check_devices(config, strategy)
        if worker_count(strategy) > 1:
            # Only one may download what all share.
            on_chief(strategy, lambda: load_data(config, data_dir))
        dataset = load_data(config, data_dir)
        model = build_model(config, dataset)
        length = run_length(config, dataset)  # Refuses too little data.
        on_chief(strategy, lambda: RunDirectory.create(run_dir, config))
        directory = RunDirectory.open(run_dir)
    except (ChiefError, ValueError) as error:
        raise app.UsageError(str(error)) from error
    if chief:
        print(summarize(model, dataset, directory, length), flush=True)
    try:
        last = train(model, dataset, directory, options)
        if chief:
            rows = directory.read_metrics()
            write_picture(curves_figure(rows), directory.curves_path)
    except (
        DivergenceError,
        OSError,
        ResumeError,
        UnreadableImageError,
    ) as error:
        sys.exit(f"Training stopped: {error}")
    except KeyboardInterrupt:
        print("\nInterrupted. The same command continues.", flush=True)
        sys.exit(INTERRUPTED)
    except Preempted as error:
        print(f"{error} The same command continues.", flush=True)
        sys.exit(PREEMPTED)
    if chief:
        print(
            f"Test accuracy after the last epoch: {last['test_accuracy']:.2%}",
            flush=True,
        )


def evaluate_only(run_dir: str, data_dir: str | None = None) -> None:
    """Print loss and accuracy of a run's last weights on its test data.

    Args:
        run_dir: str. Path of the run directory.
        data_dir: None or str. Directory of TFDS' data sets, None for the usual
            one.

    Raises:
        app.UsageError: if there are no weights, or if the data does not fit.
    """
    strategy = tf.distribute.get_strategy()
    try:
        run = load_trained_run(run_dir, data_dir, download=True)
        config = run.directory.config
        check_devices(config, strategy)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    size = config.batch_size // config.accumulation_steps
    try:
        with waiting("Measuring") as progress:
            found = Evaluator(run.model, inverse=False).on(
                run.dataset, run.dataset.test, size, progress=progress
            )
    except UnreadableImageError as error:
        raise app.UsageError(str(error)) from error
    if is_chief(strategy):
        measured = metrics_of(found, len(run.dataset.class_names))
        for name, value in measured.items():
            print(f"test {name.replace('_', ' ')}: {value:.4f}")


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    request = from_flags(Request)
    if request.strategy == "multi_worker":
        print("Waiting for the other workers", flush=True)
    # Before anything else: devices must be joined before they are used.
    try:
        strategy = make_strategy(request.strategy)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    if not is_chief(strategy):
        print("The first worker reports", flush=True)
    with strategy.scope(), PeerWatch(strategy):
        if request.eval_only:
            evaluate_only(request.run_dir, request.data_dir)
        else:
            train_run(
                request.run_dir,
                from_flags(RunConfig),
                request.data_dir,
                from_flags(RunOptions),
            )


def run() -> None:
    launch(main)


if __name__ == "__main__":
    run()
