"""RevNets: sizes, names, conventions, and training that saves memory."""

import cases
import keras
import numpy as np
import pytest
import small_revnets
import tensorflow as tf

import irevnet_tf
from irevnet_tf.models import resnet_variants

# Those of the authors' configurations, counted by hand, and what is printed, in
# millions: by the RevNet paper, for 56 by the i-RevNet paper. 104 is the one
# that is not what is printed, 45.2; see the table of RevNets.
PARAMETERS = {
    "RevNet38": (464_890, "0.46"),
    "RevNet110": (1_729_194, "1.73"),
    "RevNet164": (1_748_778, "1.75"),
    "RevNet56": (27_553_128, "28"),
    "RevNet104": (45_428_072, "45.4"),
}
each_kind = pytest.mark.parametrize("kind", small_revnets.KINDS)


def trainable_parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameter_counts(variant):
    expected, printed = PARAMETERS[variant]
    model = getattr(resnet_variants, variant)()
    count = trainable_parameters(model)
    assert count == expected
    assert f"{count / 1e6:.{len(printed.partition('.')[2])}f}" == printed
    is_small = resnet_variants.REVNETS[variant]["input_size"] == 32
    size, classes = (32, 10) if is_small else (224, 1000)
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, classes)
    assert model.name == variant.lower()


def test_the_network_without_bottlenecks_has_these_layers():
    model = small_revnets.revnet("basic", lossless=True)
    assert [layer.name for layer in model.layers] == [
        "image",
        "stem_conv",
        "stem_norm",
        "stem_relu",
        "stage1_fixed_point",
        "stage1_entrance",
        "stage1_split",
        "stage1",
        "stage1_merge",
        "stage2_transition",
        "stage2_fixed_point",
        "stage2_entrance",
        "stage2_split",
        "stage2",
        "stage2_merge",
        "head_norm",
        "head_relu",
        "avg_pool",
        "predictions",
    ]
    # A unit that changes the shape is the first of its stage.
    assert [len(model.get_layer(f"stage{s}").blocks) for s in (1, 2)] == [4, 4]
    first, second = model.get_layer("stage1").blocks[:2]
    assert not first.residual.preactivation and second.residual.preactivation
    assert (first.name, second.name) == ("unit1_f", "unit1_g")


def test_the_network_with_bottlenecks_begins_with_a_transition():
    model = small_revnets.revnet("bottleneck", initial_downsampling=4)
    names = [layer.name for layer in model.layers]
    assert names[1:7] == [
        "stem_conv",
        "stem_norm",
        "stem_relu",
        "stem_pool",
        "stage1_transition",
        "stage1_entrance",
    ]
    transition = model.get_layer("stage1_transition")
    assert not transition.f.preactivation and transition.g.preactivation
    kernels = [
        tuple(v.shape)
        for v in transition.f.trainable_variables
        if v.name == "kernel"
    ]
    assert kernels == [(1, 1, 4, 4), (3, 3, 4, 4), (1, 1, 4, 16)]
    assert model.get_layer("stem_conv").kernel.shape == (7, 7, 3, 8)
    assert model.get_layer("stage1_merge").output.shape == (None, 4, 4, 32)
    assert model.get_layer("stage2_merge").output.shape == (None, 2, 2, 64)


@each_kind
def test_units_compute_what_the_paper_says(kind):
    model = cases.stir(small_revnets.revnet(kind))
    images = cases.digits(4)[0]
    transition = model.get_layer("stage2_transition")
    x = irevnet_tf.encoder(model, "stage1")(images)
    x1, x2 = tf.split(x, 2, -1)
    first, second = transition.shortcuts
    y1 = first(x1) + transition.f(x2)
    y2 = second(x2) + transition.g(y1)
    entrance = irevnet_tf.encoder(model, "stage2_entrance")(images)
    np.testing.assert_allclose(
        entrance, tf.concat((y1, y2), -1), rtol=1e-4, atol=1e-5
    )
    f, g, *_ = (block.residual for block in model.get_layer("stage2").blocks)
    z1 = y1 + f(y2)
    z2 = y2 + g(z1)
    found = irevnet_tf.encoder(model, "stage2_block2")(images)
    np.testing.assert_allclose(
        found, tf.concat((z1, z2), -1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("pooling", "shape"),
    [(None, (2, 8, 8, 12)), ("avg", (2, 12)), ("max", (2, 12))],
)
def test_pooling(pooling, shape):
    model = small_revnets.revnet(include_top=False, pooling=pooling)
    assert model(cases.digits(2)[0]).shape == shape


def test_variant_follows_the_conventions():
    constructor = resnet_variants.RevNet38
    base = constructor(False, None, keras.Input((None, None, 1)), None, "avg")
    assert base.output_shape == (None, 112)
    assert constructor(include_top=False).input_shape == (None, None, None, 3)
    model = constructor(
        input_shape=(28, 28, 1),
        classes=7,
        classifier_activation=None,
        name="own",
    )
    assert (model.name, model.output_shape) == ("own", (None, 7))
    assert model.get_layer("predictions").activation is keras.activations.linear


@each_kind
def test_any_size_of_images(kind):
    size = (15, 9)
    model = small_revnets.revnet(kind, input_shape=(None, None, 3))
    assert model(np.zeros((1, 1, 2, 3))).shape == (1, cases.CLASSES)
    images = np.random.default_rng(0).random((2, *size, 3), "float32")
    assert model(images).shape == (2, cases.CLASSES)
    for stage in (1, 2):
        entrance = irevnet_tf.encoder(model, f"stage{stage}_entrance")(images)
        z = irevnet_tf.encoder(model, stage)(images)
        height, width = (-(-side // stage) for side in size)
        assert z.shape[1:3] == (height, width)
        restored = irevnet_tf.invert(model, stage)(z)
        assert cases.relative_error(restored, entrance) < 1e-4


def test_input_tensor_of_other_layers():
    image = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(3, 3, strides=2, padding="same")(image)
    model = small_revnets.revnet(input_tensor=x, input_shape=None)
    assert model.input_shape == (None, 32, 32, 1)
    images = np.random.default_rng(0).random((2, 32, 32, 1), "float32")
    assert model(images).shape == (2, cases.CLASSES)
    assert irevnet_tf.encoder(model, 1)(images).shape == (2, 16, 16, 8)


def test_channels_first_setting_does_not_matter():
    expected = small_revnets.revnet("bottleneck", initial_downsampling=4)
    keras.config.set_image_data_format("channels_first")
    try:
        model = small_revnets.revnet("bottleneck", initial_downsampling=4)
    finally:
        keras.config.set_image_data_format("channels_last")
    model.set_weights(expected.get_weights())
    images = cases.digits(2)[0]
    np.testing.assert_array_equal(model(images), expected(images))


BAD_ARGUMENTS = [
    ({"blocks": (2,)}, "of the same length. Received: blocks=.2,., strides"),
    ({"blocks": (2, 1)}, "must have 2 `blocks` or more.*stage 2 with blocks=1"),
    ({"blocks": (2, 0)}, "`blocks` must be a positive integer.*blocks=0"),
    ({"strides": (1, 3)}, "`strides` must be 1 or 2. Received: .*3"),
    ({"channels": (8, 13)}, "must be even, for two streams.*13"),
    ({"stem_channels": 7}, "must be even, for two streams.*stem_channels=7"),
    ({"stem_channels": -2}, "positive integer. Received: stem_channels=-2"),
    ({"channels": (8, 6)}, "as many channels as the.*stage 2.*channels=6, inc"),
    ({"initial_downsampling": 2}, "must be 1 or 4. Received: .*=2"),
    ({"pooling": "sum"}, "`pooling` must be None, 'avg' or 'max'.*'sum'"),
    ({"weights": "imagenet"}, "the path of an existing file.*'imagenet'"),
    ({"weights": "no.weights.h5"}, "path.*'no.weights.h5', which is no exist"),
    ({"classifier_activation": "sofmax"}, "activation. Received: .*sofmax"),
    ({"classes": 0}, "positive integer. Received: classes=0"),
    ({"dropout_rate": 1.0}, "less than 1. Received: dropout_rate=1.0"),
    ({"fraction_bits": 10}, "only with `lossless`.*fraction_bits=10"),
    ({"lossless": True, "fraction_bits": 24}, "from 0 to 23.*bits=24"),
    ({"input_shape": (16, 16)}, r"\(height, width, channels\).*\(16, 16\)"),
    ({"input_tensor": np.zeros((1, 16, 16, 3))}, "must be a Keras tensor"),
    (
        {"input_tensor": keras.Input((16, 16, 3), dtype="uint8")},
        "must be of floats.*Received: input_tensor of uint8",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small_revnets.revnet(**arguments)


def test_gradients_are_those_of_plain_training():
    def gradients(memory_saving):
        keras.utils.set_random_seed(0)
        model = small_revnets.revnet(
            dropout_rate=0.2, memory_saving=memory_saving
        )
        cases.stir(model)
        images, labels = cases.digits(8)

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                predictions = model(images, training=True)
                losses = keras.losses.sparse_categorical_crossentropy(
                    labels, predictions
                )
            return tape.gradient(losses, model.trainable_variables)

        return step()

    error = cases.relative_error(gradients(True), gradients(False))
    assert error < cases.GRADIENTS


@pytest.mark.parametrize(
    ("kind", "policy"),
    [("basic", "float32"), ("bottleneck", "mixed_bfloat16")],
)
def test_lossless_training_is_plain_training_bit_for_bit(kind, policy):
    keras.config.set_dtype_policy(policy)
    twins = [
        small_revnets.revnet(
            kind, blocks=(2, 2), lossless=True, memory_saving=memory_saving
        )
        for memory_saving in (True, False)
    ]
    cases.copy_values(*twins)
    start = twins[0].get_weights()
    for model in twins:
        small_revnets.fit(model)
    assert cases.relative_error(twins[0].get_weights(), start) > 1e-3
    for ours, plain in zip(*(m.variables for m in twins), strict=True):
        np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = cases.stir(small_revnets.revnet("bottleneck"))
    compute_dtypes = {
        layer.compute_dtype
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
    }
    assert compute_dtypes == {keras.config.dtype_policy().compute_dtype}
    images = cases.digits(4)[0]
    found = irevnet_tf.features(model, ["stage2_entrance", "stage2"])(images)
    assert {x.dtype for x in found.values()} == {tf.float32}
    assert model(images).dtype == tf.float32
    restored = irevnet_tf.invert(model, "stage2")(found["stage2"])
    error = cases.relative_error(restored, found["stage2_entrance"])
    assert error < (1e-6 if policy == "float32" else 2e-2)


def test_double_precision_is_kept():
    keras.config.set_dtype_policy("float64")
    model = small_revnets.revnet("bottleneck")
    images = cases.digits(2)[0].astype("float64")
    assert model(images).dtype == tf.float64
    z = irevnet_tf.encoder(model, 2)(images)
    keras.config.set_dtype_policy("float32")
    restored = irevnet_tf.invert(model, 2)(z)
    entrance = irevnet_tf.encoder(model, "stage2_entrance")(images)
    assert cases.relative_error(restored, entrance) < 1e-13


@each_kind
def test_weights_files(kind, tmp_path):
    model = cases.stir(small_revnets.revnet(kind))
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    twin = small_revnets.revnet(kind, weights=path, lossless=True)
    for ours, theirs in zip(model.weights, twin.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    base = small_revnets.revnet(kind, weights=path, include_top=False)
    expected = irevnet_tf.encoder(model, 2)(cases.digits(2)[0])
    np.testing.assert_array_equal(base(cases.digits(2)[0]), expected)
    for other in ({"blocks": (2, 2)}, {"classes": 11}):
        with pytest.raises(ValueError, match="the same architecture"):
            small_revnets.revnet(kind, weights=path, **other)


def test_a_frozen_stage_stays_as_it_is_and_frozen(tmp_path):
    model = small_revnets.revnet()
    for name in ("stage1", "stage2_transition"):
        model.get_layer(name).trainable = False
    model.get_layer("stage2").blocks[0].residual.layers[0].trainable = False
    model = small_revnets.reload(model, tmp_path)

    def frozen_weights():
        frozen = [
            model.get_layer("stage1"),
            model.get_layer("stage2_transition"),
            model.get_layer("stage2").blocks[0].residual.layers[0],
        ]
        assert not any(layer.trainable_variables for layer in frozen)
        return [w for layer in frozen for w in layer.get_weights()]

    before = frozen_weights()
    head = model.get_layer("stage2").get_weights()
    small_revnets.fit(model)
    after = frozen_weights()
    for ours, theirs in zip(before, after, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    moved = model.get_layer("stage2").get_weights()
    assert cases.relative_error(moved, head) > 1e-4


def test_checkpoints_hold_every_weight(tmp_path):
    model = cases.stir(small_revnets.revnet("bottleneck"))
    twin = small_revnets.revnet("bottleneck")
    path = tf.train.Checkpoint(model).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(twin).read(path).assert_consumed()
    for ours, theirs in zip(model.weights, twin.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_preprocessing_is_kept(tmp_path):
    model = small_revnets.revnet("bottleneck")
    assert model.preprocessing is None
    model.preprocessing = "cifar10"
    for other in (
        small_revnets.reload(model, tmp_path),
        keras.models.clone_model(model),
    ):
        assert other.preprocessing == "cifar10"
    with pytest.raises(ValueError, match="None or a string.*=3"):
        model.preprocessing = 3


def test_weights_of_other_networks_are_refused_by_their_name():
    with pytest.raises(ValueError, match="'fashion_mnist' for RevNet38, but"):
        irevnet_tf.RevNet38(weights="fashion_mnist")
