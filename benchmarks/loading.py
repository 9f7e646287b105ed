"""From a constructor with weights to the first prediction.

    python benchmarks/loading.py

`IRevNet28(weights="fashion_mnist")` at 28 x 28, whose weights are read and
checked, against `keras.applications.MobileNetV2(weights=None)` at 224 x 224,
whose are random: a batch of one image, `predict`, each run in a process of its
own, taking turns. The import of what is needed is measured for itself.
"""

import json
import statistics

import measure

RUNS = 5
NAMES = ("IRevNet28", "MobileNetV2")
PHASES = ("import", "build", "prediction")


def child(name):
    import time

    times = [time.perf_counter()]
    import keras
    import numpy as np

    if name == "IRevNet28":
        import irevnet_tf
    times.append(time.perf_counter())
    if name == "IRevNet28":
        model = irevnet_tf.IRevNet28(weights="fashion_mnist")
    else:
        model = keras.applications.MobileNetV2(weights=None)
    times.append(time.perf_counter())
    image = np.zeros((1, *model.input_shape[1:]), "float32")
    model.predict(image, verbose=0)
    times.append(time.perf_counter())
    return np.diff(times).tolist()


def main():
    runs = {name: [] for name in NAMES}
    for _ in range(RUNS):
        for name in NAMES:
            runs[name].append(measure.in_own_process(__file__, name=name))
    sums = {
        name: {
            "import": statistics.median(sum(times) for times in runs[name]),
            "no import": statistics.median(
                sum(times[1:]) for times in runs[name]
            ),
        }
        for name in NAMES
    }
    rows = [
        [
            name,
            *(
                f"{statistics.median(times):.2f}"
                for times in zip(*runs[name], strict=True)
            ),
            f"{sums[name]['no import']:.2f}",
            f"{sums[name]['import']:.2f}",
        ]
        for name in NAMES
    ]
    measure.print_table(
        [
            "network",
            *(f"{phase}, s" for phase in PHASES),
            "build and prediction, s",
            "with import, s",
        ],
        rows,
    )
    ours, theirs = (sums[name] for name in NAMES)
    ratio = ours["no import"] / theirs["no import"]
    print(f"ratio: {ratio:.2f} (bar: 1.2)")
    print(f"ratio, with import: {ours['import'] / theirs['import']:.2f}")


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments is None:
        main()
    else:
        print(json.dumps(child(**arguments)))
