"""Train an i-RevNet and report its test accuracy.

The defaults train IRevNet28 on the digits that come with scikit-learn:

    irevnet-train --run_dir=runs/digits

The run directory receives the configuration, the weights and the metrics of
every epoch; irevnet-evaluate and irevnet-invert continue from there.

The exit status is 1, with a message, if a flag does not fit, if the loss
stops being finite or a lossless network leaves its range; the run directory
then keeps what the epochs before left.
"""

import dataclasses
import sys

from absl import app
from absl import flags

from irevnet_tf.apps.common_flags import RUN_DIR
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.data import dataset_names
from irevnet_tf.data import load_dataset
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.training import DivergenceError
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import build_model
from irevnet_tf.training import count_parameters
from irevnet_tf.training import train
from irevnet_tf.training.config import PRECISIONS
from irevnet_tf.training.trainer import steps_per_epoch

flags.declare_key_flag(RUN_DIR)
flags.DEFINE_enum("model", RunConfig.model, list(VARIANTS), "The network.")
flags.DEFINE_enum("dataset", RunConfig.dataset, dataset_names(), "The data.")
flags.DEFINE_integer(
    "epochs",
    RunConfig.epochs,
    "Passes over the training data.",
)
flags.DEFINE_integer(
    "batch_size",
    RunConfig.batch_size,
    "Examples per optimizer step.",
)
flags.DEFINE_float(
    "learning_rate",
    RunConfig.learning_rate,
    "Peak learning rate, reached after the warm-up; from there it falls to "
    "zero along a cosine.",
)
flags.DEFINE_integer(
    "warmup_epochs",
    None,
    "Epochs in which the learning rate rises from zero; fewer than --epochs. "
    f"{RunConfig.warmup_epochs} if not given, or what --epochs leaves room "
    "for.",
)
flags.DEFINE_float(
    "weight_decay",
    RunConfig.weight_decay,
    "Decoupled weight decay: every step shrinks convolution and dense "
    "kernels by the learning rate times this.",
)
flags.DEFINE_float(
    "dropout_rate",
    RunConfig.dropout_rate,
    "Fraction of features dropped inside the blocks, less than 1.",
)
flags.DEFINE_bool(
    "memory_saving",
    RunConfig.memory_saving,
    "Rebuild activations by inversion in the backward pass instead of "
    "storing them.",
)
flags.DEFINE_bool(
    "lossless",
    RunConfig.lossless,
    "Train a network whose inverse is exact to the last bit.",
)
flags.DEFINE_integer(
    "fraction_bits",
    RunConfig.fraction_bits,
    "With --lossless: values are multiples of 2**-fraction_bits, and an error "
    "beyond 2**(24 - fraction_bits).",
)
flags.DEFINE_enum(
    "mixed_precision",
    RunConfig.mixed_precision,
    list(PRECISIONS),
    "Keras dtype policy.",
)
flags.DEFINE_integer(
    "seed",
    RunConfig.seed,
    "Seed of the initial weights, the order of the data, the shifts and the "
    "dropout.",
)


def config_from_flags() -> RunConfig:
    """Return the run's configuration, every attribute from its flag.

    Raises:
        app.UsageError: if a value is out of its range.
    """
    values = {
        field.name: flags.FLAGS[field.name].value
        for field in dataclasses.fields(RunConfig)
    }
    if values["warmup_epochs"] is None:
        room = max(0, values["epochs"] - 1)
        values["warmup_epochs"] = min(RunConfig.warmup_epochs, room)
    try:
        return RunConfig(**values)
    except ValueError as error:
        raise app.UsageError(str(error)) from error


def train_run(run_dir: str, config: RunConfig) -> None:
    """Train a network, printing a summary before and the accuracy after.

    Args:
        run_dir: Path of the run directory.
        config: The run's configuration.

    Raises:
        app.UsageError: if the configuration does not fit the data or the
            run directory.
        SystemExit: if training diverges.
    """
    dataset = load_dataset(config.dataset)
    steps = steps_per_epoch(dataset, config.batch_size)
    if steps == 0:
        raise app.UsageError(
            "--batch_size must be at most the number of training examples "
            f"(={len(dataset.train_images)}). "
            f"Received: --batch_size={config.batch_size}"
        )
    try:
        model = build_model(config, dataset)
        directory = RunDirectory.create(run_dir, config)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    height, width, channels = dataset.image_shape
    mode = "ordinary"
    if config.lossless:
        mode = f"lossless, {config.fraction_bits} fraction bits"
    print(
        f"model       {config.model}, {count_parameters(model):,} parameters\n"
        f"mode        {mode}, {config.mixed_precision}\n"
        f"data        {dataset.name}, {len(dataset.train_images):,} images "
        f"for training, {len(dataset.test_images):,} for testing, "
        f"{height}x{width}x{channels}\n"
        f"steps       {config.epochs} epochs of {steps} steps of "
        f"{config.batch_size} images\n"
        f"directory   {directory.path}",
        flush=True,
    )
    try:
        last = train(model, dataset, directory)
    except DivergenceError as error:
        sys.exit(f"Training stopped: {error}")
    print(
        f"Test accuracy after the last epoch: {last['val_accuracy']:.2%}",
        flush=True,
    )


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    train_run(RUN_DIR.value, config_from_flags())


def run() -> None:
    launch(main)


if __name__ == "__main__":
    run()
