"""Build and first training step of IRevNet301 against ResNet152.

    python benchmarks/first_step.py

Both at 64 x 64, batch 2, SGD with momentum, each run in a process of its own,
taking turns. What this measures is Python, tracing and graph optimization,
not convolutions. Keras creates the optimizer's variables inside the first
step and traces that step twice, unless the optimizer was built before; so
both are measured both ways.
"""

import json
import statistics

import measure

RUNS = 3
NAMES = ("IRevNet301", "ResNet152")
PHASES = ("build", "optimizer", "step")


def child(name, build_optimizer):
    import time

    import keras
    import numpy as np

    import irevnet_tf

    keras.layers.Dense(1)(np.zeros((1, 1)))  # Starts TensorFlow.
    times = [time.perf_counter()]

    if name == "IRevNet301":
        model = irevnet_tf.IRevNet301(input_shape=(64, 64, 3))
    else:
        model = keras.applications.ResNet152(
            weights=None, input_shape=(64, 64, 3)
        )
    times.append(time.perf_counter())
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    if build_optimizer:
        model.optimizer.build(model.trainable_variables)
    times.append(time.perf_counter())
    model.train_on_batch(np.zeros((2, 64, 64, 3), "float32"), np.zeros(2))
    times.append(time.perf_counter())
    return np.diff(times).tolist()


def main():
    rows, totals = [], {}
    for build_optimizer in (True, False):
        runs = {name: [] for name in NAMES}
        for _ in range(RUNS):
            for name in NAMES:
                result = measure.in_own_process(
                    __file__, name=name, build_optimizer=build_optimizer
                )
                runs[name].append(result)
        for name in NAMES:
            phases = [
                statistics.median(times)
                for times in zip(*runs[name], strict=True)
            ]
            totals[name, build_optimizer] = sum(phases)
            rows.append(
                [
                    name,
                    "before" if build_optimizer else "in the step",
                    *(f"{seconds:.1f}" for seconds in phases),
                    f"{sum(phases):.1f}",
                ]
            )
    measure.print_table(
        ["network", "optimizer built", *(f"{p}, s" for p in PHASES), "sum, s"],
        rows,
    )
    ours, theirs = ({k: totals[n, k] for k in (True, False)} for n in NAMES)
    print(f"ratio, optimizer built before: {ours[True] / theirs[True]:.2f}")
    print(f"ratio, in the step: {ours[False] / theirs[False]:.2f}")
    print(
        "ratio, ours as irevnet-train does it (before), ResNet152 as fit "
        f"does it (in the step): {ours[True] / theirs[False]:.2f} (bar: 0.6)"
    )


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments is None:
        main()
    else:
        print(json.dumps(child(**arguments)))
