"""Portable networks beside lossless ones: time of exports, in turns.

    python benchmarks/portable_time.py
    python benchmarks/portable_time.py --quick

Needs the extras onnx and litert. The Fashion-MNIST and the digits network, made
portable and lossless, exported: a SavedModel in TensorFlow, ONNX Runtime and
LiteRT, forward and inverse, a batch of 32 and a single image. They take turns,
and the best time of each counts; the table has portable / lossless.

Then what kernels for 8 bits would give: ONNX Runtime's own quantization of the
portable forward pass, which computes something else, beside it as it is.
"""

import functools
import pathlib
import sys
import tempfile

import measure

ROUNDS = 60
BATCHES = (32, 1)
THREADS = 2
NETWORKS = ("fashion_mnist", "digits")
DIRECTIONS = {"forward": "images", "inverse": "features"}


def exported(name, folder):
    """Return {kind: (version, ONNX files, LiteRT file)} of a network."""
    import irevnet_tf
    from irevnet_tf.data import load_dataset
    from irevnet_tf.export import export_litert
    from irevnet_tf.export import export_onnx

    lossless = irevnet_tf.IRevNet28(weights=name, lossless=True)
    images, _ = load_dataset(name).arrays("train", 512)
    models = {
        "portable": irevnet_tf.portable(lossless, images),
        "lossless": lossless,
    }
    found = {}
    for kind, model in models.items():
        place = pathlib.Path(folder, name, kind)
        version = irevnet_tf.export_saved_model(
            model, place / "saved", warmup=False
        )
        onnx = export_onnx(version, place / "onnx")
        litert = export_litert(version, place / "network.tflite")
        found[kind] = (version, onnx, litert)
    return found


def session(path):
    """Return an ONNX Runtime session with as many threads as the others."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options)


def runners(files, batch):
    """Return {(runtime, direction): function without arguments}."""
    import numpy as np
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    version, onnx, litert = files
    loaded = tf.saved_model.load(str(version))
    interpreter = Interpreter(str(litert), num_threads=THREADS)
    spec = loaded.signatures["forward"].structured_input_signature[1]["images"]
    shape = (batch, *spec.shape[1:])
    raw = np.random.default_rng(0).integers(0, 256, shape).astype("float32")
    features = loaded.signatures["forward"](images=tf.constant(raw))["features"]
    values = {"images": raw, "features": features.numpy()}
    found = {}
    for direction, name in DIRECTIONS.items():
        value = values[name]
        signature = loaded.signatures[direction]
        signature.loaded = loaded  # Or it loses its variables.
        found["TensorFlow", direction] = functools.partial(
            signature, **{name: tf.constant(value)}
        )
        found["ONNX Runtime", direction] = functools.partial(
            session(onnx[direction]).run, None, {name: value}
        )
        found["LiteRT", direction] = functools.partial(
            interpreter.get_signature_runner(direction), **{name: value}
        )
    return found


def compare(files, batch, rounds):
    """Return rows: runtime, direction, two times in ms, and their ratio."""
    kinds = {kind: runners(of_kind, batch) for kind, of_kind in files.items()}
    rows = []
    for key in kinds["portable"]:
        times = measure.alternate(
            [kinds["portable"][key], kinds["lossless"][key]], rounds
        )
        rows.append((*key, *times))
    return rows


def quantized(path, folder, batch):
    """Return the path of what ONNX Runtime makes of a network in 8 bits."""
    from onnxruntime import quantization

    class Batches(quantization.CalibrationDataReader):
        left = [batch]

        def get_next(self):
            return {"images": self.left.pop()} if self.left else None

    target = pathlib.Path(folder, "quantized.onnx")
    quantization.quantize_static(
        path,
        target,
        Batches(),
        per_channel=True,
        op_types_to_quantize=["Conv"],
    )
    return target


def kernels_of_8_bits(files, folder, rounds):
    """Return times in s: the portable forward pass, and in 8 bits."""
    import numpy as np

    path = files["portable"][1]["forward"]
    run = session(path)
    sides = run.get_inputs()[0].shape[1:]
    raw = np.random.default_rng(0).integers(0, 256, (32, *sides))
    raw = raw.astype("float32")
    other = session(quantized(path, folder, raw))
    return measure.alternate(
        [
            lambda: run.run(None, {"images": raw}),
            lambda: other.run(None, {"images": raw}),
        ],
        rounds,
    )


def main():
    rounds = 5 if "--quick" in sys.argv else ROUNDS
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            files = exported(name, folder)
            for batch in BATCHES:
                rows += [
                    (
                        name,
                        batch,
                        runtime,
                        direction,
                        f"{ours * 1e3:.2f}",
                        f"{theirs * 1e3:.2f}",
                        f"{ours / theirs:.2f}",
                    )
                    for runtime, direction, ours, theirs in compare(
                        files, batch, rounds
                    )
                ]
            if name == NETWORKS[0]:
                floats, integers = kernels_of_8_bits(files, folder, rounds)
    measure.print_table(
        (
            "network",
            "batch",
            "runtime",
            "direction",
            "portable, ms",
            "lossless, ms",
            "ratio",
        ),
        rows,
    )
    print(
        f"\nONNX Runtime, {NETWORKS[0]}, forward, batch of 32: "
        f"{floats * 1e3:.1f} ms; by its kernels of 8 bits {integers * 1e3:.1f} "
        f"ms, {integers / floats:.2f}"
    )


if __name__ == "__main__":
    main()
