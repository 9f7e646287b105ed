"""The constructors as those of keras.applications, pretrained and not."""

import gzip
import hashlib
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data import load_dataset
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.zoo import registry

ROOT = pathlib.Path(__file__).parents[2]
# Where a package of Debian puts the data.
FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")
SHIPPED = [r for r in registry.weights_records() if r.sha256 is not None]
by_name = pytest.mark.parametrize(
    "record",
    SHIPPED,
    ids=lambda r: r.name + ("-portable" if r.portable else ""),
)


def build(record, **kwargs):
    constructor = getattr(irevnet_tf, record.model)
    return constructor(weights=record.name, portable=record.portable, **kwargs)


@by_name
def test_shipped_weights_by_name(record):
    model = build(record)
    assert model.input_shape == (None, *record.input_shape)
    assert model.output_shape == (None, record.classes)
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable == (0 if record.portable else record.parameters)
    images = np.random.default_rng(0).random((2, *record.input_shape))
    probabilities = model.predict(images, verbose=0)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    (first, *_), _ = irevnet_tf.decode_predictions(
        probabilities, mode=record.class_names
    )
    assert first[2] == probabilities[0].max()


@by_name
def test_file_and_cards_are_those_of_the_registry(record):
    folder = registry.weights_directory()
    digest = hashlib.sha256((folder / record.file).read_bytes()).hexdigest()
    assert record.sha256 == digest
    stem = record.file.removesuffix(".weights.h5")
    card = (folder / f"{stem}.md").read_text(encoding="utf-8")
    for fact in (digest, f"{record.accuracy:.2%}", record.command):
        assert fact in card.replace("\\\n    ", "")
    if record.portable:
        certificate = irevnet_tf.certify(build(record))
        assert certificate.to_dict() == record.certificate
        assert str(certificate) in card
        return
    recipe = record.command.split("--flagfile=")[1].split()[0]
    assert (ROOT / recipe).is_file()


@pytest.mark.parametrize("lossless", [True, False])
def test_accuracy_on_record_is_that_of_the_weights(lossless):
    record = registry.find_record("IRevNet28", "digits")
    model = irevnet_tf.IRevNet28(weights="digits", lossless=lossless)
    digits = load_dataset("digits")
    result = Evaluator(model).measure(
        evaluation_batches(digits, digits.test, 64)
    )
    # Other processors round otherwise, which may decide a close case.
    assert result.accuracy == pytest.approx(record.accuracy, abs=1.1 / 360)
    if lossless:
        assert result.inversion_error_max == record.inversion_error == 0
    else:
        assert result.inversion_error_max < 5e-6


@pytest.mark.parametrize("lossless", [True, False])
def test_weights_classify_and_return_clothes(lossless):
    """The first 100 test images, of which 95 were classified correctly."""
    data = np.load(ROOT / "tests/fixtures/fashion_mnist/test_images_100.npz")
    model = irevnet_tf.IRevNet28(weights="fashion_mnist", lossless=lossless)
    x = irevnet_tf.preprocess_input(data["images"], "fashion_mnist")
    hits = model.predict(x, verbose=0).argmax(-1) == data["labels"]
    assert abs(int(hits.sum()) - 95) <= 1
    restored = irevnet_tf.invert(model)(irevnet_tf.encoder(model)(x)).numpy()
    raw = np.rint(irevnet_tf.undo_preprocess(restored, "fashion_mnist"))
    np.testing.assert_array_equal(raw, data["images"])


def read_idx(path):
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">u4", rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


@pytest.mark.skipif(
    not FASHION_MNIST.is_dir(),
    reason="the package dataset-fashion-mnist is not installed",
)
def test_fashion_mnist_accuracy_on_record_is_that_of_the_weights():
    record = registry.find_record("IRevNet28", "fashion_mnist")
    model = irevnet_tf.IRevNet28(weights="fashion_mnist", lossless=True)
    raw = read_idx(FASHION_MNIST / "t10k-images-idx3-ubyte.gz")[..., None]
    labels = read_idx(FASHION_MNIST / "t10k-labels-idx1-ubyte.gz")
    x = irevnet_tf.preprocess_input(raw, "fashion_mnist")
    hits = model.predict(x, batch_size=250, verbose=0).argmax(-1) == labels
    # Other processors round otherwise, which may decide a close case.
    assert hits.mean() == pytest.approx(record.accuracy, abs=5e-4)
    restored = irevnet_tf.invert(model)(irevnet_tf.encoder(model)(x[:500]))
    restored = irevnet_tf.undo_preprocess(restored.numpy(), "fashion_mnist")
    np.testing.assert_array_equal(np.round(restored), raw[:500])


@by_name
def test_body_and_pooled_features_are_those_of_the_classifier(record):
    full = build(record)
    images = np.random.default_rng(0).random((2, *record.input_shape))
    images = images.astype("float32")
    points = {None: "stage3_merge", "avg": "avg_pool"}
    if record.portable:
        del points["avg"]  # The classifier takes integers, users features.
    for pooling, layer in points.items():
        body = build(record, include_top=False, pooling=pooling)
        assert body.input_shape == (None, None, None, record.input_shape[-1])
        part = keras.Model(full.input, full.get_layer(layer).output)
        np.testing.assert_allclose(body(images), part(images), atol=1e-6)


def test_pretrained_body_on_tensors_and_sizes_of_the_user():
    image = keras.Input((32, 32, 1))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    on_tensor = irevnet_tf.IRevNet28(
        weights="fashion_mnist", input_tensor=scaled
    )
    assert on_tensor.input_shape == (None, 32, 32, 1)
    sized = irevnet_tf.IRevNet28(
        include_top=False, weights="fashion_mnist", input_shape=(64, 32, 1)
    )
    assert sized.output_shape == (None, 16, 8, 512)
    for a, b in zip(sized.weights, on_tensor.weights, strict=False):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 7}, "`classes` must be 10. Received: classes=7"),
        (
            {"classifier_activation": "relu"},
            "None or 'softmax'.*classifier_activation='relu'",
        ),
        ({"input_shape": (32, 32, 1)}, r"must be \(28, 28, 1\).*\(32, 32, 1\)"),
        ({"input_shape": (28, 28, 3)}, r"1 channel.*\(28, 28, 3\)"),
        (
            {"input_shape": (None, None, 3), "include_top": False},
            r"1 channel.*\(None, None, 3\)",
        ),
        ({"input_shape": (28, 28)}, r"channels.*Received: input_shape=.28, 28"),
        ({"pooling": "sum"}, "`pooling` must be None, 'avg' or 'max'"),
    ],
)
def test_arguments_that_do_not_fit_the_weights(arguments, message):
    with pytest.raises(ValueError, match=message):
        irevnet_tf.IRevNet28(weights="fashion_mnist", **arguments)


def test_input_tensor_that_does_not_fit_the_weights():
    with pytest.raises(ValueError, match="1 channel.*Received: .*input_tensor"):
        irevnet_tf.IRevNet28(
            weights="digits", input_tensor=keras.Input((8, 8, 3))
        )
    with pytest.raises(ValueError, match="must be a Keras tensor.*Received"):
        irevnet_tf.IRevNet28(weights="digits", input_tensor=5)


def test_another_head_without_the_classifier():
    # Without a classifier their number does not matter.
    model = irevnet_tf.IRevNet28(False, "digits", pooling="avg", classes=3)
    assert model.output_shape == (None, 512)


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("IRevNet28", "nonsense", "'digits', 'fashion_mnist', or the path"),
        ("IRevNet28", 5, "'digits', 'fashion_mnist', or the path.*weights=5"),
        ("IRevNet28", True, "Received: weights=True"),
        ("IRevNet28", np.zeros(2), "Received: weights=array"),
        ("IRevNet28", "no.weights.h5", "no.weights.h5', which is no existing"),
        ("IRevNet28", "imagenet", "no weights 'imagenet' for IRevNet28, but"),
        ("IRevNet56", "imagenet", "but for IRevNet301.*IRevNet56 must be None"),
    ],
)
def test_weights_that_are_none(model, weights, message):
    with pytest.raises(ValueError, match=message):
        getattr(irevnet_tf, model)(weights=weights)


def test_generic_builder_has_no_named_weights():
    with pytest.raises(ValueError, match="names of weights belong to"):
        irevnet_tf.IRevNet((1,), (2,), (24,), weights="imagenet")


@pytest.mark.parametrize("name", ["IRevNet28", "IRevNet163"])
@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_without_top(name, channels):
    model = getattr(irevnet_tf, name)(
        include_top=False, input_shape=(None, None, channels)
    )
    assert model.output_shape == (None, None, None, 512)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_sizes_that_cannot_be_divided(name):
    with pytest.raises(ValueError, match="divisible.*123"):
        getattr(irevnet_tf, name)(include_top=False, input_shape=(123, 123, 3))


def test_config_of_a_pretrained_network_round_trips():
    model = irevnet_tf.IRevNet28(weights="digits")
    config = keras.saving.serialize_keras_object(model)
    rebuilt = keras.saving.deserialize_keras_object(config)
    assert len(rebuilt.weights) == len(model.weights)
    assert model.layers[-1].activation == keras.activations.softmax


def test_pretrained_networks_are_inverted_by_their_exports(tmp_path):
    model = irevnet_tf.IRevNet28(weights="digits", lossless=True)
    images, labels = load_dataset("digits").arrays("test", 64)
    version = irevnet_tf.export_saved_model(
        model, tmp_path, preprocessing="digits", class_names="digits"
    )
    loaded = tf.saved_model.load(version)
    found = loaded.signatures["forward"](images=images * 255)
    names = [name.decode() for name in found["classes"].numpy()]
    assert np.mean(np.array(names, int) == labels) > 0.95
    back = loaded.signatures["inverse"](features=found["features"])["images"]
    np.testing.assert_array_equal(np.rint(back / 255 * 16), images * 16)
