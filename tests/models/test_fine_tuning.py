"""Fine-tuning: nested networks, frozen parts, and the example."""

import json
import pathlib
import re
import subprocess
import sys

import cases
import keras
import nesting
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import mnist

import irevnet_tf

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fine_tune.py"

each_way = pytest.mark.parametrize("how", nesting.WAYS)


def values(layer):
    """Return weights and statistics, without seeds, which always move."""
    return [v.numpy() for v in layer.variables if "seed" not in v.path]


def moved(layer, before):
    return [
        not np.array_equal(new, old)
        for new, old in zip(values(layer), before, strict=True)
    ]


def build_base():
    return cases.build("injective", include_top=False, pooling="avg")


def train(model):
    """Compile, and fit for two steps."""
    images, labels = cases.digits(8)
    cases.compile(model).fit(images, labels, batch_size=4, verbose=0)


def gradients(model):
    images, labels = cases.digits(4)

    @tf.function(autograph=False)
    def run():
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(
                    labels, predictions
                )
            )
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    return run()


@pytest.fixture(scope="module")
def plain_step():
    """Weights before one plain step, its gradients, and statistics after."""
    keras.utils.set_random_seed(0)
    model = cases.build("injective")
    weights = model.get_weights()
    return weights, gradients(model), model.get_weights()


@each_way
def test_gradients_are_those_of_the_plain_network(how, plain_step):
    weights, expected, weights_after = plain_step
    model = nesting.nest(build_base(), how)
    model.set_weights(weights)
    for ours, theirs in zip(gradients(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    for ours, theirs in zip(model.get_weights(), weights_after, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@each_way
def test_frozen_then_unfrozen(how):
    base = build_base()
    model = nesting.nest(base, how)
    start, head_start = values(base), model.layers[-1].get_weights()

    base.trainable = False
    train(model)
    # BatchNorm's statistics stay, too.
    assert not any(moved(base, start))
    assert all(moved(model.layers[-1], head_start))

    base.trainable = True
    train(model)
    # All but parts of the first block, which sees little but zeros.
    assert np.mean(moved(base, start)) > 0.8

    images, _ = cases.digits(4)
    representation = irevnet_tf.encoder(model)(images)
    reconstruction = irevnet_tf.invert(model)(representation)
    np.testing.assert_allclose(reconstruction, images, atol=1e-5)


@pytest.mark.parametrize(
    ("stage", "how"),
    [*zip(["stage1", "stage2", "stage1"], nesting.WAYS, strict=True)],
)
def test_frozen_stage_stays(how, stage):
    base = build_base()
    model = nesting.nest(base, how)
    base.get_layer(stage).trainable = False
    other = {"stage1": "stage2", "stage2": "stage1"}[stage]
    start = {name: values(base.get_layer(name)) for name in (stage, other)}
    train(model)
    assert not any(moved(base.get_layer(stage), start[stage]))
    # All but parts of the first of three blocks, as above.
    assert np.mean(moved(base.get_layer(other), start[other])) > 0.7


def test_memory_does_not_grow_with_depth_however_nested():
    """Peak memory of fine-tuning behind a frozen stage, in two processes."""

    def growth(memory_saving, *ways):
        script = ROOT / "tests" / "peak_memory_nested.py"
        result = subprocess.run(
            [sys.executable, script, memory_saving, *ways],
            capture_output=True,
            text=True,
            check=True,
        )
        first, *peaks = json.loads(result.stdout)
        return {
            how: peak - first for how, peak in zip(ways, peaks, strict=True)
        }

    plain = growth("0", "nested")["nested"]
    # Measured: 0.15, and 0.23 after all three.
    for how, grown in growth("1", *nesting.WAYS).items():
        assert grown < 0.5 * plain, how


with tfds.core.registered.skip_registration():

    class FewClothes(mnist.FashionMNIST):
        """Pictures of noise in place of Fashion-MNIST's."""

        name = "fashion_mnist"

        def _split_generators(self, dl_manager):
            return {split: self._noise() for split in ("train", "test")}

        def _noise(self):
            rng = np.random.default_rng(0)
            for key in range(20):
                image = rng.integers(0, 256, (28, 28, 1), "uint8")
                yield key, {"image": image, "label": key % 10}


def run_example(*arguments):
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "error::UserWarning",
            EXAMPLE,
            "--train_examples=16",
            "--test_examples=16",
            "--head_epochs=1",
            "--epochs=1",
            "--batch_size=8",
            *arguments,
        ],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def test_example_from_clothes_to_digits(tmp_path):
    output = tmp_path / "digits.keras"
    result = run_example("--image_size=8", f"--output={output}", "--compare")
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"^(\w[\w ,]+\w)  +(\S+)$", result.stdout, re.M)
    assert [name for name, _ in rows] == [
        "frozen body, new head",
        "unfrozen",
        "from random weights",
        "inversion error, largest",
    ]
    assert float(rows[-1][1]) < 1e-5
    model = keras.models.load_model(output)
    assert model.predict(np.zeros((1, 8, 8, 1)), verbose=0).shape == (1, 10)


def test_example_from_digits_to_clothes_lossless(tmp_path):
    FewClothes(data_dir=str(tmp_path)).download_and_prepare()
    output = tmp_path / "clothes.weights.h5"
    result = run_example(
        "--source=digits",
        "--target=fashion_mnist",
        f"--data_dir={tmp_path}",
        f"--output={output}",
        "--lossless",
    )
    assert result.returncode == 0, result.stderr
    assert "digits to fashion_mnist: 16 images" in result.stdout
    assert "inversion error, largest   0.0e+00" in result.stdout
    assert output.exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--image_size=10", "must be a multiple of 4"),
        ("--output=model.h5", "must end in .keras or .weights.h5"),
    ],
)
def test_example_refuses(flag, message):
    result = run_example(flag)
    assert result.returncode
    assert message in result.stderr
