"""Both directions in TensorFlow, ONNX Runtime and LiteRT.

    python benchmarks/runtimes.py
    python benchmarks/runtimes.py --large  # IRevNet301, too: 21 GB, 10 minutes

Each network, whose BatchNorms have random values, is exported and converted,
each format in a process of its own, for the peak memory. Then random images
go forward in one runtime and back in the same or another. Errors are those of
the largest difference of a pixel, in steps of an 8-bit pixel. Needs the extras
`onnx` and `litert`.
"""

import functools
import itertools
import json
import pathlib
import sys
import tempfile
import time

import measure

# name: (input shape, images)
NETWORKS = {
    "IRevNet28": ((32, 32, 3), 16),
    "IRevNet163": ((32, 32, 3), 16),
}
LARGE = {"IRevNet301": ((224, 224, 3), 3)}
FORMATS = ("SavedModel", "ONNX", "LiteRT")
SIGNATURES = ("forward", "inverse")


def convert(name, lossless, kind, folder):
    """Write one format; return its time in s, its MB and the peak MB."""
    from irevnet_tf import export

    folder = pathlib.Path(folder)
    saved_model = folder / "saved_model"
    if kind == "SavedModel":
        model = build(name, lossless)
        start = time.perf_counter()
        export.export_saved_model(model, saved_model, warmup=False)
        paths = [p for p in saved_model.rglob("*") if p.is_file()]
    else:
        start = time.perf_counter()
        version = saved_model / "1"
        if kind == "ONNX":
            paths = export.export_onnx(version, folder / "onnx").values()
        else:
            paths = [export.export_litert(version, folder / "net.tflite")]
    seconds = time.perf_counter() - start
    size = sum(path.stat().st_size for path in paths) / 1e6
    return [seconds, size, measure.peak_memory()]


def build(name, lossless):
    import numpy as np

    import irevnet_tf

    shape, _ = {**NETWORKS, **LARGE}[name]
    constructor = getattr(irevnet_tf, name)
    model = constructor(input_shape=shape, lossless=lossless)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
    return model


def errors(name, folder):
    """Return {"from, to": error} of all pairs of runtimes."""
    import numpy as np

    folder = pathlib.Path(folder)
    runtimes = {
        "TensorFlow": in_tensorflow(folder),
        "ONNX Runtime": in_onnxruntime(folder),
        "LiteRT": in_litert(folder),
    }
    shape, count = {**NETWORKS, **LARGE}[name]
    images = np.random.default_rng(0).integers(0, 256, (count, *shape))
    images = images.astype("float32")
    features = {k: run["forward"](images) for k, run in runtimes.items()}
    found = {}
    for there, back in itertools.product(runtimes, repeat=2):
        again = runtimes[back]["inverse"](features[there])
        found[f"{there}, {back}"] = float(np.max(np.abs(again - images)))
    return found


def in_tensorflow(folder):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "saved_model" / "1"))

    def run(name, output, array):
        return loaded.signatures[name](tf.constant(array))[output].numpy()

    return both_directions(run)


def in_onnxruntime(folder):
    import onnxruntime

    sessions = {
        name: onnxruntime.InferenceSession(folder / "onnx" / f"{name}.onnx")
        for name in SIGNATURES
    }

    def run(name, output, array):
        session = sessions[name]
        (found,) = session.run([output], {session.get_inputs()[0].name: array})
        return found

    return both_directions(run)


def in_litert(folder):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "net.tflite"), num_threads=2)

    def run(name, output, array):
        runner = interpreter.get_signature_runner(name)
        (argument,) = runner.get_input_details()
        return runner(**{argument: array})[output].copy()

    return both_directions(run)


def both_directions(run):
    return {
        "forward": functools.partial(run, "forward", "features"),
        "inverse": functools.partial(run, "inverse", "images"),
    }


def child(task, **arguments):
    return {"convert": convert, "errors": errors}[task](**arguments)


def main():
    networks = {**NETWORKS, **(LARGE if "--large" in sys.argv else {})}
    conversions, round_trips = [], []
    for name, lossless in itertools.product(networks, (False, True)):
        title = f"{name}{' lossless' if lossless else ''}"
        with tempfile.TemporaryDirectory() as folder:
            for kind in FORMATS:
                seconds, size, peak = measure.in_own_process(
                    __file__,
                    task="convert",
                    name=name,
                    lossless=lossless,
                    kind=kind,
                    folder=folder,
                )
                conversions.append(
                    [
                        title,
                        kind,
                        f"{seconds:.1f}",
                        f"{size:.1f}",
                        f"{peak / 1024:.1f}",
                    ]
                )
            found = measure.in_own_process(
                __file__, task="errors", name=name, folder=folder
            )
        for pair, error in found.items():
            round_trips.append([title, *pair.split(", "), f"{error:.1e}"])
    measure.print_table(
        ["network", "format", "s", "size, MB", "peak memory, GB"], conversions
    )
    print()
    measure.print_table(["network", "there", "back", "error"], round_trips)


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments is None:
        main()
    else:
        print(json.dumps(child(**arguments)))
