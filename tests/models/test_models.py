"""The builder and the variants: sizes, names, errors."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf.models.variants import VARIANTS

# As published by the authors (163, 301), and as the paper's configurations add
# up (56: "181M", 300: "29M").
PARAMETERS = {
    "IRevNet56": 180_999_016,
    "IRevNet163": 6_274_826,
    "IRevNet300": 29_201_092,
    "IRevNet301": 125_120_356,
}


def trainable_parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameter_counts(variant):
    model = getattr(irevnet_tf, variant)(include_top=True)
    assert trainable_parameters(model) == PARAMETERS[variant]
    size, classes = (VARIANTS[variant][k] for k in ("input_size", "classes"))
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, classes)
    assert model.name == variant.lower()


def test_small_variant_classifies_small_gray_images():
    model = irevnet_tf.IRevNet28(input_shape=(28, 28, 1))
    # The authors' PyTorch network of this shape has as many.
    assert trainable_parameters(model) == 952_586
    assert model(tf.zeros((1, 28, 28, 1))).shape == (1, 10)


@pytest.mark.parametrize("variant", ["IRevNet28", "IRevNet163"])
def test_variant_without_top_takes_any_size(variant):
    model = getattr(irevnet_tf, variant)(include_top=False)
    assert model.input_shape == (None, None, None, 3)
    assert model.output_shape == (None, None, None, 512)


def test_every_layer_is_named_by_its_place():
    model = cases.build("injective")
    assert [layer.name for layer in model.layers] == [
        "image",
        "stem",
        "stage1_pad",
        "stage1_split",
        "stage1",
        "stage1_merge",
        "stage2_split",
        "stage2",
        "stage2_merge",
        "head_norm",
        "head_relu",
        "avg_pool",
        "predictions",
    ]
    block = model.get_layer("stage2").blocks[1]
    assert block.name == "block2"
    path = block.residual.trainable_variables[0].path
    assert path == "stage2/block2/residual/norm1/gamma"


@pytest.mark.parametrize(
    ("pooling", "shape"),
    [(None, (2, 4, 4, 64)), ("avg", (2, 64)), ("max", (2, 64))],
)
def test_pooling(pooling, shape):
    shape = (2, 8, 8, 64) if pooling is None else shape
    model = cases.build("injective", include_top=False, pooling=pooling)
    assert model(cases.digits(2)[0]).shape == shape


def test_pooled_features_and_probabilities_are_those_of_the_parts():
    images = cases.digits(2)[0]
    model = cases.build("injective", classifier_activation=None)
    pooled = keras.Model(model.input, model.get_layer("avg_pool").output)
    features = irevnet_tf.encoder(model)(images)
    norm = model.get_layer("head_norm")(features)
    expected = tf.reduce_mean(tf.nn.relu(norm), (1, 2))
    np.testing.assert_allclose(pooled(images), expected, atol=1e-6)


def test_input_tensor_of_other_layers():
    image = keras.Input((32, 32, 1))
    scale = keras.Sequential([keras.layers.Rescaling(2.0)])
    stem = keras.layers.Conv2D(3, 3, strides=2, padding="same")(scale(image))
    model = cases.build("injective", input_tensor=stem, input_shape=None)
    assert model.input_shape == (None, 32, 32, 1)
    x = tf.random.stateless_normal((2, 32, 32, 1), (1, 2))
    z = irevnet_tf.encoder(model)(x)
    restored = irevnet_tf.invert(model)(z)
    expected = keras.Model(image, stem)(x)
    assert cases.relative_error(restored, expected) < 1e-6


def test_nested_and_extended_models_are_inverted():
    base = cases.build("injective", include_top=False, pooling="avg")
    images = cases.digits(2)[0]
    head = keras.layers.Dense(3)
    nested = keras.Sequential([base, head])
    extended = keras.Model(base.input, head(base.output))
    scaled = keras.Sequential([keras.layers.Rescaling(1.0), base, head])
    for model in (base, nested, scaled, extended, irevnet_tf.encoder(base)):
        z = irevnet_tf.encoder(model)(images)
        error = cases.relative_error(irevnet_tf.invert(model)(z), images)
        assert error < 1e-6


def test_inverse_follows_the_weights():
    model = cases.compile(cases.build("injective"))
    decoder = irevnet_tf.invert(model)
    images, labels = cases.digits(16)
    model.fit(images, labels, verbose=0)
    z = irevnet_tf.encoder(model)(images)
    assert cases.relative_error(decoder(z), images) < 1e-6
    shared = {id(v) for v in model.variables}
    assert {id(v) for v in decoder.variables} <= shared


def test_channels_first_setting_does_not_matter():
    expected = cases.build("injective")
    keras.config.set_image_data_format("channels_first")
    try:
        model = cases.build("injective")
    finally:
        keras.config.set_image_data_format("channels_last")
    model.set_weights(expected.get_weights())
    images = cases.digits(2)[0]
    np.testing.assert_array_equal(model(images), expected(images))


BAD_ARGUMENTS = [
    ({"blocks": (2,)}, "of the same length. Received: blocks=.2,., strides"),
    (
        {"blocks": (), "strides": (), "channels": ()},
        r"non-empty.*Received: blocks=\(\)",
    ),
    ({"blocks": 4}, "sequence with an entry for each stage.*blocks=4"),
    ({"kernel_sizes": 3}, "three odd.*kernel_sizes=3"),
    ({"blocks": (2, 0)}, "`blocks` must be a positive integer.*blocks=0"),
    ({"channels": (8, -2)}, "positive integer. Received: channels=-2"),
    ({"channels": (8, 2.5)}, "positive integer. Received: channels=2.5"),
    ({"strides": (1, 3)}, "`strides` must be 1 or 2. Received: .*3"),
    ({"channels": (8, 16)}, "must not drop information.*stage 2.*incoming=16"),
    ({"channels": (1, 4)}, "must not drop information.*stage 1.*incoming=3"),
    ({"channels": (8, 64)}, "stride 2 `channels` must be 32.*channels=64"),
    ({"strides": (2, 2), "channels": (6, 24)}, "odd number.*incoming=3"),
    ({"initial_downsampling": 3}, "must be 1, 2 or 4. Received: .*=3"),
    ({"pooling": "sum"}, "`pooling` must be None, 'avg' or 'max'.*'sum'"),
    ({"weights": 3}, "`weights` must be None .*weights=3"),
    ({"weights": "imagenet21k"}, "ends in .weights.h5; names.*21k"),
    ({"classifier_activation": "sofmax"}, "activation. Received: .*sofmax"),
    ({"classes": 0}, "positive integer. Received: classes=0"),
    ({"dropout_rate": 1.0}, "less than 1. Received: dropout_rate=1.0"),
    ({"kernel_sizes": (3, 3)}, "three odd.*kernel_sizes=.3, 3."),
    ({"kernel_sizes": (3, 2, 3)}, "three odd.*kernel_sizes=.3, 2, 3."),
    ({"bottleneck_ratio": 9}, "at most the number of filters.*ratio=9"),
    (
        {"input_shape": (17, 16, 3)},
        "divisible by 2. Received: height=17, width=16",
    ),
    (
        {"input_shape": (16, 15, 3)},
        "divisible by 2. Received: height=16, width=15",
    ),
    ({"input_shape": (16, 16)}, r"\(height, width, channels\).*\(16, 16\)"),
    ({"input_shape": (16, 16, None)}, "known number of channels"),
    ({"input_tensor": np.zeros((1, 16, 16, 3))}, "must be a Keras tensor"),
    (
        {"input_tensor": keras.Input((16, 16, 3), dtype="uint8")},
        "must be of floats.*Received: input_tensor of uint8",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        cases.build("injective", **arguments)


def test_input_tensor_and_shape_that_differ():
    with pytest.raises(ValueError, match="must be that of `input_tensor`"):
        cases.build("injective", input_tensor=keras.Input((8, 8, 3)))


@pytest.mark.parametrize("size", [(15, 16), (16, 18)])
def test_size_that_only_the_call_knows(size):
    model = cases.build(
        "bijective", input_shape=(None, None, 3), include_top=False
    )
    images = np.zeros((1, *size, 3), "float32")
    message = f"divisible by 8. Received: height={size[0]}, width={size[1]}"
    with pytest.raises(ValueError, match=message):
        model(images)
    with pytest.raises(ValueError, match=message):
        model.predict(images, verbose=0)


def test_number_of_channels_that_only_the_call_knows():
    model = cases.build("injective", input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="'stem' is incompatible.*value 3"):
        model(np.zeros((1, 16, 16, 1), "float32"))


def test_size_that_only_the_running_graph_knows():
    model = cases.build(
        "bijective", input_shape=(None, None, 3), include_top=False
    )
    spec = tf.TensorSpec((None, None, None, 3))
    forward = tf.function(lambda x: model(x), input_signature=[spec])
    assert forward(tf.zeros((1, 16, 16, 3))).shape == (1, 2, 2, 192)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="divisible by 8. Rec"
    ):
        forward(tf.zeros((1, 15, 16, 3)))


@pytest.mark.parametrize("function", [irevnet_tf.encoder, irevnet_tf.invert])
def test_models_without_an_inverse(function):
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must be an i-RevNet.*Received"):
        function(plain)
    with pytest.raises(ValueError, match="must be a Keras model. Received"):
        function("irevnet28")


@pytest.mark.parametrize("point", [0, 3, "stage1_split", "predictions"])
def test_points_that_do_not_exist(point):
    with pytest.raises(ValueError, match=f"number of a stage.*{point!r}"):
        irevnet_tf.invert(cases.build("injective"), point)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_is_traced_once(optimizer, monkeypatch):
    model = cases.build("injective")
    model.compile(optimizer, cases.LOSS)
    traces = []
    compute_loss = model.compute_loss

    def counted(*args, **kwargs):
        traces.append(args)
        return compute_loss(*args, **kwargs)

    monkeypatch.setattr(model, "compute_loss", counted)
    model.fit(*cases.digits(8), verbose=0)
    assert len(traces) == 1
