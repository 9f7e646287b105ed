"""How exact the inverse is: by depth, training, mode and precision.

    python benchmarks/inversion_error.py --fashion_mnist=DIR

Trains networks of 9 to 300 blocks for some steps in ordinary float32, then
measures with the same fresh and trained weights in every mode. Prints
tables, and writes inversion_error.json and the figure to --output. Trained
weights are kept there, so that a second run continues where the first
stopped. DIR holds the four idx files of Fashion-MNIST, as Debian's package
dataset-fashion-mnist brings them; without it only the digits are used.

The images are multiples of 2**-14, for which lossless mode promises an error
of 0. Relative errors are |x - x'| / |x|, of all images of a batch together.
"""

import itertools
import json
import pathlib

import keras
import matplotlib.pyplot as plt
import measure
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf.atomic import replacing
from irevnet_tf.data import load_dataset

_OUTPUT = flags.DEFINE_string("output", "runs/inversion_error", "Folder.")
_FASHION = flags.DEFINE_bool("fashion_mnist", False, "Fashion-MNIST too.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS' prepared data sets.")
_STEPS = flags.DEFINE_integer("steps", 150, "Training steps.")
_DEPTHS = flags.DEFINE_list("depths", ["9", "30", "99", "300"], "Blocks.")
_GRADIENT_DEPTH = flags.DEFINE_integer(
    "gradient_depth",
    99,
    "Largest depth for gradients: the plain graph takes long to trace.",
)

BATCH = 32
MODES = {
    "float32": ("float32", False),
    "lossless float32": ("float32", True),
    "bfloat16": ("mixed_bfloat16", False),
    "lossless bfloat16": ("mixed_bfloat16", True),
}


def load(name):
    """Return the arrays of a data set, training images first."""
    dataset = load_dataset(name, data_dir=_DATA_DIR.value)
    return *dataset.arrays("train"), *dataset.arrays("test")


def build(depth, shape, mode="float32", memory_saving=True):
    """Build `IRevNet28` with other numbers of blocks in its three stages."""
    policy, lossless = MODES[mode]
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    return irevnet_tf.IRevNet(
        (depth // 3,) * 3,
        (1, 2, 2),
        (16, 64, 256),
        initial_downsampling=1,
        input_shape=shape,
        classes=10,
        classifier_activation=None,
        memory_saving=memory_saving,
        lossless=lossless,
    )


def loss_function():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def trained_weights(path, depth, images, labels):
    """Train for some steps, or read what an earlier run has trained."""
    model = build(depth, images.shape[1:])
    if not path.exists():
        rate = keras.optimizers.schedules.CosineDecay(0.05, _STEPS.value)
        model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss_function())
        chosen = np.random.default_rng(0).integers(
            len(images), size=_STEPS.value * BATCH
        )
        model.fit(
            images[chosen],
            labels[chosen],
            batch_size=BATCH,
            shuffle=False,
            verbose="auto",
        )
        with replacing(path) as temporary:
            model.save_weights(temporary)
    model.load_weights(path)
    return model.get_weights()


def relative_error(actual, expected):
    actual, expected = (
        np.concatenate([np.ravel(x).astype("float64") for x in values])
        for values in (actual, expected)
    )
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def inversion_errors(model, images):
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    z = encoder.predict(images, verbose=0)
    restored = decoder.predict(z, verbose=0)
    return {
        "relative": relative_error([restored], [images]),
        "largest": np.abs(restored - images).max(),
        "peak": np.abs(z).max(),
    }


def mixed_compilation_error(model, images):
    """Error of an inverse that XLA did not compile, after one it did."""
    encoder = tf.function(
        irevnet_tf.encoder(model), jit_compile=True, autograph=False
    )
    decoder = irevnet_tf.invert(model)
    return relative_error([decoder(encoder(images))], [images])


def gradients_of_a_step(weights, depth, mode, memory_saving, batch):
    model = build(depth, batch[0].shape[1:], mode, memory_saving)
    model.set_weights(weights)
    model.compile(keras.optimizers.SGD(1.0), loss_function())
    model.train_on_batch(*batch)
    after = model.get_weights()
    return [a - b for a, b in zip(weights, after, strict=True)]


def gradient_drift(weights, depth, mode, *batch):
    """Compare memory-saving with plain gradients in a first step.

    Where lossless mode differs, plain training is repeated: it need not give
    the same gradients twice.
    """
    saving, plain = (
        gradients_of_a_step(weights, depth, mode, memory_saving, batch)
        for memory_saving in (True, False)
    )
    result = {"drift": relative_error(saving, plain)}
    if MODES[mode][1] and result["drift"]:
        again = gradients_of_a_step(weights, depth, mode, False, batch)
        result["plain again"] = relative_error(again, plain)
    return result


def measure_case(data, name, depth, folder):
    """Return the rows of one data set and depth."""
    train_images, train_labels, images, labels = data
    images = np.round(images[:BATCH] * 2**14) / 2**14
    shape = images.shape[1:]
    trained = trained_weights(
        folder / f"{name}-{depth}.weights.h5", depth, train_images, train_labels
    )
    fresh = build(depth, shape).get_weights()
    rows = []
    for (state, weights), mode in itertools.product(
        {"fresh": fresh, "trained": trained}.items(), MODES
    ):
        model = build(depth, shape, mode)
        model.set_weights(weights)
        row = {"data": name, "depth": depth, "weights": state, "mode": mode}
        row |= inversion_errors(model, images)
        if state == "trained" and depth == 9:
            row["xla"] = mixed_compilation_error(model, images)
        if state == "trained" and depth <= _GRADIENT_DEPTH.value:
            row |= gradient_drift(weights, depth, mode, images, labels[:BATCH])
        rows.append({k: _plain(v) for k, v in row.items()})
        print(rows[-1], flush=True)
    return rows


def _plain(value):
    return float(value) if isinstance(value, np.floating) else value


def print_tables(rows):
    columns = ("relative", "largest", "peak", "drift", "plain again", "xla")
    measure.print_table(
        ["data", "blocks", "weights", "mode", *columns],
        [
            [row["data"], row["depth"], row["weights"], row["mode"]]
            + [f"{row[c]:.1e}" if c in row else "" for c in columns]
            for row in rows
        ],
    )


def draw(rows, path):
    """Draw the errors against depth; exact ones at the foot of the axis."""
    floor = 1e-10
    names = list(dict.fromkeys(row["data"] for row in rows))
    columns = {
        "inversion, fresh": ("fresh", "relative"),
        "inversion, trained": ("trained", "relative"),
        "gradients, trained": ("trained", "drift"),
    }
    figure, grid = plt.subplots(
        len(names),
        len(columns),
        figsize=(10, 3.2 * len(names)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    styles = dict(zip(MODES, ("C0o-", "C2s-", "C1o--", "C3^--"), strict=True))
    for (name, (title, (weights, key))), axis in zip(
        itertools.product(names, columns.items()), grid.flat, strict=True
    ):
        for mode, style in styles.items():
            points = [
                (row["depth"], max(row[key], floor))
                for row in rows
                if (row["data"], row["weights"], row["mode"])
                == (name, weights, mode)
                and key in row
            ]
            if points:
                axis.loglog(*zip(*points, strict=True), style, label=mode)
        axis.set_title(f"{name}: {title}", fontsize=10)
        axis.set_xticks([9, 30, 99, 300], [9, 30, 99, 300])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    exponents = range(-9, 1, 2)
    grid[0, 0].set_yticks(
        [floor, *(10.0**k for k in exponents)],
        ["0", *(f"$10^{{{k}}}$" for k in exponents)],
    )
    grid[0, 0].legend(fontsize=8)
    figure.supxlabel("blocks", fontsize=10)
    figure.supylabel("relative error", fontsize=10)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def main(argv):
    del argv
    tf.get_logger().setLevel("ERROR")  # A new network retraces, of course.
    folder = pathlib.Path(_OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    data = {"digits": load("digits")}
    if _FASHION.value:
        data["Fashion-MNIST"] = load("fashion_mnist")
    rows = []
    for depth, name in itertools.product(map(int, _DEPTHS.value), data):
        keras.backend.clear_session()
        rows += measure_case(data[name], name, depth, folder)
        with replacing(folder / "inversion_error.json") as temporary:
            temporary.write_text(json.dumps(rows, indent=1))
    print_tables(rows)
    draw(rows, folder / "inversion_error.png")


if __name__ == "__main__":
    app.run(main)
