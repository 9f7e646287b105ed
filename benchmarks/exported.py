"""Exported networks: time of a batch, of the export itself, and of loading.

    python benchmarks/exported.py

First, in one process for each network: the exported `forward` on a batch of
raw images, against the model's `predict` on the same images, preprocessed,
and the exported `inverse`. They take turns, and the best time of each counts.

Then `IRevNet301` with both directions is exported, and `keras.applications`'
ResNet152 with its one, preprocessing inside, and both are loaded, each time in
a process of its own, taking turns.
"""

import json
import pathlib
import statistics
import tempfile

import measure

ROUNDS = 5
BATCHES = 2
LOADS = 5
# name: (lossless, input shape, batch size)
NETWORKS = {
    "IRevNet28": (False, (28, 28, 1), 64),
    "IRevNet28 lossless": (True, (28, 28, 1), 64),
    "IRevNet163": (False, (32, 32, 3), 64),
    "IRevNet301": (False, (224, 224, 3), 8),
    "IRevNet301 lossless": (True, (224, 224, 3), 8),
}


def build(name):
    import irevnet_tf

    lossless, shape, _ = NETWORKS[name]
    constructor = getattr(irevnet_tf, name.split()[0])
    return constructor(input_shape=shape, lossless=lossless)


def batch_times(name):
    """Return the times of predict, forward and inverse, in s a batch."""
    import numpy as np
    import tensorflow as tf

    import irevnet_tf

    _, shape, size = NETWORKS[name]
    model = build(name)
    raw = np.random.default_rng(0).integers(0, 256, (BATCHES * size, *shape))
    raw = raw.astype("float32")
    x = irevnet_tf.preprocess_input(raw, "unit")
    with tempfile.TemporaryDirectory() as folder:
        loaded = tf.saved_model.load(
            irevnet_tf.export_saved_model(model, folder, warmup=False)
        )
    images = tf.split(tf.constant(raw), BATCHES)
    forward, inverse = (loaded.signatures[k] for k in ("forward", "inverse"))
    features = [forward(images=batch)["features"] for batch in images]

    def predict():
        model.predict(x, batch_size=size, verbose=0)

    def run_forward():
        for batch in images:
            forward(images=batch)["probabilities"].numpy()

    def run_inverse():
        for batch in features:
            inverse(features=batch)["images"].numpy()

    times = measure.alternate([predict, run_forward, run_inverse], ROUNDS)
    return [time / BATCHES for time in times]


def export(name, folder):
    """Export a network, and return how long it took."""
    import time

    import keras
    import tensorflow as tf

    import irevnet_tf

    if name == "IRevNet301":
        model = irevnet_tf.IRevNet301()
        start = time.perf_counter()
        irevnet_tf.export_saved_model(
            model, folder, preprocessing="imagenet", warmup=False
        )
        return time.perf_counter() - start
    model = keras.applications.ResNet152(weights=None)

    def forward(images):
        x = keras.applications.resnet.preprocess_input(images)
        return {"probabilities": model(x)}

    start = time.perf_counter()
    archive = keras.export.ExportArchive()
    spec = tf.TensorSpec((None, 224, 224, 3), "float32", "images")
    archive.add_endpoint("forward", forward, [spec])
    archive.write_out(str(pathlib.Path(folder, "1")), verbose=False)
    return time.perf_counter() - start


def load(folder):
    """Load an export, and return how long it took."""
    import time

    import tensorflow as tf

    start = time.perf_counter()
    tf.saved_model.load(str(pathlib.Path(folder, "1")))
    return time.perf_counter() - start


def child(task, **arguments):
    return {"batch": batch_times, "export": export, "load": load}[task](
        **arguments
    )


def main():
    rows = []
    for name in NETWORKS:
        predict, forward, inverse = measure.in_own_process(
            __file__, task="batch", name=name
        )
        rows.append(
            [
                name,
                f"{1e3 * predict:.1f}",
                f"{1e3 * forward:.1f}",
                f"{1e3 * inverse:.1f}",
                f"{forward / predict:.2f}",
                f"{inverse / forward:.2f}",
            ]
        )
    measure.print_table(
        [
            "network",
            "predict, ms a batch",
            "exported forward",
            "exported inverse",
            "forward / predict (bar: 1.0)",
            "inverse / forward (bar: 1.1)",
        ],
        rows,
    )
    print()
    names = ("IRevNet301", "ResNet152")
    exports, loads = {}, {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        folders = {name: str(pathlib.Path(folder, name)) for name in names}
        for name in names:
            exports[name] = measure.in_own_process(
                __file__, task="export", name=name, folder=folders[name]
            )
        for _ in range(LOADS):
            for name in names:
                loads[name].append(
                    measure.in_own_process(
                        __file__, task="load", folder=folders[name]
                    )
                )
    medians = {name: statistics.median(loads[name]) for name in names}
    measure.print_table(
        ["network", "export, s", "load, s"],
        [
            [name, f"{exports[name]:.1f}", f"{medians[name]:.2f}"]
            for name in names
        ],
    )
    ratio = medians["IRevNet301"] / medians["ResNet152"]
    print(f"load, ratio: {ratio:.2f} (bar: 1.5)")


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments is None:
        main()
    else:
        print(json.dumps(child(**arguments)))
