"""What the training loop costs beside the training steps.

    python benchmarks/fit_overhead.py --flagfile=recipes/fashion_mnist.flags

`irevnet_tf.training.train` does a run of a few epochs of `--steps_per_epoch`
steps. Each time it calls Keras' `fit`, with its callbacks, the same steps are
also done by a bare loop over the same batches, with a `tf.function` of the
same loss, gradients and optimizer and nothing else, and by `fit` without the
callbacks; each has a model of its own, and the order changes every time.
Evaluation and checkpoints are outside of `fit` and do not count. The first
epoch, which traces, does not count either. Medians over the others, of the
time on the clock and of the time that the process had on all cores together;
the second hardly depends on what else the machine does.
"""

import contextlib
import dataclasses
import io
import sys
import tempfile
import time

import measure
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.data import training_batches
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import build_model
from irevnet_tf.training import compile_model
from irevnet_tf.training import load_data
from irevnet_tf.training import run_length
from irevnet_tf.training import train

define_flags(RunConfig)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS' prepared data sets.")
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Epochs that count.")
_STEPS = flags.DEFINE_integer(
    "timed_steps", 40, "Steps of an epoch.", lower_bound=1
)


def bare_loop(model):
    """Return a function that trains on batches, with nothing besides."""

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = model.loss(labels, model(images, training=True))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        model.optimizer.apply(gradients, variables)
        return loss

    def loop(batches):
        for images, labels in batches:
            loss = step(images, labels)
        loss.numpy()

    return loop


def main(argv):
    del argv
    config = dataclasses.replace(
        from_flags(RunConfig),
        epochs=_ROUNDS.value + 1,
        warmup_epochs=1,
        steps_per_epoch=_STEPS.value,
    )
    dataset = load_data(config, _DATA_DIR.value)
    length = run_length(config, dataset)
    model, plain, bare = (build_model(config, dataset) for _ in range(3))
    for other in (plain, bare):
        compile_model(other, config, length)
    loop = bare_loop(bare)
    fit = model.fit

    def batches(epoch):
        return training_batches(
            dataset,
            config,
            config.batch_size,
            epoch=epoch,
            steps=length.steps_per_epoch,
            seed=config.seed,
        )

    rounds = []

    def measured_fit(data, **arguments):
        """Stands in for `model.fit` where `train` calls it."""
        epoch = arguments["initial_epoch"]
        others = batches(epoch), batches(epoch)
        result = {}

        def whole():
            result["history"] = fit(data, **arguments)

        def without_callbacks():
            plain.fit(
                others[1],
                steps_per_epoch=length.steps_per_epoch,
                shuffle=False,
                verbose=0,
            )

        functions = [lambda: loop(others[0]), without_callbacks, whole]
        seconds = np.zeros((2, 3))
        for index in np.roll(np.arange(3), epoch):
            start = time.perf_counter(), time.process_time()
            functions[index]()
            end = time.perf_counter(), time.process_time()
            seconds[:, index] = np.subtract(end, start)
        rounds.append(seconds / length.steps_per_epoch)
        print(f"epoch {epoch}:", *rounds[-1].round(4), file=sys.stderr)
        return result["history"]

    model.fit = measured_fit
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        train(model, dataset, RunDirectory.create(folder, config))

    rounds = np.array(rounds[1:])
    medians = np.median(rounds, axis=0) * 1e3
    ratios = np.median(rounds / rounds[:, :, :1], axis=0)
    names = ["bare loop", "fit without callbacks", "train"]
    rows = [
        [
            name,
            f"{medians[0, index]:.1f}",
            f"{ratios[0, index]:.3f}",
            f"{medians[1, index]:.1f}",
            f"{ratios[1, index]:.3f}",
        ]
        for index, name in enumerate(names)
    ]
    print(
        f"{config.model}, {config.dataset}, batch {config.batch_size}, "
        f"{_ROUNDS.value} times {length.steps_per_epoch} steps"
    )
    measure.print_table(
        [
            "loop",
            "ms a step",
            "ratio (bar: 1.03)",
            "ms of all cores",
            "ratio",
        ],
        rows,
    )


if __name__ == "__main__":
    app.run(main)
