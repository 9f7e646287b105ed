"""Fine-tune a pretrained IRevNet28 on other images, as any application.

    python examples/fine_tune.py
    python examples/fine_tune.py --source=digits --target=fashion_mnist

First a new head learns on the features of the frozen body, then all of the
network at a low rate, in memory that does not grow with its depth. In the end
the network is run backwards: what it has become is still invertible. With
--compare, the same network is trained from random weights on the same images
for as many epochs.

Fashion-MNIST is read from the prepared sets of TFDS, in --data_dir, and
downloaded if it is not there. The digits come with scikit-learn.
"""

import keras
import numpy as np
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.data import load_dataset

NAMES = ("fashion_mnist", "digits")
HEAD_RATE = 1e-2
FINE_TUNING_RATE = 1e-3
SHOWN = 64  # Images to invert.

SOURCE = flags.DEFINE_enum(
    "source", "fashion_mnist", NAMES, "The weights to start from."
)
TARGET = flags.DEFINE_enum(
    "target", "digits", NAMES, "The data set to fine-tune on."
)
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Directory of TFDS' prepared data sets."
)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size",
    28,
    "Height and width to which the images are resized, a multiple of 4.",
    lower_bound=4,
)
TRAIN_EXAMPLES = flags.DEFINE_integer(
    "train_examples", 1000, "Images to train on, at most.", lower_bound=1
)
TEST_EXAMPLES = flags.DEFINE_integer(
    "test_examples", 2000, "Images to test on, at most.", lower_bound=1
)
HEAD_EPOCHS = flags.DEFINE_integer(
    "head_epochs", 5, "Epochs with the frozen body.", lower_bound=1
)
EPOCHS = flags.DEFINE_integer(
    "epochs", 5, "Epochs of all of the network.", lower_bound=1
)
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 32, "Images in a step.", lower_bound=1
)
LOSSLESS = flags.DEFINE_bool(
    "lossless", False, "Whether the inverse is exact to the last bit."
)
COMPARE = flags.DEFINE_bool(
    "compare", False, "Whether to train from random weights, too."
)
OUTPUT = flags.DEFINE_string(
    "output", None, "File for the result: .keras, or .weights.h5."
)
flags.register_validator(
    "image_size", lambda size: size % 4 == 0, "must be a multiple of 4"
)
flags.register_validator(
    "output",
    lambda path: path is None or path.endswith((".keras", ".weights.h5")),
    "must end in .keras or .weights.h5",
)


def load_part(dataset, part, most):
    """Return at most `most` images, resized, and their labels."""
    count = min(most, getattr(dataset, part).count)
    images, labels = dataset.arrays(part, count)
    size = (IMAGE_SIZE.value, IMAGE_SIZE.value)
    if images.shape[1:3] != size:
        images = keras.ops.image.resize(images, size, antialias=True)
    if LOSSLESS.value:
        # What a lossless network gives back are the images on its grid.
        images = irevnet_tf.layers.FixedPointRounding(14)(images)
    return np.asarray(images), labels


def build(weights, classes):
    """Return the body, pretrained or not, and the body with a new head."""
    base = irevnet_tf.IRevNet28(
        include_top=False,
        weights=weights,
        input_shape=(IMAGE_SIZE.value, IMAGE_SIZE.value, 1),
        pooling="avg",
        lossless=LOSSLESS.value,
    )
    head = keras.layers.Dense(classes, activation="softmax", name="new_head")
    return base, keras.Model(base.input, head(base.output))


def fit(model, rate, epochs, train, test):
    """Train what is not frozen, and return the accuracy on `test`."""
    steps = epochs * -(-len(train[0]) // BATCH_SIZE.value)
    decay = keras.optimizers.schedules.CosineDecay(rate, steps)
    # Compiled again each time: Keras looks at what is frozen only here.
    model.compile(
        keras.optimizers.Adam(decay),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    model.fit(*train, batch_size=BATCH_SIZE.value, epochs=epochs, verbose=2)
    return model.evaluate(*test, verbose=0, return_dict=True)["accuracy"]


def fine_tune(train, test, classes):
    """Return the fine-tuned model, and the accuracy behind either phase."""
    base, model = build(SOURCE.value, classes)
    base.trainable = False
    frozen = fit(model, HEAD_RATE, HEAD_EPOCHS.value, train, test)
    # BatchNorm's statistics move again, too. Those of clothes do not fit
    # digits: with all BatchNorms frozen, the network learned next to nothing.
    base.trainable = True
    unfrozen = fit(model, FINE_TUNING_RATE, EPOCHS.value, train, test)
    return model, frozen, unfrozen


def inversion_error(model, images):
    """Return the largest difference between images and what comes back."""
    encoder = irevnet_tf.encoder(model)
    decoder = irevnet_tf.invert(model)
    representation = encoder.predict(images, verbose=0)
    again = decoder.predict(representation, verbose=0)
    return np.max(np.abs(again - images))


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    if OUTPUT.value:
        require_replaceable(OUTPUT.value)  # Before the work, not after it.
    keras.utils.set_random_seed(0)
    dataset = load_dataset(TARGET.value, data_dir=DATA_DIR.value)
    train = load_part(dataset, "train", TRAIN_EXAMPLES.value)
    test = load_part(dataset, "test", TEST_EXAMPLES.value)
    classes = len(dataset.class_names)

    model, frozen, unfrozen = fine_tune(train, test, classes)
    rows = [("frozen body, new head", f"{frozen:.2%}")]
    rows += [("unfrozen", f"{unfrozen:.2%}")]
    if COMPARE.value:
        epochs = HEAD_EPOCHS.value + EPOCHS.value
        _, other = build(None, classes)
        scratch = fit(other, FINE_TUNING_RATE, epochs, train, test)
        rows += [("from random weights", f"{scratch:.2%}")]
    error = inversion_error(model, test[0][:SHOWN])
    rows += [("inversion error, largest", f"{error:.1e}")]

    print(
        f"\n{SOURCE.value} to {TARGET.value}: {len(train[0]):,} images to "
        f"train on, {len(test[0]):,} to test on"
    )
    for name, value in rows:
        print(f"{name:26}{value:>8}")
    if OUTPUT.value:
        save = model.save
        if OUTPUT.value.endswith(".weights.h5"):
            save = model.save_weights
        with replacing(OUTPUT.value) as temporary:
            save(temporary)


if __name__ == "__main__":
    app.run(main)
