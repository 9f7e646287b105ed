"""Writes a network in every format, with the images to try it on.

    python benchmarks/portable_network.py JSON

One of the processes that `portable_matrix.py` starts. It writes into the
folder of its arguments:

- `network.keras`, `saved_model/1/`, `onnx/forward.onnx`, `onnx/inverse.onnx`,
  `network.tflite`, and `steps.pickle` for the interpreters;
- `images/raw.npy` and `images/normalised.npy`, and what must come back of
  them, `expected/raw.npy` and `expected/normalised.npy`.

Prints, as JSON, the sets of images with their sizes. Without tf2onnx, there is
no `onnx/`.
"""

import contextlib
import json
import pathlib
import pickle
import sys

import keras
import numpy as np
from portable_images import expected_images
from portable_images import made_images
from portable_images import normalization
from portable_images import raw_images
from portable_steps import describe

import irevnet_tf
from irevnet_tf.data import load_dataset
from irevnet_tf.export import export_litert
from irevnet_tf.export import export_onnx
from irevnet_tf.export import export_saved_model
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.model import find_preprocessing

# Data sets, and the weights that are called like them.
DATASETS = ("digits", "fashion_mnist")


def write(folder, weights, keras_file, portable, images, all_images):
    """Write everything.

    Args:
        folder: str. Where to.
        weights: None or str. The name of `IRevNet28`'s weights.
        keras_file: None or str. The path of another network instead.
        portable: bool. Whether to take the portable weights of this name.
        images: int. How many test images; of each kind of noise a quarter.
        all_images: bool. Whether all test images are wanted, and no others.

    Returns:
        {name: number of images}, of each set of images.
    """
    folder = pathlib.Path(folder)
    model, mode = build(weights, keras_file, portable)
    real = test_images(mode, None if all_images else images)
    sets = {"test images": real}
    if not all_images:
        sets.update(made_images(model, mode, images // 4))
    sets = {name: found for name, found in sets.items() if len(found)}
    write_images(folder, model, mode, np.concatenate([*sets.values()]))
    write_formats(folder, model, mode)
    return {name: len(found) for name, found in sets.items()}


def build(weights, keras_file, portable):
    """Return the network, which returns logits, and its preprocessing."""
    if keras_file:
        model = keras.saving.load_model(keras_file, compile=False)
    else:
        model = irevnet_tf.IRevNet28(
            weights=weights, lossless=True, portable=portable
        )
    # Softmax is no part of what is compared: no two runtimes have the same.
    model.layers[-1].activation = keras.activations.linear
    return model, find_preprocessing(find_chain(model)) or "unit"


def test_images(mode, count):
    """Return raw test images, all if `count` is None, [] if there are none."""
    if mode not in DATASETS or count == 0:
        return []
    found, _ = load_dataset(mode).arrays("test", count)
    return raw_images(found, mode)


def write_images(folder, model, mode, raw):
    scale = normalization(mode)
    normalised = scale.apply(raw).numpy()
    expected = expected_images(model, normalised)
    arrays = {
        "images": {"raw": raw, "normalised": normalised},
        "expected": {
            "raw": scale.undo(expected).numpy(),
            "normalised": expected,
        },
    }
    for name, units in arrays.items():
        (folder / name).mkdir()
        for unit, array in units.items():
            np.save(folder / name / f"{unit}.npy", array)


def write_formats(folder, model, mode):
    """Write the network in every format."""
    model.save(folder / "network.keras")
    (folder / "steps.pickle").write_bytes(pickle.dumps(describe(model)))
    version = export_saved_model(
        model,
        folder / "saved_model",
        preprocessing=mode,
        # It returns logits, which are to stay what they are.
        from_logits=False,
        warmup=False,
    )
    export_litert(version, folder / "network.tflite")
    # The runtimes that need it say so.
    with contextlib.suppress(ImportError):
        export_onnx(version, folder / "onnx")


if __name__ == "__main__":
    print(json.dumps(write(**json.loads(sys.argv[1]))))
