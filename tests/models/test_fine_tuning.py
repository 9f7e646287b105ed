"""Fine-tuning: nested networks, frozen parts, and the example."""

import json
import os
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


@pytest.mark.programs
def test_memory_does_not_grow_with_depth_however_nested():
    """Peak memory of fine-tuning behind a frozen stage, in one process."""
    result = subprocess.run(
        [
            sys.executable,
            ROOT / "tests" / "peak_memory_nested.py",
            *nesting.WAYS,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    shallow, *saving, plain = json.loads(result.stdout)
    # Measured: 0.15, and 0.23 after all three.
    for how, peak in zip(nesting.WAYS, saving, strict=True):
        assert peak - shallow < 0.5 * (plain - shallow), how


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


QUICK = (
    "--train_examples=16",
    "--test_examples=16",
    "--head_epochs=1",
    "--epochs=1",
    "--batch_size=8",
)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Return the folder and the results of all runs of the example.

    In one process, as imports are slow.
    """
    folder = tmp_path_factory.mktemp("example")
    FewClothes(data_dir=str(folder)).download_and_prepare()
    runs = {
        "to digits": (
            *QUICK,
            "--image_size=8",
            f"--output={folder / 'digits.keras'}",
        ),
        "to clothes": (
            "small",
            *QUICK,
            "--source=digits",
            "--target=fashion_mnist",
            f"--data_dir={folder}",
            f"--output={folder / 'clothes.weights.h5'}",
            "--lossless",
            "--compare",
        ),
        "wrong size": ("--image_size=10",),
        "wrong output": ("--output=model.h5",),
    }
    result = subprocess.run(
        [
            sys.executable,
            pathlib.Path(__file__).with_name("run_fine_tune.py"),
            json.dumps(list(runs.values())),
        ],
        capture_output=True,
        text=True,
        env={
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
    )
    assert result.returncode == 0, result.stderr
    results = json.loads(result.stdout.splitlines()[-1])
    return folder, dict(zip(runs, results, strict=True))


def rows(output):
    """Return the rows of the table that the example prints."""
    return re.findall(r"^(\w[\w ,]+\w)  +(\S+)$", output, re.M)


@pytest.mark.programs
def test_example_from_clothes_to_digits(example):
    folder, results = example
    accepted, output = results["to digits"]
    assert accepted, output
    found = rows(output)
    assert [name for name, _ in found] == [
        "frozen body, new head",
        "unfrozen",
        "inversion error, largest",
    ]
    assert float(found[-1][1]) < 1e-5
    model = keras.models.load_model(folder / "digits.keras")
    assert model.predict(np.zeros((1, 8, 8, 1)), verbose=0).shape == (1, 10)


@pytest.mark.programs
def test_example_from_digits_to_clothes_lossless(example):
    folder, results = example
    accepted, output = results["to clothes"]
    assert accepted, output
    assert "digits to fashion_mnist: 16 images" in output
    assert [name for name, _ in rows(output)] == [
        "frozen body, new head",
        "unfrozen",
        "from random weights",
        "inversion error, largest",
    ]
    assert "inversion error, largest   0.0e+00" in output
    assert (folder / "clothes.weights.h5").exists()


@pytest.mark.programs
@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("wrong size", "must be a multiple of 4"),
        ("wrong output", "must end in .keras or .weights.h5"),
    ],
)
def test_example_refuses(run, message, example):
    accepted, output = example[1][run]
    assert not accepted
    assert message in output
