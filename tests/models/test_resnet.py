"""ResNets: RevNets' parts in one stream, of the same size."""

import cases
import keras
import numpy as np
import pytest
import small_revnets
import tensorflow as tf

import irevnet_tf
from irevnet_tf.models import resnet_variants
from irevnet_tf.models.chains import find_chains

# Those of the authors' configurations, counted by hand; the paper's table
# prints them in millions.
PARAMETERS = {
    "ResNet32": (464_154, "0.46"),
    "ResNet110": (1_727_962, "1.73"),
    "ResNet164": (1_703_258, "1.70"),
    "ResNet101": (44_541_480, "44.5"),
}
each_kind = pytest.mark.parametrize("kind", small_revnets.KINDS)


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameter_counts(variant):
    expected, printed = PARAMETERS[variant]
    model = getattr(resnet_variants, variant)()
    count = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert count == expected
    assert f"{count / 1e6:.{len(printed.partition('.')[2])}f}" == printed
    size, classes = (224, 1000) if variant == "ResNet101" else (32, 10)
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, classes)
    assert model.name == variant.lower()


def test_layers():
    model = small_revnets.resnet("basic", blocks=(1, 2))
    names = [layer.name for layer in model.layers]
    # Keras lists layers of the same depth in one order or the other.
    assert set(names[6:8]) == {"stage2_block1", "stage2_block1_shortcut"}
    assert names[:6] + names[8:] == [
        "image",
        "stem_conv",
        "stem_norm",
        "stem_relu",
        "stage1_block1",
        "stage1_block1_add",
        "stage2_block1_add",
        "stage2_block2",
        "stage2_block2_add",
        "head_norm",
        "head_relu",
        "avg_pool",
        "predictions",
    ]
    assert not model.get_layer("stage1_block1").preactivation
    assert model.get_layer("stage2_block1").preactivation


@each_kind
def test_units_compute_what_the_paper_says(kind):
    model = cases.stir(small_revnets.resnet(kind))
    images = cases.digits(4)[0]

    def value(name):
        return keras.Model(model.input, model.get_layer(name).output)(images)

    x = value("stage1_block2_add")
    shortcut = model.get_layer("stage2_block1_shortcut")
    y = shortcut(x) + model.get_layer("stage2_block1")(x)
    np.testing.assert_allclose(
        value("stage2_block1_add"), y, rtol=1e-4, atol=1e-5
    )
    y += model.get_layer("stage2_block2")(y)
    np.testing.assert_allclose(
        value("stage2_block2_add"), y, rtol=1e-4, atol=1e-5
    )


@each_kind
def test_its_parts_are_those_of_revnets(kind):
    """Layer by layer the same configuration, but for names and widths."""
    ours = small_revnets.resnet(kind)
    theirs = small_revnets.revnet(kind)
    transition = theirs.get_layer("stage2_transition")
    pairs = [
        (ours.get_layer(name), theirs.get_layer(name))
        for name in ("stem_conv", "stem_norm", "head_norm")
    ]
    pairs += zip(
        ours.get_layer("stage2_block1").layers,
        transition.f.layers,
        strict=True,
    )
    pairs += [
        (ours.get_layer("stage2_block1_shortcut"), transition.shortcuts[0])
    ]
    for our, their in pairs:
        assert type(our) is type(their)
        configs = [layer.get_config() for layer in (our, their)]
        for config in configs:
            del config["name"]
            config.pop("filters", None)
        assert configs[0] == configs[1]


@pytest.mark.parametrize(
    ("pooling", "shape"),
    [(None, (2, 8, 8, 12)), ("avg", (2, 12)), ("max", (2, 12))],
)
def test_pooling(pooling, shape):
    model = small_revnets.resnet(include_top=False, pooling=pooling)
    assert model(cases.digits(2)[0]).shape == shape


def test_variant_follows_the_conventions():
    constructor = resnet_variants.ResNet32
    base = constructor(False, None, keras.Input((None, None, 1)), None, "avg")
    assert base.output_shape == (None, 64)
    assert constructor(include_top=False).input_shape == (None, None, None, 3)
    model = constructor(input_shape=(28, 28, 1), classes=7, name="own")
    assert (model.name, model.output_shape) == ("own", (None, 7))
    with pytest.raises(TypeError, match="memory_saving"):
        constructor(memory_saving=True)


@each_kind
def test_any_size_of_images(kind):
    model = small_revnets.resnet(kind, input_shape=(None, None, 3))
    for size in ((15, 9), (1, 2)):
        assert model(np.zeros((2, *size, 3))).shape == (2, cases.CLASSES)


BAD_ARGUMENTS = [
    ({"blocks": (2, 0)}, "`blocks` must be a positive integer.*blocks=0"),
    ({"channels": (8, 6)}, "at least the incoming channels.*filters=6, ch"),
    ({"initial_downsampling": 2}, "must be 1 or 4. Received: .*=2"),
    ({"weights": "imagenet"}, "the path of an existing file.*'imagenet'"),
    ({"dropout_rate": -1}, "less than 1. Received: dropout_rate=-1"),
    ({"classes": 0}, "positive integer. Received: classes=0"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small_revnets.resnet(**arguments)


def test_it_learns_in_half_precision_and_is_saved(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = small_revnets.resnet("bottleneck", dropout_rate=0.1)
    losses = small_revnets.fit(model, epochs=8)
    assert losses[-1] < losses[0]
    images = cases.digits(4)[0]
    assert model(images).dtype == tf.float32
    loaded = small_revnets.reload(model, tmp_path)
    np.testing.assert_array_equal(loaded(images), model(images))
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    twin = small_revnets.resnet("bottleneck", dropout_rate=0.1, weights=path)
    np.testing.assert_array_equal(twin(images), model(images))


def test_it_has_no_inverse():
    model = small_revnets.resnet()
    assert find_chains(model) == []
    with pytest.raises(ValueError, match="must be an i-RevNet.*model=resnet"):
        irevnet_tf.invert(model)
