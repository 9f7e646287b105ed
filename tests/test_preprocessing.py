"""Scaling of images, and names of classes."""

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

import irevnet_tf
from irevnet_tf.data import load_dataset
from irevnet_tf.models.predictions import class_places
from irevnet_tf.preprocessing import PREPROCESSING

MODES = list(PREPROCESSING)


def every_value(mode, dtype="uint8"):
    """Return images with each value that files in this mode can have."""
    normalization = PREPROCESSING[mode]
    count = int(normalization.maximum) + 1
    channels = len(normalization.mean)
    values = np.arange(count, dtype=dtype)
    return np.stack([values] * channels, -1).reshape(1, 1, count, channels)


@pytest.mark.parametrize("mode", MODES)
def test_every_value_comes_back(mode):
    images = every_value(mode)
    scaled = irevnet_tf.preprocess_input(images, mode)
    assert scaled.dtype == "float32" and scaled.shape == images.shape
    restored = irevnet_tf.undo_preprocess(scaled, mode)
    np.testing.assert_array_equal(np.round(restored), images)


@pytest.mark.parametrize("mode", MODES)
def test_every_value_comes_back_from_the_grid_of_lossless_networks(mode):
    images = every_value(mode)
    scaled = irevnet_tf.preprocess_input(images, mode)
    on_grid = irevnet_tf.layers.FixedPointRounding(14)(scaled)
    restored = irevnet_tf.undo_preprocess(on_grid, mode)
    np.testing.assert_array_equal(np.round(restored), images)


@pytest.mark.parametrize("mode", MODES)
def test_arrays_tensors_and_graphs_agree(mode):
    images = every_value(mode, "float32")
    expected = irevnet_tf.preprocess_input(images, mode)
    assert isinstance(expected, np.ndarray)
    tensor = irevnet_tf.preprocess_input(tf.constant(images), mode)
    assert tf.is_tensor(tensor)
    np.testing.assert_array_equal(tensor, expected)
    image = keras.Input(images.shape[1:])
    model = keras.Model(image, irevnet_tf.preprocess_input(image, mode))
    np.testing.assert_array_equal(model(images), expected)
    batches = tf.data.Dataset.from_tensors(images).map(
        lambda x: irevnet_tf.preprocess_input(x, mode)
    )
    np.testing.assert_array_equal(next(iter(batches)), expected)
    listed = irevnet_tf.preprocess_input(images.tolist(), mode)
    np.testing.assert_array_equal(listed, expected)
    np.testing.assert_array_equal(images, every_value(mode, "float32"))


def test_imagenet_is_scaled_as_in_keras_mode_torch():
    images = every_value("imagenet", "float32")
    expected = keras.applications.imagenet_utils.preprocess_input(
        images.copy(), mode="torch", data_format="channels_last"
    )
    scaled = irevnet_tf.preprocess_input(images, "imagenet")
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


def test_digits_are_scaled_as_their_data_set():
    x = sklearn.datasets.load_digits().images[..., None]
    scaled = irevnet_tf.preprocess_input(x, "digits")
    expected, _ = load_dataset("digits").arrays("test", 5)
    for image in expected:
        assert np.any(np.all(scaled == image, axis=(1, 2, 3)))


@pytest.mark.parametrize(
    "function", [irevnet_tf.preprocess_input, irevnet_tf.undo_preprocess]
)
def test_refused_input(function):
    with pytest.raises(ValueError, match="`mode` must be one of 'unit'.*caffe"):
        function(np.zeros((1, 2, 2, 3)), "caffe")
    with pytest.raises(ValueError, match="`mode` must be one of 'unit'"):
        function(np.zeros((1, 2, 2, 3)), ["imagenet"])
    with pytest.raises(ValueError, match="real numbers. Received: x.dtype=<U"):
        function("picture.png", "unit")
    with pytest.raises(ValueError, match=r"3 channels.*\(1, 2, 2, 1\)"):
        function(np.zeros((1, 2, 2, 1)), "imagenet")
    with pytest.raises(ValueError, match=r"3 channels.*\(1, 3, 2, 2\)"):
        function(tf.zeros((1, 3, 2, 2)), "cifar10")


def test_most_probable_classes_are_named():
    preds = np.zeros((2, 1000))
    preds[0, 386], preds[0, 101] = 0.7, 0.2
    preds[1, 0] = 1.0
    first, second = irevnet_tf.decode_predictions(preds, top=2)
    assert first == [
        ("n02504458", "African_elephant", 0.7),
        ("n01871265", "tusker", 0.2),
    ]
    assert second[0] == ("n01440764", "tench", 1.0)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("fashion_mnist", "Ankle boot"), ("cifar10", "truck"), ("digits", "9")],
)
def test_small_sets_have_names(mode, name):
    preds = tf.one_hot([9], 10)
    (decoded,) = irevnet_tf.decode_predictions(preds, mode=mode)
    assert len(decoded) == 5
    assert decoded[0] == ("9", name, 1.0)


def test_imagenet_classes_are_in_the_order_of_tfds():
    import pathlib

    import tensorflow_datasets as tfds

    folder = pathlib.Path(tfds.__file__).parent / "datasets" / "imagenet2012"
    expected = (folder / "labels.txt").read_text().split()
    decoded = irevnet_tf.decode_predictions(np.eye(1000), top=1)
    assert [row[0][0] for row in decoded] == expected
    assert all(row[0][1].strip() for row in decoded)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "float16"])
def test_predictions_of_any_type(dtype):
    preds = np.zeros((1, 10), dtype)
    preds[0, 9] = 100
    (decoded,) = irevnet_tf.decode_predictions(preds, top=1, mode="digits")
    assert decoded == [("9", "9", float(preds[0, 9]))]


def test_top_is_at_most_all():
    (decoded,) = irevnet_tf.decode_predictions(
        np.eye(10)[:1], top=50, mode="digits"
    )
    assert sorted(row[1] for row in decoded) == list("0123456789")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preds": np.eye(10)}, r"\(batch, 1000\).*'digits' 10.*\(10, 10\)"),
        ({"preds": np.zeros(1000)}, r"\(batch, 1000\).*\(1000,\)"),
        (
            {"preds": np.eye(10), "mode": "mnist"},
            "`mode` must be one of",
        ),
        ({"preds": np.eye(10), "mode": ["digits"]}, "`mode` must be one of"),
        ({"preds": np.full((1, 1000), np.nan)}, "Received: 1000 values"),
        ({"preds": np.eye(1000), "top": 0}, "`top` must be a positive.*top=0"),
    ],
)
def test_what_cannot_be_decoded(arguments, message):
    with pytest.raises(ValueError, match=message):
        irevnet_tf.decode_predictions(**arguments)


def test_places_of_classes_by_name_id_or_folder():
    names = ["T-shirt/top", "Bag", "Bag"]
    wanted = ["T-shirt_top", "T-shirt/top", "Bag", "Coat"]
    assert class_places(names, wanted) == [0, 0, None, None]
    assert class_places("fashion_mnist", ["9", "Coat"]) == [9, 4]
