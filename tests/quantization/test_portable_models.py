"""What a portable network goes through, as all models do."""

import copies
import h5py
import keras
import numpy as np
import portable_networks
import pytest
import tensorflow as tf
from portable_networks import bits

import irevnet_tf
from irevnet_tf import layers

ARGUMENTS = {
    **portable_networks.NETWORKS["gray"],
    "classes": portable_networks.CLASSES,
    "classifier_activation": None,
    "portable": True,
}


@pytest.fixture
def model():
    return portable_networks.portable("gray")


@pytest.fixture
def images():
    return portable_networks.images(ARGUMENTS["input_shape"], 4)


def assert_same_bits(actual, expected):
    np.testing.assert_array_equal(bits(actual), bits(expected))


@pytest.mark.parametrize("copy", copies.COPIES)
def test_copies(copy, model, images, tmp_path):
    made = copy(model, tmp_path)
    if copy is copies.clone:
        # Its weights are those of nothing.
        with pytest.raises(ValueError, match="Received: bounds="):
            irevnet_tf.certify(made)
        made.set_weights(model.get_weights())
    assert type(made) is type(model)
    assert_same_bits(made(images), model(images))
    assert irevnet_tf.certify(made) == irevnet_tf.certify(model)
    assert made.layers[1].certificate == model.layers[1].certificate


def test_files_of_both_directions(model, images, tmp_path):
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    z = encoder(images)
    for part, x in ((encoder, images), (decoder, z)):
        assert_same_bits(copies.file(part, tmp_path)(x), part(x))
    both = keras.Model(encoder.input, decoder(encoder.output))
    again = copies.file(both, tmp_path)
    assert_same_bits(again(images), decoder(z))
    assert irevnet_tf.certify(again).weights == (
        irevnet_tf.certify(model).weights
    )


def test_preprocessing_is_kept(images, tmp_path):
    ordinary = portable_networks.network("gray")
    ordinary.preprocessing = "fashion_mnist"
    x = portable_networks.images(ARGUMENTS["input_shape"])
    made = irevnet_tf.portable(ordinary, x, verbose=0)
    assert made.preprocessing == "fashion_mnist"
    assert copies.file(made, tmp_path).preprocessing == "fashion_mnist"
    step = 2.0**-14
    assert irevnet_tf.certify(made).pixel_range == (-step, 1 + step)


def test_weights_file(model, images, tmp_path):
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    again = irevnet_tf.IRevNet(**ARGUMENTS, weights=path)
    assert_same_bits(again(images), model(images))
    assert irevnet_tf.certify(again) == irevnet_tf.certify(model)
    headless = {**ARGUMENTS, "include_top": False}
    encoder = irevnet_tf.IRevNet(**headless, weights=path)
    assert_same_bits(encoder(images), irevnet_tf.encoder(model)(images))
    pooled = irevnet_tf.IRevNet(**headless, pooling="avg", weights=path)
    assert float(tf.math.reduce_std(pooled(images))) > 0.0
    assert not any(x.trainable for x in again.weights)


@pytest.mark.parametrize(("weight_bits", "kind"), [(8, "int8"), (9, "int16")])
def test_kernels_are_integers_in_files(weight_bits, kind, tmp_path):
    model = portable_networks.portable("gray", weight_bits=weight_bits)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item}))
        kernels = [x for name, x in found.items() if "/vars/kernel" in name]
        assert len(kernels) == 9
        for kernel in kernels:
            assert kernel.dtype == kind
        size = sum(x.id.get_storage_size() for x in kernels)
    count = sum(
        np.size(kernel)
        for residual in portable_networks.residuals(model).values()
        for kernel in residual.kernels
    )
    assert size == count * np.dtype(kind).itemsize


def test_weights_that_no_file_can_hold(model, tmp_path):
    residual = portable_networks.residuals(model)["stage1/block2"]
    residual.kernels[1].assign(residual.kernels[1] + 0.3)
    with pytest.raises(ValueError, match="must be integers of 8 bits.*Receiv"):
        model.save_weights(tmp_path / "model.weights.h5")


FIT = "The weights file must be of the same architecture.*Received: weights="
BITS = "must be of a network with the same numbers of bits.*Received: weights="
ORDINARY = "must be of an ordinary or lossless network.*Received: weights="
PORTABLE = "must be of a portable network, with integer.*Received: weights="


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("ordinary", {}, PORTABLE),
        ("tuned", {}, PORTABLE),
        ("portable", {"portable": False}, ORDINARY),
        ("portable", {"portable": False, "lossless": True}, ORDINARY),
        ("portable", {"fraction_bits": 12}, BITS + r".*\(8, 8, 14, 1, 1, 1\)"),
        ("portable", {"classes": 3}, FIT),
        ("portable", {"blocks": (1, 1)}, FIT),
        ("7 bits", {}, BITS + r".*\(7, 8, 14, 1, 1, 1\)"),
    ],
)
def test_weights_files_of_other_networks(source, target, message, tmp_path):
    path = tmp_path / "model.weights.h5"
    if source == "ordinary":
        model = portable_networks.network("gray")
    else:
        options = {"weight_bits": 7} if source == "7 bits" else {}
        model = portable_networks.portable("gray", **options)
    if source == "tuned":
        model = irevnet_tf.fine_tunable(model)
    model.save_weights(path)
    with pytest.raises(ValueError, match=message):
        irevnet_tf.IRevNet(**{**ARGUMENTS, **target}, weights=path)


def test_portable_network_without_weights():
    with pytest.raises(ValueError, match="needs `weights`.*weights=None"):
        irevnet_tf.IRevNet(**ARGUMENTS)


def test_named_network_takes_a_path(tmp_path):
    with pytest.raises(ValueError, match="Received: weights="):
        irevnet_tf.IRevNet28(weights=tmp_path / "a.weights.h5", portable=True)


@pytest.mark.parametrize("is_tuned", [False, True])
def test_tensorflow_checkpoint(is_tuned, model, images, tmp_path):
    if is_tuned:
        model = irevnet_tf.fine_tunable(model)
    tf.train.Checkpoint(model=model).write(tmp_path / "checkpoint")
    again = keras.models.clone_model(model)
    status = tf.train.Checkpoint(model=again).read(tmp_path / "checkpoint")
    status.assert_consumed()
    assert_same_bits(again(images), model(images))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float64"])
def test_global_policies(policy, model, images, tmp_path):
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    expected = model(images)
    keras.config.set_dtype_policy(policy)
    loaded = copies.file(model, tmp_path)
    tuned = irevnet_tf.fine_tunable(model)
    found = [loaded, tuned, irevnet_tf.portable(tuned)]
    if policy == "float64":
        with pytest.raises(ValueError, match="compute in float32.*policy=fl"):
            irevnet_tf.IRevNet(**ARGUMENTS, weights=path)
    else:
        found.append(irevnet_tf.IRevNet(**ARGUMENTS, weights=path))
    for one in found:
        assert_same_bits(one(images), expected)
        for residual in portable_networks.residuals(one).values():
            assert residual.compute_dtype == "float32"


def test_made_under_another_policy(images):
    ordinary = portable_networks.network("gray")
    x = portable_networks.images(ARGUMENTS["input_shape"])
    expected = irevnet_tf.portable(ordinary, x, verbose=0)(images)
    keras.config.set_dtype_policy("float64")
    assert_same_bits(
        irevnet_tf.portable(ordinary, x, verbose=0)(images), expected
    )


def test_floatx(model, images, tmp_path):
    keras.config.set_floatx("float64")
    try:
        loaded = copies.file(model, tmp_path)
        assert loaded(images).dtype == tf.float32
        irevnet_tf.certify(loaded)
    finally:
        keras.config.set_floatx("float32")
    assert_same_bits(loaded(images), model(images))


@pytest.mark.parametrize("kind", ["IntegerResidual", "IntegerPooling"])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "mixed_bfloat16"])
def test_layers_of_another_dtype(kind, dtype):
    arguments = [4] if kind == "IntegerResidual" else []
    with pytest.raises(ValueError, match=f"must be float32.*dtype={dtype}"):
        getattr(layers, kind)(*arguments, dtype=dtype)
    with pytest.raises(ValueError, match="must be float32.*dtype=float64"):
        layers.PixelRange(14, dtype="float64")


def test_in_the_scope_of_a_strategy(model, images, tmp_path):
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    model.save(tmp_path / "model.keras")
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        found = [
            irevnet_tf.IRevNet(**ARGUMENTS, weights=path),
            keras.models.load_model(tmp_path / "model.keras"),
        ]
        for one in found:
            assert irevnet_tf.certify(one) == irevnet_tf.certify(model)
    for one in found:
        assert_same_bits(one.predict(images, verbose=0), model(images))


@pytest.mark.parametrize("nested", [True, False])
def test_a_new_head_is_trained_alone(nested):
    base = portable_networks.portable(
        "gray", {"include_top": False, "pooling": "avg"}
    )
    x = portable_networks.images(ARGUMENTS["input_shape"])
    z = irevnet_tf.encoder(base)(x)
    before = base(x)
    head = keras.layers.Dense(2, activation="softmax")
    if nested:
        model = keras.Sequential([base, head])
    else:
        model = keras.Model(base.input, head(base.output))
    assert len(model.trainable_variables) == 2
    model.compile("sgd", "sparse_categorical_crossentropy")
    labels = np.arange(len(x)) % 2
    model.fit(x, labels, batch_size=16, epochs=2, verbose=0)
    assert_same_bits(base(x), before)
    assert_same_bits(irevnet_tf.encoder(model)(x), z)
    assert irevnet_tf.certify(model).weights == (
        irevnet_tf.certify(base).weights
    )


def test_exported(model, tmp_path):
    shape = (4, *ARGUMENTS["input_shape"])
    raw = np.random.default_rng(0).integers(0, 256, shape).astype("float32")
    z = irevnet_tf.encoder(model)(raw / 255)
    irevnet_tf.export_saved_model(model, tmp_path)
    (version,) = tmp_path.iterdir()
    loaded = tf.saved_model.load(version).signatures
    found = loaded["forward"](tf.constant(raw))
    assert_same_bits(found["features"], z)
    (restored,) = loaded["inverse"](z).values()
    np.testing.assert_array_equal(np.rint(restored), raw)
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixel range"):
        loaded["forward"](tf.constant(raw + 255))
