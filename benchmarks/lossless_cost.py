"""What lossless mode costs: time of a training step, and accuracy.

    python benchmarks/lossless_cost.py --time
    python benchmarks/lossless_cost.py --accuracy

Time: ordinary, lossless without its range check, and lossless networks take
turns, in another order each round; the medians over the rounds of the ratios
count. Accuracy: the recipe of irevnet-train on the digits, several seeds in
each mode, each measured after its last epoch.
"""

import statistics
import tempfile
import time
from unittest import mock

import keras
import measure
import numpy as np
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data import load_dataset
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.layers.fixed_point import RangeCheck
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import build_model
from irevnet_tf.training import train

_TIME = flags.DEFINE_bool("time", False, "Measure steps.")
_ACCURACY = flags.DEFINE_bool("accuracy", False, "Train and test.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Runs in each mode.")
_ROUNDS = flags.DEFINE_integer("rounds", 30, "Steps of each network.")

# name: blocks, strides, channels, initial downsampling, image shape, batch
NETWORKS = {
    "IRevNet28, 28x28": (
        (3,) * 3,
        (1, 2, 2),
        (16, 64, 256),
        1,
        (28, 28, 1),
        64,
    ),
    "44 blocks, 24 channels, 32x32": ((44,), (1,), (24,), 1, (32, 32, 3), 64),
    "6-16-8-6, 3x3, 96x96": ((6, 16, 8, 6), (2,) * 4, (24, 96, 384, 1536), 2)
    + ((96, 96, 3), 8),
}


def training_step(network, lossless, checked=True):
    """Return a function that does one step of a network."""
    blocks, strides, channels, initial, shape, batch = network
    images = np.random.rand(batch, *shape).astype("float32")
    labels = np.random.randint(0, 10, batch)
    model = irevnet_tf.IRevNet(
        blocks,
        strides,
        channels,
        initial_downsampling=initial,
        input_shape=shape,
        classes=10,
        lossless=lossless,
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)

    def step():
        model.train_on_batch(images, labels)

    if checked:
        step()  # Traces.
    else:
        with (
            mock.patch.object(RangeCheck, "see", lambda self, x: None),
            mock.patch.object(RangeCheck, "guard", lambda self, *x: x),
        ):
            step()
    return step


def measure_time():
    rows = []
    for name, network in NETWORKS.items():
        steps = [
            training_step(network, lossless=False),
            training_step(network, lossless=True, checked=False),
            training_step(network, lossless=True),
        ]
        ratios, check_ratios = [], []
        for round_ in range(_ROUNDS.value):
            seconds = [0.0] * len(steps)
            for index in np.roll(np.arange(len(steps)), round_):
                start = time.perf_counter()
                steps[index]()
                seconds[index] = time.perf_counter() - start
            ordinary, unchecked, lossless = seconds
            ratios.append(lossless / ordinary)
            check_ratios.append(lossless / unchecked)
        medians = map(statistics.median, (ratios, check_ratios))
        rows.append([name, *(f"{ratio:.3f}" for ratio in medians)])
    measure.print_table(
        ["network", "lossless / ordinary", "with / without range check"], rows
    )


def measure_accuracy():
    digits = load_dataset("digits")
    rows = []
    for lossless in (False, True):
        for seed in range(_SEEDS.value):
            config = RunConfig(lossless=lossless, seed=seed)
            model = build_model(config, digits)
            with tempfile.TemporaryDirectory() as folder:
                train(model, digits, RunDirectory.create(folder, config))
            batches = evaluation_batches(digits, digits.test, config.batch_size)
            result = Evaluator(model).measure(batches)
            rows.append(
                [
                    "lossless" if lossless else "ordinary",
                    seed,
                    f"{result.accuracy:.2%}",
                    f"{result.inversion_error_mean:.1e}",
                    f"{result.inversion_error_max:.1e}",
                ]
            )
            keras.backend.clear_session()
    measure.print_table(
        ["mode", "seed", "test accuracy", "mean error", "largest error"], rows
    )


def main(argv):
    del argv
    if not (_TIME.value or _ACCURACY.value):
        raise app.UsageError("Expected --time or --accuracy.")
    if _TIME.value:
        measure_time()
    if _ACCURACY.value:
        measure_accuracy()


if __name__ == "__main__":
    app.run(main)
