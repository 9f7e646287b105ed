"""Images per second of the input pipeline against what training consumes.

    python benchmarks/input_pipeline.py \
        --flagfile=recipes/fashion_mnist.flags

The pipeline of the recipe runs alone, then its training step on a batch that
stays, in turns on the same cores. With a ratio of three, a third of the time
of the cores would feed a device that is as fast as all of them. Without the
flag file: the digits and their recipe.
"""

import itertools
import statistics
import time

import measure
from absl import app
from absl import flags

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.data import training_batches
from irevnet_tf.training import RunConfig
from irevnet_tf.training import build_model
from irevnet_tf.training import compile_model
from irevnet_tf.training import load_data
from irevnet_tf.training import run_length

define_flags(RunConfig)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS' prepared data sets.")
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Measurements of each.")
_STEPS = flags.DEFINE_integer("timed_steps", 10, "Training steps in a round.")


def main(argv):
    del argv
    config = from_flags(RunConfig)
    dataset = load_data(config, _DATA_DIR.value)
    model = build_model(config, dataset)
    length = run_length(config, dataset)
    compile_model(model, config, length)

    def batches(epoch):
        return training_batches(
            dataset,
            config,
            config.batch_size,
            epoch=epoch,
            steps=length.steps_per_epoch,
            seed=config.seed,
        )

    # As far into the epoch as `prefetch` is full, so that what was prepared
    # before does not count.
    skipped = min(20, length.steps_per_epoch // 2)

    def feed(epoch):
        iterator = iter(batches(epoch))
        next(itertools.islice(iterator, skipped, None))
        start = time.perf_counter()
        count = sum(1 for _ in iterator)
        return count * config.batch_size / (time.perf_counter() - start)

    images, labels = next(iter(batches(0)))

    def train():
        start = time.perf_counter()
        for _ in range(_STEPS.value):
            model.train_on_batch(images, labels)
        seconds = time.perf_counter() - start
        return _STEPS.value * config.batch_size / seconds

    feed(0)
    train()  # Traces.
    rates = []
    for round_ in range(_ROUNDS.value):
        rates.append((feed(round_ + 1), train()))
    pipeline, training = map(statistics.median, zip(*rates, strict=True))
    ratio = statistics.median(a / b for a, b in rates)
    measure.print_table(
        [
            "recipe",
            "pipeline, images/s",
            "training, images/s",
            "ratio (bar: at least 3)",
        ],
        [
            [
                f"{config.model}, {config.dataset}, batch {config.batch_size}",
                f"{pipeline:,.0f}",
                f"{training:,.0f}",
                f"{ratio:.1f}",
            ]
        ],
    )


if __name__ == "__main__":
    app.run(main)
