"""Portable networks encoded in one runtime and decoded in every other."""

import itertools
import pathlib
import re

import numpy as np
import portable_networks
import pytest

import irevnet_tf
from irevnet_tf.export import export_saved_model
from irevnet_tf.export.litert import export_litert
from irevnet_tf.preprocessing import PREPROCESSING

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
interpreter = pytest.importorskip(
    "ai_edge_litert.interpreter", reason="ai-edge-litert is not installed"
)

ROOT = pathlib.Path(__file__).parents[3]
NETWORKS = [
    ("injective", {}),
    ("bijective", {"sum_bits": 21}),
    ("kernels_of_1", {"weight_bits": 10, "activation_bits": 10}),
    ("gray", {"overflow": "split", "sum_bits": 14}),
]


@pytest.fixture(
    scope="module",
    params=NETWORKS,
    ids=["-".join([name, *options]) for name, options in NETWORKS],
)
def network(request, tmp_path_factory, load):
    """Return a model, and {runtime: its functions}."""
    name, options = request.param
    model = portable_networks.portable(name, pixel_range=(0.0, 1.0), **options)
    folder = tmp_path_factory.mktemp("portable")
    version = export_saved_model(model, folder / "saved", warmup=False)
    runtimes = {
        name: load(name, version) for name in ("tensorflow", "onnx", "litert")
    }
    runtimes["litert without XNNPACK"] = _without_delegates(
        export_litert(version, folder / "network.tflite")
    )
    return model, runtimes


def _without_delegates(path):
    plain = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    loaded = interpreter.Interpreter(
        str(path), experimental_op_resolver_type=plain
    )

    def function(name, argument):
        run = loaded.get_signature_runner(name)
        return lambda array: run(**{argument: array})

    return {
        "forward": function("forward", "images"),
        "inverse": function("inverse", "features"),
    }


def raw_images(model, count):
    shape = (count, *model.input_shape[1:])
    images = np.random.default_rng(3).integers(0, 256, shape)
    images[0], images[1] = 0, 255
    return images.astype("float32")


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(found.view("u4"), expected.view("u4"))


@pytest.mark.parametrize("size", [1, 3])
def test_from_every_runtime_into_every_other(network, size):
    model, runtimes = network
    raw = raw_images(model, 6)
    x = raw / np.float32(255)
    features = irevnet_tf.encoder(model).predict(x, verbose=0)
    images = irevnet_tf.invert(model).predict(features, verbose=0) * 255
    np.testing.assert_array_equal(np.rint(images), raw)
    encoded = {
        name: np.concatenate(
            [
                run["forward"](raw[start : start + size])["features"]
                for start in range(0, len(raw), size)
            ]
        )
        for name, run in runtimes.items()
    }
    for there, back in itertools.product(runtimes, runtimes):
        assert_same_bits(encoded[there], features)
        (found,) = runtimes[back]["inverse"](encoded[there]).values()
        assert_same_bits(found, images)


def test_classes_are_the_same(network):
    model, runtimes = network
    raw = raw_images(model, 64)
    expected = model.predict(raw / np.float32(255), verbose=0)
    for run in runtimes.values():
        found = run["forward"](raw)["probabilities"]
        np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))


def test_out_of_range_is_nan(network):
    model, runtimes = network
    raw = raw_images(model, 3)
    raw[1, 2, 3] = 300.0
    features = irevnet_tf.encoder(model).predict(raw[::2] / 255, verbose=0)
    for name, run in runtimes.items():
        if name == "tensorflow":
            continue  # An error.
        outputs = run["forward"](raw)
        for values in outputs.values():
            assert np.isnan(values[1]).all(), name
        np.testing.assert_array_equal(outputs["features"][::2], features)
        far = np.full_like(features, 1e4)
        (images,) = run["inverse"](far).values()
        assert np.isnan(images).all(), name


def test_code_in_the_document(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "portable.md").read_text()
    names = {}
    exec("".join(re.findall(r"```python\n(.*?)```", text, re.S)), names)
    assert irevnet_tf.certify(names["few"]).weight_bits == 5


def test_pixels_that_runtimes_round_differently_are_told_of(tmp_path):
    model = portable_networks.network("injective")
    images = portable_networks.images(model.input_shape[1:])
    low, high = PREPROCESSING["imagenet"].value_range
    made = irevnet_tf.portable(
        model, images, pixel_range=(low, high), verbose=0
    )
    with pytest.raises(ValueError, match="makes 0 to 1, the default"):
        export_saved_model(made, tmp_path, warmup=False)
    with pytest.warns(UserWarning, match="Received: .* values of 8 bits"):
        export_saved_model(
            made, tmp_path, preprocessing="imagenet", warmup=False
        )
    model.preprocessing = "imagenet"
    made = irevnet_tf.portable(model, images, verbose=0)
    export_saved_model(made, tmp_path, warmup=False)  # Without a warning.
    with pytest.warns(UserWarning, match="made portable for images from -2.1"):
        export_saved_model(made, tmp_path, preprocessing="unit", warmup=False)
