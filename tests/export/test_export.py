"""Tests of irevnet_tf.export, on the exported files."""

import hashlib
import json
import math

import cases
import keras
import numpy as np
import processes
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf.export import export_saved_model

ROWS = (
    ("bijective", "ordinary"),
    ("injective", "ordinary"),
    ("injective", "lossless"),
    ("injective_twice", "lossless"),
    ("bijective_1x1", "lossless"),
)
NAMES = tuple(f"class {index}" for index in range(cases.CLASSES))


def raw_images(count=3, shape=cases.IMAGE_SHAPE):
    """Return images as files have them: digits, tinted, in 8 bits."""
    images, _ = cases.digits(count)
    return np.rint(images * 255)[..., : shape[-1]].astype("float32")


def network(family, mode="ordinary", **overrides):
    """Return a network whose BatchNorms have seen something."""
    arguments = {"blocks": (2, 1), "lossless": mode == "lossless", **overrides}
    return cases.stir(cases.build(family, **arguments))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """{(family, mode): (model, version)} of every kind of network."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for family, mode in ROWS:
        model = network(family, mode)
        found[family, mode] = (
            model,
            export_saved_model(
                model,
                folder / f"{family}_{mode}",
                class_names=NAMES,
                image_size="dynamic",
                reconstruct_from="stage1",
                warmup=False,
            ),
        )
    return found


def answers_of(exported, call, folder):
    """Return {row: (what Keras finds, what the export's signatures do)}."""
    raw = raw_images()
    calls, expected = [], {}
    for row, (model, version) in exported.items():
        x = irevnet_tf.preprocess_input(raw, "unit")
        features = irevnet_tf.encoder(model).predict(x, verbose=0)
        expected[row] = {
            "features": features,
            "probabilities": model.predict(x, verbose=0),
        }
        calls += [
            (version, "forward", {"images": raw}),
            (version, "serving_default", {"images": raw}),
            (version, "inverse", {"features": features}),
            (version, "reconstruct", {"images": raw}),
        ]
    found = call(calls, folder)
    return {
        row: (expected[row], found[4 * index : 4 * index + 4])
        for index, row in enumerate(exported)
    }


@pytest.mark.parametrize(
    "call",
    [processes.call_without_keras, processes.call_by_c_api],
    ids=["python", "c_api"],
)
def test_signatures_answer_as_keras_where_there_is_no_keras(
    exported, tmp_path, call
):
    raw = raw_images()
    answers = answers_of(exported, call, tmp_path)
    for row, (expected, found) in answers.items():
        forward, default, inverse, reconstruct = found
        _, mode = row
        for name, values in expected.items():
            # The same operations, by the same kernels. But x / 255 becomes
            # x * (1 / 255) in a graph, which the grid rounds away.
            atol = 0 if mode == "lossless" else 1e-5
            np.testing.assert_allclose(
                forward[name], values, rtol=0, atol=atol, err_msg=row
            )
            np.testing.assert_array_equal(forward[name], default[name])
        best = np.argmax(expected["probabilities"], axis=-1)
        names = [name.decode() for name in forward["classes"]]
        assert names == [NAMES[index] for index in best]
        for back in (inverse["images"], reconstruct["images"]):
            assert back.dtype == np.float32
            np.testing.assert_array_equal(np.rint(back), raw, err_msg=row)
        if mode == "lossless":
            # What is off is the images' rounding to the grid.
            assert np.max(np.abs(inverse["images"] - raw)) <= 255 * 2.0**-15


@pytest.mark.parametrize(
    ("family", "policy"),
    [("bijective", "mixed_float16"), ("injective", "mixed_bfloat16")],
)
def test_lossless_exports_in_half_precision_are_exact(family, policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = network(family, "lossless")
    keras.config.set_dtype_policy("float32")
    version = export_saved_model(model, tmp_path, warmup=False)
    loaded = tf.saved_model.load(version)
    raw = raw_images(5)
    found = loaded.signatures["forward"](images=raw)
    features = irevnet_tf.encoder(model).predict(raw / 255, verbose=0)
    np.testing.assert_array_equal(found["features"], features)
    # Kernels are stored as they are used.
    reader = tf.train.load_checkpoint(str(version) + "/variables/variables")
    kernels = [
        reader.get_variable_to_dtype_map()[name].name
        for name, shape in reader.get_variable_to_shape_map().items()
        if len(shape) == 4
    ]
    assert len(kernels) == sum(len(w.shape) == 4 for w in model.weights) > 0
    assert set(kernels) == {policy.removeprefix("mixed_")}
    # One by one: the server batches as it likes.
    back = [
        loaded.signatures["inverse"](features=one[None])["images"][0]
        for one in found["features"]
    ]
    np.testing.assert_array_equal(np.rint(back), raw)


def test_convolutional_heads_in_half_precision_keep_their_activation(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    body = network("bijective", include_top=False)

    def doubled(x):  # Keras could not make it again from a configuration.
        return 2 * tf.abs(x)

    head = keras.layers.Conv2D(3, 1, activation=doubled)
    model = keras.Model(body.input, head(body.output))
    keras.config.set_dtype_policy("float32")
    version = export_saved_model(model, tmp_path, warmup=False)
    raw = raw_images(2)
    found = tf.saved_model.load(version).signatures["forward"](images=raw)
    expected = model.predict(raw / 255, verbose=0)
    np.testing.assert_array_equal(found["outputs"], expected)


def test_any_size_fits_a_dynamic_export(exported):
    model, version = exported["bijective_1x1", "lossless"]
    loaded = tf.saved_model.load(version)
    raw = np.random.default_rng(0).integers(0, 256, (2, 24, 40, 3))
    raw = raw.astype("float32")
    features = loaded.signatures["forward"](images=raw)["features"]
    back = loaded.signatures["inverse"](features=features)["images"]
    np.testing.assert_array_equal(np.rint(back), raw)
    with pytest.raises(tf.errors.InvalidArgumentError, match="divisible by 4"):
        loaded.signatures["forward"](images=raw[:, :22])


def test_a_dynamic_model_gets_a_fixed_size(tmp_path):
    model = network("bijective", input_shape=(None, None, 3))
    version = export_saved_model(
        model, tmp_path, image_size=(16, 32), warmup=False
    )
    shapes = {
        name: signature["inputs"]
        for name, signature in card_of(version)["signatures"].items()
    }
    assert shapes["forward"]["images"]["shape"] == [None, 16, 32, 3]
    assert shapes["inverse"]["features"]["shape"] == [None, 2, 4, 192]


@pytest.mark.parametrize("mode", irevnet_tf.preprocessing.PREPROCESSING)
def test_images_come_back_in_every_preprocessing(mode, tmp_path):
    channels = 3 if mode in ("cifar10", "cifar100", "imagenet") else 1
    model = irevnet_tf.IRevNet(
        (1,), (2,), (8 * channels,), lossless=True, input_shape=(4, 4, channels)
    )
    version = export_saved_model(
        model, tmp_path, preprocessing=mode, warmup=False
    )
    loaded = tf.saved_model.load(version)
    raw = np.resize(np.arange(256, dtype="float32"), (16, 4, 4, channels))
    x = irevnet_tf.preprocess_input(
        raw * (16 / 255 if mode == "digits" else 1), mode
    )
    found = loaded.signatures["forward"](images=raw)
    np.testing.assert_allclose(
        found["features"], irevnet_tf.encoder(model)(x), atol=2.0**-13
    )
    back = loaded.signatures["inverse"](features=found["features"])["images"]
    np.testing.assert_array_equal(np.rint(back), raw)


def test_files_are_decoded_as_for_testing(tmp_path):
    model = network("bijective")
    version = export_saved_model(
        model, tmp_path, image_bytes=True, warmup=False
    )
    loaded = tf.saved_model.load(version)
    raw = raw_images(2)
    large = np.repeat(np.repeat(raw, 3, axis=1), 2, axis=2).astype("uint8")
    png = [tf.io.encode_png(image) for image in raw.astype("uint8")]
    jpeg = tf.io.encode_jpeg(large[0])
    found = loaded.signatures["forward_bytes"](
        image_bytes=tf.stack([*png, jpeg])
    )
    expected = loaded.signatures["forward"](images=raw)
    for name in expected:
        np.testing.assert_array_equal(found[name][:2], expected[name])
    from irevnet_tf.data.decoding import central_crop

    shown = central_crop(jpeg, cases.IMAGE_SHAPE)
    np.testing.assert_array_equal(
        found["features"][2:],
        loaded.signatures["forward"](images=shown[None])["features"],
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="[Ii]mage"):
        loaded.signatures["forward_bytes"](image_bytes=tf.constant([b"no"]))


OUTPUTS = {
    "logits": ({"classifier_activation": None}, {"probabilities"}),
    "sigmoid": ({"classifier_activation": "sigmoid"}, {"probabilities"}),
    "pooled": ({"include_top": False, "pooling": "avg"}, {"outputs"}),
    "representation": ({"include_top": False}, set()),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_are_named_for_what_they_are(kind, tmp_path):
    arguments, names = OUTPUTS[kind]
    model = network("bijective", **arguments)
    version = export_saved_model(model, tmp_path, warmup=False)
    raw = raw_images()
    found = tf.saved_model.load(version).signatures["forward"](images=raw)
    assert found.keys() == names | {"features"}
    expected = model.predict(raw / 255, verbose=0)
    if kind == "logits":
        expected = tf.nn.softmax(expected)
    if names:
        np.testing.assert_allclose(found[names.pop()], expected, 1e-5, 1e-7)


def test_weights_are_stored_once_and_statistics_folded(exported):
    model, version = exported["bijective", "ordinary"]
    size = sum(
        path.stat().st_size for path in version.glob("variables/*.data*")
    )
    # Beside the weights there is the graph of the Python objects.
    weights = 4 * sum(math.prod(v.shape) for v in model.weights)
    assert size < weights + 50_000
    assert "Rsqrt" not in processes.operations(version, "forward")


def test_a_python_loader_has_nothing_to_warn_of(exported):
    for _, version in exported.values():
        library = processes.meta_graph(version).graph_def.library
        for function in library.function:
            for node in function.node_def:
                assert "_gradient_op_type" not in node.attr


def nodes_of(model):
    return [
        (layer.name, len(layer._inbound_nodes), len(layer._outbound_nodes))
        for layer in model._flatten_layers()
    ]


def test_the_model_is_left_as_it_was(tmp_path):
    model = cases.compile(network("injective"))
    images, labels = cases.digits(16)
    model.fit(images, labels, verbose=0)
    before = model.predict(images, verbose=0), model.get_config()
    nodes = nodes_of(model)
    version = export_saved_model(model, tmp_path / "m", warmup=False)
    np.testing.assert_array_equal(model.predict(images, verbose=0), before[0])
    assert model.get_config() == before[1]
    assert nodes_of(model) == nodes
    assert model.get_layer("stage1").memory_saving
    # What was exported is the model of that moment.
    loaded = tf.saved_model.load(version)
    model.fit(images, labels, verbose=0)
    found = loaded.signatures["forward"](images=images * 255)
    np.testing.assert_allclose(found["probabilities"], before[0], atol=1e-6)


def card_of(version):
    return json.loads((version / "model_card.json").read_text())


def test_the_card_tells_what_it_is(exported):
    model, version = exported["injective", "lossless"]
    card = card_of(version)
    assert card["parameters"] == model.count_params()
    assert (card["lossless"], card["fraction_bits"]) == (True, 14)
    assert card["class_names"] == list(NAMES)
    assert card["preprocessing"] == {
        "name": "unit",
        "formula": "(images / maximum - mean) / std, by channel",
        "maximum": 255.0,
        "mean": [0.0],
        "std": [1.0],
    }
    assert card["signatures"].keys() == {
        "forward",
        "inverse",
        "reconstruct",
        "serving_default",
    }
    forward = card["signatures"]["forward"]
    assert forward["inputs"] == {
        "images": {"dtype": "float32", "shape": [None, None, None, 3]}
    }
    assert forward["outputs"]["classes"] == {
        "dtype": "string",
        "shape": [None],
    }
    assert 0 <= card["inversion"]["largest_pixel_difference"] < 255 * 2.0**-15
    assert card["warmup_requests"] == 0
    files = [path for path in version.rglob("*") if path.is_file()]
    assert len(card["sha256"]) == len(files) - 1 > 2
    for name, digest in card["sha256"].items():
        content = (version / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest


def test_a_network_out_of_its_range_is_exported_with_a_warning(
    tmp_path, caplog
):
    model = network("bijective", "lossless", fraction_bits=14)
    model.get_layer("stage1").blocks[0].residual.layers[-1].kernel.assign(
        1e6
        * tf.ones_like(
            model.get_layer("stage1").blocks[0].residual.layers[-1].kernel
        )
    )
    version = export_saved_model(model, tmp_path, warmup=False)
    assert "cannot take a plain sample image" in caplog.text
    assert card_of(version)["inversion"]["largest_pixel_difference"] is None
    with pytest.raises(tf.errors.InvalidArgumentError, match="lossless"):
        tf.saved_model.load(version).signatures["forward"](images=raw_images())
