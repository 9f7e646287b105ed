"""Tests of irevnet_tf.export.checks: what an export refuses."""

import concurrent.futures

import cases
import keras
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.export import export_saved_model
from irevnet_tf.preprocessing import Normalization


@pytest.fixture(scope="module")
def model():
    return cases.build("bijective")


REFUSED = {
    "preprocessing": (
        {"preprocessing": "vgg"},
        r"`preprocessing` must be one of 'unit'.*preprocessing='vgg'",
    ),
    "preprocessing of gray images": (
        {"preprocessing": Normalization(255.0, (0.0, 0.0), (1.0, 1.0))},
        r"must suit the model's images, of 3 channel.*Received: preproc",
    ),
    "no scale": (
        {"preprocessing": Normalization(255.0, (0.0,), (0.0,))},
        r"deviations above 0. Received: preprocessing=Normalization",
    ),
    "another Normalization": (
        {"preprocessing": keras.layers.Normalization()},
        r"or an irevnet_tf.preprocessing.Normalization. Received: ",
    ),
    "logits or not": ({"from_logits": "no"}, r"`from_logits` must be.*='no'"),
    "size": ({"image_size": "large"}, r"`image_size` must be.*='large'"),
    "size of zero": ({"image_size": 0}, r"`image_size` must be.*=0"),
    "three sizes": ({"image_size": (8, 8, 3)}, r"`image_size` must be"),
    "size that does not fit": (
        {"image_size": 20},
        r"must be divisible by 8. Received: height=20",
    ),
    "too few names": (
        {"class_names": ["a", "b"]},
        r"as many as the model's outputs.*Received: 2 class_names for 10",
    ),
    "other names": ({"class_names": 10}, r"`class_names` must be a list"),
    "unknown names": ({"class_names": "flowers"}, r"mode of .*='flowers'"),
    "files of any size": (
        {"image_bytes": True, "image_size": "dynamic"},
        r"`image_bytes` needs images of a fixed size.*None, None, 3",
    ),
    "no such point": ({"reconstruct_from": "stage9"}, r"Received: 'stage9'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_before_any_work(case, model, tmp_path):
    arguments, message = REFUSED[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        export_saved_model(model, tmp_path / "models", **arguments)
    assert not (tmp_path / "models").exists()


def base(**arguments):
    return cases.build(
        "bijective", include_top=False, pooling="avg", **arguments
    )


def rescaled():
    image = keras.Input(cases.IMAGE_SHAPE)
    return cases.build(
        "bijective",
        input_tensor=keras.layers.Rescaling(1 / 255)(image),
        input_shape=None,
    )


def rescaled_outside():
    image = keras.Input(cases.IMAGE_SHAPE)
    return keras.Model(image, base()(keras.layers.Rescaling(1 / 255)(image)))


def two_outputs():
    model = cases.build("bijective")
    return keras.Model(model.input, [model.output, model.output])


def used_twice():
    image, network = keras.Input(cases.IMAGE_SHAPE), base()
    return keras.Model(image, network(image) + network(image))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.base = base()


def of_vectors():
    vector = keras.Input((6,))
    streams = layers.ChannelSplit()(vector)
    streams = layers.AdditiveCoupling(keras.layers.Dense(3))(streams)
    return keras.Model(vector, layers.ChannelMerge()(streams))


ENTRANCE = "first layer of `model` that changes.*as `preprocessing`. Received: "

UNFIT = {
    "no i-RevNet": (
        lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]),
        "`model` must be an i-RevNet",
    ),
    "preprocessing layers": (rescaled, f"{ENTRANCE}.*rescaling"),
    "preprocessing outside": (rescaled_outside, f"{ENTRANCE}.*rescaling"),
    "preprocessing in front": (
        lambda: keras.Sequential(
            [
                keras.Input(cases.IMAGE_SHAPE),
                keras.layers.Rescaling(0.5),
                base(),
            ]
        ),
        f"{ENTRANCE}.*rescaling",
    ),
    "two outputs": (two_outputs, "one input and one output.*with outputs="),
    "two uses": (used_twice, "must use its i-RevNet once. Received: a second"),
    "not built": (
        lambda: keras.Sequential([keras.layers.Rescaling(1.0), base()]),
        "must be a built Functional or Sequential model",
    ),
    "subclassed": (Subclassed, "must be a built Functional or Sequential"),
    "vectors": (of_vectors, r"must take images \(batch, .*\(None, 6\)"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_models_that_cannot_be_inverted_as_a_whole_are_refused(case, tmp_path):
    build, message = UNFIT[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        export_saved_model(build(), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_logits_are_only_of_classifiers(tmp_path):
    base = cases.build("bijective", include_top=False)
    with pytest.raises(ValueError, match="`from_logits` must be None, or"):
        export_saved_model(base, tmp_path, from_logits=True)
    with pytest.raises(ValueError, match="recognised as a class.*1 class"):
        export_saved_model(base, tmp_path, class_names=["a"])


def test_exports_are_made_outside_of_strategies(model, tmp_path):
    def export():
        with tf.distribute.OneDeviceStrategy("CPU:0").scope():
            export_saved_model(model, tmp_path)

    # A scope is that of a thread. In this one it would be that of all tests
    # to come, if leaving it fails.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        with pytest.raises(ValueError, match="outside of a strategy's scope"):
            thread.submit(export).result()


def test_the_public_name_is_that_of_the_package():
    assert irevnet_tf.export_saved_model is export_saved_model
