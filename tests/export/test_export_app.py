"""Tests of irevnet_tf.apps.export."""

import json

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf.apps import export
from irevnet_tf.apps.export import Request
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory


def run_app(*arguments):
    """Run the application as the command line would."""
    values = flags.FlagValues()
    define_flags(Request, values)
    values(["irevnet-export", "--nowarmup", *map(str, arguments)])
    return export.export(from_flags(Request, values))


def card_of(version):
    return json.loads((version / "model_card.json").read_text())


def classify(version, images):
    loaded = tf.saved_model.load(version)
    return loaded.signatures["forward"](images=images)


def test_weights_of_a_name_bring_all_there_is_to_know(tmp_path, capsys):
    version = run_app(
        "--model=IRevNet28",
        "--weights=fashion_mnist",
        f"--output={tmp_path / 'clothes'}",
        "--image_bytes",
        "--reconstruct_from=stage2",
    )
    assert version == tmp_path / "clothes" / "1"
    card = card_of(version)
    assert card["preprocessing"]["name"] == "fashion_mnist"
    assert card["class_names"][9] == "Ankle boot"
    assert card["lossless"]
    assert card["reconstruct_from"] == "stage2"
    assert card["signatures"]["forward_bytes"]["outputs"].keys() == {
        "classes",
        "features",
        "probabilities",
    }
    output = capsys.readouterr().out
    assert f"exported to               {version}\n" in output
    assert "forward, inputs           images float32 ?x28x28x1\n" in output
    assert "inverse, outputs          images float32 ?x28x28x1\n" in output
    assert "mode                      lossless, 14 fraction bits\n" in output
    assert "preprocessing             fashion_mnist\n" in output
    assert (
        "sample images, back       every pixel; before rounding, off by 7.7e-03"
        in output
    )


def test_a_run_is_exported_as_it_was_trained(tmp_path):
    run = RunDirectory.create(tmp_path / "run", RunConfig())
    model = irevnet_tf.IRevNet28(
        input_shape=(8, 8, 1), lossless=True, classifier_activation=None
    )
    run.save_weights(model)
    version = run_app(f"--run_dir={run.path}", f"--output={tmp_path / 'out'}")
    card = card_of(version)
    assert card["lossless"]
    assert card["class_names"] == [str(digit) for digit in range(10)]
    raw = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1))
    found = classify(version, raw.astype("float32"))
    expected = tf.nn.softmax(model.predict(raw / 255, verbose=0))
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)


def test_a_saved_keras_model_is_exported(tmp_path):
    model = cases.build("bijective")
    model.save(tmp_path / "model.keras")
    arguments = (
        f"--keras_file={tmp_path / 'model.keras'}",
        f"--output={tmp_path / 'out'}",
    )
    with pytest.raises(app.UsageError, match="--preprocessing is needed"):
        run_app(*arguments)
    assert not (tmp_path / "out").exists()
    version = run_app(
        *arguments,
        "--preprocessing=cifar10",
        "--class_names=cifar10",
        "--image_size=24,32",
    )
    card = card_of(version)
    assert card["signatures"]["forward"]["inputs"]["images"]["shape"] == [
        None,
        24,
        32,
        3,
    ]
    assert card["class_names"][0] == "airplane"
    again = run_app(
        *arguments,
        "--preprocessing=unit",
        "--image_size=dynamic",
        "--class_names=" + ",".join("abcdefghij"),
    )
    assert again == version.with_name("2")
    raw, _ = cases.digits(2)
    expected = keras.saving.load_model(tmp_path / "model.keras")(raw)
    found = classify(again, raw * 255)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    assert found["classes"][0].numpy().decode() in "abcdefghij"


def test_a_saved_keras_model_may_know_its_scale(tmp_path):
    base = cases.build("bijective", include_top=False, pooling="avg")
    base.preprocessing = "cifar10"
    head = keras.layers.Dense(3, activation="softmax")
    keras.Sequential([base, head]).save(tmp_path / "tuned.keras")
    arguments = (
        f"--keras_file={tmp_path / 'tuned.keras'}",
        f"--output={tmp_path / 'out'}",
    )
    version = run_app(*arguments)
    assert card_of(version)["preprocessing"]["name"] == "cifar10"
    version = run_app(*arguments, "--preprocessing=unit")
    assert card_of(version)["preprocessing"]["name"] == "unit"


def test_weights_files_are_exported_for_their_classes(tmp_path):
    path = tmp_path / "model.weights.h5"
    irevnet_tf.IRevNet28(classes=3, input_shape=(8, 8, 1)).save_weights(path)
    version = run_app(
        "--model=IRevNet28",
        f"--weights={path}",
        "--classes=3",
        "--preprocessing=unit",
        f"--output={tmp_path / 'out'}",
        "--image_size=16",
        "--image_channels=1",
        "--lossless",
    )
    card = card_of(version)
    assert card["lossless"]
    forward = card["signatures"]["forward"]
    assert forward["inputs"]["images"]["shape"] == [None, 16, 16, 1]
    outputs = card["signatures"]["forward"]["outputs"]
    assert outputs["probabilities"]["shape"] == [None, 3]
    assert "classes" not in outputs


REFUSED = {
    "no output": (("--run_dir=x",), "--output must be a directory"),
    "no source": (("--output=out",), "Exactly one of .* none of them"),
    "two sources": (
        ("--output=out", "--run_dir=x", "--weights=digits"),
        "Exactly one of .*Received: --run_dir, --weights",
    ),
    "no weights": (
        ("--output=out", "--model=IRevNet28"),
        "--model need --weights",
    ),
    "a name that nothing has": (
        ("--output=out", "--weights=nothing"),
        "one network has .digits, .*, or be given with --model.*=nothing",
    ),
    "no such run": (
        ("--output=out", "--run_dir=nowhere"),
        "Expected the directory of a training run",
    ),
    "no such file": (
        ("--output=out", "--keras_file=nowhere.keras"),
        "nowhere.keras",
    ),
    "flags of another source": (
        ("--output=out", "--keras_file=x.keras", "--lossless", "--classes=7"),
        "--classes, --lossless need --weights",
    ),
    "a file in the way of LiteRT's": (
        ("--output=out", "--run_dir=x", "--litert=/proc/x/y.tflite"),
        "--litert must be a place that can be written to.*Received: --litert=/",
    ),
    "an empty name": (
        ("--output=out", "--run_dir=x", "--litert="),
        "--litert must be a place",
    ),
    "an argument that does not fit": (
        (
            "--output=out",
            "--model=IRevNet28",
            "--weights=digits",
            "--reconstruct_from=4",
        ),
        "Received: 'stage4'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_tell_what_was_expected(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = REFUSED[case]
    with pytest.raises(app.UsageError, match=f"(?s){message}"):
        run_app(*arguments)
    assert not any(tmp_path.iterdir())
