"""Every study refuses what it cannot take, in one sentence."""

import warnings

import keras
import numpy as np
import pytest
import small
from small import STUDIES

from irevnet_tf import analysis
from irevnet_tf.analysis.network import Network

X, Y = small.labelled()


@pytest.fixture(scope="module")
def model():
    return small.irevnet()


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (X[:, :6], r"must have the shape \(N, 8, 8, 3\).* Received: \w+ of"),
        (X[..., :1], r"must have the shape \(N, 8, 8, 3\)"),
        (X[:0], r"must have the shape \(N, 8, 8, 3\)"),
        (X[0], r"must have the shape \(N, 8, 8, 3\)"),
        ((255 * X).astype("uint8"), "must be floats.*preprocess_input"),
        (X + np.float32("nan"), "must be finite.* the first at index 0"),
    ],
)
def test_images(model, study, images, message):
    with pytest.raises(ValueError, match=message):
        STUDIES[study](model, images, Y[: len(images)])


@pytest.mark.parametrize("study", STUDIES)
def test_model(study):
    image = keras.Input((8, 8, 3))
    other = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    with pytest.raises(ValueError, match="`model` must be an i-RevNet"):
        STUDIES[study](other, X, Y)
    with pytest.raises(ValueError, match="`model` must be a Keras model"):
        STUDIES[study](None, X, Y)


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be an integer of 1 or more"),
        ({"preprocessing": "mnist"}, "`preprocessing` must be one of"),
        ({"preprocessing": 1}, "`preprocessing` must be one of"),
    ],
)
def test_options(model, study, options, message):
    with pytest.raises(ValueError, match=message):
        STUDIES[study](model, X, Y, **options)


@pytest.mark.parametrize(
    "study", [name for name in STUDIES if name != "metamers"]
)
def test_points(model, study):
    key = "point" if study == "interpolation" else "points"
    bad = "stage9" if study == "interpolation" else ["stage1", "stage9"]
    with pytest.raises(ValueError, match="The point in the model must be"):
        STUDIES[study](model, X, Y, **{key: bad})
    if key == "points":
        for points in ([], ["stage1", 1], "stage1"):
            with pytest.raises(ValueError, match="`points` must be"):
                STUDIES[study](model, X, Y, points=points)


@pytest.mark.parametrize(
    "window", [9, 0, -1, (0, 0, 9, 1), (7, 0, 2, 1), (0, -1, 2, 2), (1, 2), 1.5]
)
def test_window(model, window):
    with pytest.raises(
        ValueError, match="inside of the image of 8x8 pixels. Received: window"
    ):
        analysis.spectrum(model, X[:1], window=window)


@pytest.mark.parametrize("study", ["separation", "dimensionality"])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y[:-1], r"`labels` must be integers \(N,\), one for each of the 24"),
        (Y.astype(float), "`labels` must be integers"),
        (0 * Y, "`labels` must be of two classes or more"),
        (np.arange(24), "must be two of each class or more"),
        (Y.clip(0, 1), "those of the test images among them"),
    ],
)
def test_labels(model, study, labels, message):
    run = getattr(analysis, study)
    kwargs = {"train_size": 12} if study == "separation" else {}
    with pytest.raises(ValueError, match=message):
        run(model, X, labels, X, Y, **kwargs)


@pytest.mark.parametrize("size", [5, 25])
def test_train_size(model, size):
    with pytest.raises(ValueError, match=r"two of each class \(=6\) to .*=24"):
        analysis.separation(model, X, Y, X, Y, train_size=size)


def test_fewer_images_than_classes(model):
    with pytest.raises(ValueError, match="those of the test images among them"):
        analysis.dimensionality(model, X[:2], Y[:2], X, Y)


@pytest.mark.parametrize(
    ("study", "options", "message"),
    [
        ("spectrum", {"method": "power"}, "`method` must be None or one of"),
        ("spectrum", {"count": 0}, "`count` must be"),
        ("interpolation", {"steps": 1}, "`steps` must be an integer of 2"),
        ("interpolation", {"spacing": "even"}, "`spacing` must be one of"),
        ("interpolation", {"class_names": ["a"]}, "names of 3 classes"),
        ("metamers", {"class_names": "abc"}, "names of 3 classes"),
        ("metamers", {"tolerance": 0.0}, "`tolerance` must be above 0"),
        ("metamers", {"tolerance": "a"}, "`tolerance` must be above 0"),
        ("metamers", {"class_names": 5}, "names of 3 classes"),
        ("dimensionality", {"components": 4}, "list of one positive"),
        ("dimensionality", {"components": []}, "list of one positive"),
        ("inversion", {"examples": 0}, "`examples` must be"),
        ("separation", {"draws": 0}, "`draws` must be"),
        ("dimensionality", {"components": [0]}, "`components` must be"),
        (
            "depth_gallery",
            {"components": [24]},
            "number of `images`.* 23 or less",
        ),
        ("depth_gallery", {"components": []}, "list of one positive"),
    ],
)
def test_options_of_one_study(model, study, options, message):
    options = dict(options)
    if "steps" in options:
        with pytest.raises(ValueError, match=message):
            analysis.interpolation(model, X[:2], X[2:4], **options)
        return
    with pytest.raises(ValueError, match=message):
        {
            "inversion": lambda: analysis.inversion(model, X, **options),
            "separation": lambda: analysis.separation(
                model, X, Y, X, Y, train_size=12, **options
            ),
        }.get(study, lambda: STUDIES[study](model, X, Y, **options))()


@pytest.mark.parametrize(
    "study", [name for name in STUDIES if name != "interpolation"]
)
def test_seed(model, study):
    with pytest.raises(ValueError, match="`seed` must be an integer of 0"):
        STUDIES[study](model, X, Y, seed=-1)


def test_window_of_one_pixel_has_no_largest_values():
    model = small.irevnet(shape=(8, 8, 1))
    x = X[:1, ..., :1]
    with pytest.raises(ValueError, match="must have two pixels or more"):
        analysis.spectrum(model, x, window=1, method="svds")
    found = analysis.spectrum(model, x, window=1)
    assert found.singular_values.shape == (1, 4, 1)


@pytest.mark.parametrize("study", STUDIES)
def test_size_that_cannot_be_halved(study):
    model = small.irevnet(shape=(None, None, 3))
    with pytest.raises(ValueError, match="height and width divisible by 8"):
        STUDIES[study](model, X[:, :6, :7], Y)


@pytest.mark.parametrize("study", ["dimensionality", "depth_gallery"])
def test_images_that_are_all_equal(model, study):
    with pytest.raises(ValueError, match="must have different represent"):
        STUDIES[study](model, 0 * X, Y)


@pytest.mark.parametrize("study", STUDIES)
def test_scale(model, study):
    with pytest.warns(UserWarning, match="from 0.* to 2.*where black is 0"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            STUDIES[study](model, X * np.float32(255), Y)


def test_pairs_of_equal_images(model):
    with pytest.raises(ValueError, match="different images.*at index 1"):
        analysis.metamers(model, X[:3], X[[3, 1, 4]])


@pytest.mark.parametrize("study", ["interpolation", "metamers"])
def test_pairs(model, study):
    with pytest.raises(ValueError, match="must have the same shape"):
        getattr(analysis, study)(model, X[:2], X[:3])


@pytest.mark.parametrize(
    "head",
    [
        keras.layers.Dense(3, "sigmoid"),
        keras.layers.Dense(1),
        keras.layers.Dropout(0.1),
        # Its logits are in the graph of another model.
        keras.Sequential([keras.layers.Dense(3, "softmax")]),
        keras.Sequential([keras.layers.Dense(3), keras.layers.Softmax()]),
    ],
)
def test_head_that_is_no_classifier(head):
    base = small.irevnet(include_top=False, pooling="avg")
    model = keras.Model(base.input, head(base.output))
    with pytest.raises(ValueError, match="must end in a classifier of two"):
        analysis.metamers(model, X[:1], X[1:2])
    assert Network(model).optional_head() is None


def test_model_that_takes_no_images():
    import irevnet_tf
    from irevnet_tf import layers

    vector = keras.Input((6,))
    streams = layers.ChannelSplit()(vector)
    streams = layers.AdditiveCoupling(keras.layers.Dense(3))(streams)
    model = keras.Model(vector, layers.ChannelMerge()(streams))
    assert irevnet_tf.encoder(model)
    with pytest.raises(ValueError, match="must take one batch of images"):
        analysis.inversion(model, X)


def test_layer_that_cannot_be_made_again():
    class NeedsAnArgument(keras.layers.Layer):
        def __init__(self, size):
            super().__init__()
            self.size = size

        def call(self, x):
            return x

        def get_config(self):
            raise NotImplementedError("no configuration")

    from irevnet_tf import layers

    image = keras.Input((8, 8, 3))
    streams = layers.ChannelSplit()(layers.InvertibleDownsampling(2)(image))
    streams = layers.AdditiveCoupling(NeedsAnArgument(6))(streams)
    model = keras.Model(image, layers.ChannelMerge()(streams))
    arguments = model, X, Y, X, Y
    with pytest.raises(ValueError, match="or `untrained` be False"):
        analysis.separation(*arguments, train_size=12)
    assert analysis.separation(*arguments, train_size=12, untrained=False)
