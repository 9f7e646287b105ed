"""Time of a training step, mirrored on two logical CPUs against one device.

    python benchmarks/mirrored.py

Both take the same global batches through Keras' `fit` on the same cores, so
that the ratio is the overhead of mirroring: the exchange of gradients, and
work on half batches. Logical devices are configured when a process starts:
each measurement is a process of its own, in turns.
"""

import json
import statistics
import time

import measure
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf.distribution import make_strategy

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Processes of each kind.")

# name: image size, global batch, steps of a measurement
CASES = {
    "28x28, batch 128": (28, 128, 6),
    "28x28, batch 16": (28, 16, 25),
    "8x8, batch 64": (8, 64, 40),
}
REPEATS = 3


def step_times(devices):
    """Return the seconds of a step of each case, on some logical CPUs."""
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * devices,
    )
    strategy = make_strategy("mirrored" if devices > 1 else "none")
    return [step_time(strategy, *case) for case in CASES.values()]


def step_time(strategy, size, batch, steps):
    images = np.random.rand(batch, size, size, 1).astype("float32")
    labels = np.random.randint(0, 10, batch)
    with strategy.scope():
        model = irevnet_tf.IRevNet28(input_shape=(size, size, 1), lossless=True)
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
    data = tf.data.Dataset.from_tensors((images, labels)).repeat(steps)
    model.fit(data.take(2), verbose=0)  # Traces.
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        model.fit(data, verbose=0)
        seconds.append((time.perf_counter() - start) / steps)
    return statistics.median(seconds)


def main(argv):
    del argv
    runs = []
    for round_ in range(_ROUNDS.value):
        # The order changes every time.
        run = {
            devices: measure.in_own_process(__file__, devices=devices)
            for devices in ((1, 2), (2, 1))[round_ % 2]
        }
        runs.append([run[1]["seconds"], run[2]["seconds"]])
    # (rounds, devices, cases)
    runs = np.array(runs)
    ratios = runs[:, 1] / runs[:, 0]
    rows = []
    for index, name in enumerate(CASES):
        one, two = np.median(runs[:, :, index], axis=0) * 1e3
        rows.append(
            [
                f"IRevNet28, {name}",
                f"{one:.1f}",
                f"{two:.1f}",
                f"{np.median(ratios[:, index]):.2f}",
                f"{ratios[:, index].min():.2f} to {ratios[:, index].max():.2f}",
            ]
        )
    measure.print_table(
        ["network", "one, ms", "two, ms", "two / one", "of the rounds"], rows
    )


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments:
        print(json.dumps({"seconds": step_times(**arguments)}))
    else:
        app.run(main)
