"""Train a small bijective network on Fashion-MNIST, to be studied.

    python examples/bijective_network.py --output=bijective.keras
    irevnet-analyze --study=all --keras_file=bijective.keras \\
        --dataset=fashion_mnist --output=studies/bijective

Its representation has as many values as the image, so that every
representation has an image. For the 784 values of these images the builder's
networks, whose residuals are as narrow as their streams, would be too small:
this one is made of layers by hand, with residuals of --width channels inside.

Fashion-MNIST is read from the prepared sets of TFDS, in --data_dir, and
downloaded if it is not there.
"""

import keras
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.data import load_dataset

FRACTION_BITS = 14

OUTPUT = flags.DEFINE_string(
    "output", "bijective.keras", "The .keras file to write."
)
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Directory of TFDS' prepared data sets."
)
WIDTH = flags.DEFINE_integer(
    "width", 48, "Channels inside of the residuals.", lower_bound=1
)
BLOCKS = flags.DEFINE_integer(
    "blocks", 4, "Blocks of each of the two stages.", lower_bound=1
)
EPOCHS = flags.DEFINE_integer("epochs", 5, "Epochs.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 128, "Images in a step.", lower_bound=1
)
TRAIN_EXAMPLES = flags.DEFINE_integer(
    "train_examples", 60000, "Images to train on, at most.", lower_bound=1
)


def residual(channels: int, width: int) -> keras.Sequential:
    """Return three convolutions, in the order of the i-RevNet's."""
    parts = []
    for filters in (width, width, channels):
        parts += [
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Conv2D(filters, 3, padding="same", use_bias=False),
        ]
    return keras.Sequential(parts)


def build(image_shape, classes: int, blocks: int, width: int) -> keras.Model:
    """Return a lossless network whose stages halve height and width."""
    image = keras.Input(image_shape, name="image")
    x = layers.FixedPointRounding(FRACTION_BITS)(image)
    for stage in (1, 2):
        x = layers.InvertibleDownsampling(2, name=f"psi{stage}")(x)
        streams = layers.ChannelSplit(name=f"stage{stage}_split")(x)
        streams = layers.ReversibleSequence(
            [
                layers.AdditiveCoupling(
                    residual(x.shape[-1] // 2, width),
                    fraction_bits=FRACTION_BITS,
                )
                for _ in range(blocks)
            ],
            name=f"stage{stage}",
        )(streams)
        x = layers.ChannelMerge(name=f"stage{stage}_merge")(streams)
    x = keras.layers.BatchNormalization(name="head_norm")(x)
    x = keras.layers.ReLU(name="head_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    x = keras.layers.Dense(classes, "softmax", name="predictions")(x)
    return keras.Model(image, x, name="bijective")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    require_replaceable(OUTPUT.value)
    dataset = load_dataset("fashion_mnist", data_dir=DATA_DIR.value)
    count = min(TRAIN_EXAMPLES.value, dataset.train.count)
    x, y = dataset.arrays("train", count)
    keras.utils.set_random_seed(0)
    model = build(
        dataset.image_shape,
        len(dataset.class_names),
        BLOCKS.value,
        WIDTH.value,
    )
    steps = EPOCHS.value * -(-count // BATCH_SIZE.value)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=3e-3, warmup_steps=steps // 10
    )
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    # 2: a line for each epoch.
    model.fit(x, y, batch_size=BATCH_SIZE.value, epochs=EPOCHS.value, verbose=2)
    test_x, test_y = dataset.arrays("test")
    _, accuracy = model.evaluate(test_x, test_y, verbose=0)
    representation = irevnet_tf.encoder(model)(test_x[:8])
    print(
        f"{accuracy:.2%} of {len(test_x):,} test images; images of "
        f"{test_x[0].size} values, representations of "
        f"{representation[0].numpy().size}"
    )
    with replacing(OUTPUT.value) as temporary:
        model.save(temporary)
    print(f"Wrote {OUTPUT.value}")


if __name__ == "__main__":
    app.run(main)
