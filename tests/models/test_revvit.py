"""RevViT and ViT: what is promised of all networks, and their sizes."""

import inspect

import cases
import copies
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf.models import revvit
from irevnet_tf.models import transformer_variants
from irevnet_tf.models import vit
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.model import find_preprocessing

SHAPE = (8, 8, 3)
CLASSES = 5
LABELS = np.arange(16) % CLASSES


def images(count=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, *SHAPE)).astype("float32")


def build(builder=revvit.RevViT, depth=2, patch_size=4, **kwargs):
    """Return a small network, of weights at which all of it counts."""
    keras.utils.set_random_seed(0)
    model = builder(
        depth,
        16,
        2,
        patch_size,
        2.0,
        **{"input_shape": SHAPE, "classes": CLASSES, **kwargs},
    )
    if "weights" in kwargs:
        return model
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        noise = rng.normal(0, 0.2, variable.shape)
        variable.assign(variable + noise.astype(variable.dtype))
    return model


def fitted(model, jit_compile=False):
    cases.compile(model, jit_compile=jit_compile)
    model.fit(images(), LABELS, batch_size=8, epochs=2, verbose=0)
    return model


def tokens(model):
    """Return the model from images to what `invert` returns."""
    return keras.Model(model.input, model.get_layer("stage1_copy").input)


def test_inverse_leads_to_the_tokens():
    model = fitted(build())
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    for batch in (16, 1):
        x = images(batch)
        z = encoder.predict(x, verbose=0)
        assert z.shape == (batch, 4, 32)
        expected = tokens(model)(x)
        assert cases.relative_error(decoder(z), expected) < 1e-5


def test_points_inside():
    model = build()
    found = irevnet_tf.features(model, ["stage1", "stage1_block1"])(images())
    expected = tokens(model)(images())
    for name, z in found.items():
        back = irevnet_tf.invert(model, name)(z)
        assert cases.relative_error(back, expected) < 1e-5
    base = build(include_top=False)
    assert base.output.shape == (None, 4, 32)
    np.testing.assert_allclose(base(images()), found["stage1"], atol=1e-6)


def test_images_from_tokens():
    model = build(depth=1, patch_size=2)
    z = irevnet_tf.encoder(model)(images())
    back = irevnet_tf.invert(model)(z)
    found = model.get_layer("stem").images_from(back)
    np.testing.assert_allclose(found, images(), atol=1e-4)


def step(model, mode="graph"):
    """Return the loss and all gradients, by the images and the weights."""
    x = tf.constant(images())
    sources = [x, *(v.value for v in model.trainable_variables)]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(
                    LABELS, model(x, training=True)
                )
            )
        return loss, tape.gradient(loss, sources)

    if mode == "eager":
        return gradients()
    return tf.function(gradients, jit_compile=mode == "jit", autograph=False)()


def twins(**kwargs):
    pair = [build(memory_saving=saving, **kwargs) for saving in (True, False)]
    cases.copy_values(*pair)
    return pair


# With masks that a backward pass must draw again. The rate of the last block.
RANDOM = {"dropout_rate": 0.2, "stochastic_depth_rate": 0.5}


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("eager", RANDOM),
        ("graph", RANDOM),
        ("jit", {"dropout_rate": 0.2, "depth": 1}),
        ("graph", {**RANDOM, "lossless": True}),
    ],
    ids=["eager", "graph", "jit", "lossless"],
)
def test_gradients_are_those_of_plain_training(mode, options):
    saving, plain = twins(**options)
    loss, gradients = step(saving, mode)
    plain_loss, plain_gradients = step(plain, mode)
    np.testing.assert_allclose(loss, plain_loss, rtol=1e-6)
    assert cases.relative_error(gradients, plain_gradients) < 1e-5
    # The next step draws other masks, in both networks the same.
    for one, other in zip(saving.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    if mode == "eager":
        assert step(saving, mode)[0] != loss


def test_frozen_blocks_and_parts_have_no_gradient():
    pair = twins()
    for model in pair:
        sequence = model.get_layer("stage1")
        sequence.blocks[2].trainable = False
        sequence.blocks[1].residual.layers[1].trainable = False
        model.get_layer("stem").trainable = False
    (_, gradients), (_, plain_gradients) = map(step, pair)
    assert len(gradients) == 1 + len(pair[0].weights) - 3 - 10 - 2
    assert cases.relative_error(gradients, plain_gradients) < 1e-5


def whole_stage(model):
    model.get_layer("stage1").trainable = False


def one_block(model):
    model.get_layer("stage1").blocks[1].trainable = False


def attention(model):
    residual = model.get_layer("stage1").blocks[0].residual
    residual.layers[1].query_dense.trainable = False


@pytest.mark.parametrize(
    ("freeze", "copied"),
    [
        (whole_stage, copies.file),
        (one_block, copies.deep),
        (attention, copies.file),
        (attention, copies.pickled),
    ],
)
def test_copies_keep_weights_and_frozen_parts(freeze, copied, tmp_path):
    model = build(stochastic_depth_rate=0.1)
    freeze(model)
    copy = copied(model, tmp_path)
    np.testing.assert_array_equal(copy(images()), model(images()))
    flags = [
        [v.trainable for v in one.trainable_variables] for one in (model, copy)
    ]
    assert flags[0] == flags[1] and len(flags[0]) < len(model.weights)


def test_vit_keeps_weights_and_frozen_parts(tmp_path):
    model = build(vit.ViT, stochastic_depth_rate=0.1)
    part = model.get_layer("block1_attention").layers[1]
    part.value_dense.trainable = False
    copy = copies.file(model, tmp_path)
    np.testing.assert_array_equal(copy(images()), model(images()))
    assert len(copy.trainable_weights) == len(model.trainable_weights)
    assert len(copy.trainable_weights) == len(model.weights) - 2


@pytest.mark.parametrize("builder", [revvit.RevViT, vit.ViT])
def test_weights_and_checkpoints(builder, tmp_path):
    model = build(builder, stochastic_depth_rate=0.2, dropout_rate=0.1)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    # Neither dropout nor a head is in the file's way.
    loaded = build(builder, weights=path)
    np.testing.assert_array_equal(loaded(images()), model(images()))
    base = build(builder, weights=path, include_top=False, pooling="avg")
    both = keras.Model(model.input, model.get_layer("predictions").input)
    np.testing.assert_array_equal(base(images()), both(images()))
    with pytest.raises(ValueError, match="must be of the same architecture"):
        build(builder, weights=path, depth=3)
    with pytest.raises(ValueError, match="must be of the same architecture"):
        build(builder, weights=path, input_shape=(4, 8, 3))

    tf.train.Checkpoint(model=model).write(str(tmp_path / "checkpoint"))
    fresh = build(builder, stochastic_depth_rate=0.2, dropout_rate=0.1)
    for variable in fresh.trainable_variables:
        variable.assign(variable * 0.0)
    status = tf.train.Checkpoint(model=fresh).read(str(tmp_path / "checkpoint"))
    status.assert_existing_objects_matched()
    np.testing.assert_array_equal(fresh(images()), model(images()))


@pytest.mark.parametrize(
    ("policy", "patch_size"), [("float32", 2), ("mixed_bfloat16", 4)]
)
def test_lossless_bits_after_training(policy, patch_size):
    keras.config.set_dtype_policy(policy)
    model = fitted(
        build(
            patch_size=patch_size,
            lossless=True,
            stochastic_depth_rate=0.3,
        )
    )
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    expected = tokens(model)(images())
    assert expected.dtype == "float32"
    z = encoder.predict(images(), verbose=0)
    for batch in (16, 1):
        back = decoder.predict(z, batch_size=batch, verbose=0)
        np.testing.assert_array_equal(back, expected)
    np.testing.assert_array_equal(
        decoder(encoder(images())), expected, err_msg="eager"
    )


def test_half_precision_computes_in_the_residuals_only():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = build()
    stage = model.get_layer("stage1")
    assert stage.blocks[0].residual.compute_dtype == "bfloat16"
    z = irevnet_tf.encoder(model)(images())
    assert z.dtype == "float32" and model.output.dtype == "float32"
    back = irevnet_tf.invert(model)(z)
    assert cases.relative_error(back, tokens(model)(images())) < 1e-3


def test_stochastic_depth_grows_linearly():
    model = build(depth=3, stochastic_depth_rate=0.4)
    rates = [
        block.residual.stochastic_depth_rate
        for block in model.get_layer("stage1").blocks
    ]
    assert rates == [0.0, 0.0, 0.2, 0.2, 0.4, 0.4]
    assert build(depth=1, stochastic_depth_rate=0.4)  # One block: no growth.


def test_preprocessing_is_kept(tmp_path):
    model = build()
    assert model.preprocessing is None
    model.preprocessing = "cifar10"
    assert copies.file(model, tmp_path).preprocessing == "cifar10"
    chain = find_chain(irevnet_tf.encoder(model))
    assert find_preprocessing(chain) == "cifar10"


def test_there_is_no_export_of_an_inverse_that_ends_in_tokens(tmp_path):
    with pytest.raises(ValueError, match="leads to its tokens; .*images_from"):
        irevnet_tf.export_saved_model(build(), tmp_path / "model")


def test_vit_computes_what_its_parts_say():
    model = build(vit.ViT)
    x = model.get_layer("stem")(images())
    for name in ("block1", "block2"):
        x = x + model.get_layer(f"{name}_attention")(x)
        x = x + model.get_layer(f"{name}_mlp")(x)
    x = tf.reduce_mean(model.get_layer("head_norm")(x), axis=1)
    expected = model.get_layer("predictions")(x)
    np.testing.assert_allclose(model(images()), expected, atol=1e-6)


@pytest.mark.parametrize("builder", [revvit.RevViT, vit.ViT])
def test_pooled_features(builder):
    tokens_of = build(builder, include_top=False)(images())
    for pooling, reduce in (("avg", tf.reduce_mean), ("max", tf.reduce_max)):
        model = build(builder, include_top=False, pooling=pooling)
        expected = reduce(model.get_layer("head_norm")(tokens_of), axis=1)
        np.testing.assert_allclose(model(images()), expected, atol=1e-5)


def test_models_on_a_tensor_of_the_user():
    image = keras.Input(SHAPE)
    model = build(input_tensor=image * 2.0, input_shape=None)
    other = build()
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(
        model(images()), other(images() * 2.0), atol=1e-6
    )
    tuned = keras.Sequential(
        [build(include_top=False, pooling="avg"), keras.layers.Dense(2)]
    )
    back = irevnet_tf.invert(tuned)(irevnet_tf.encoder(tuned)(images()))
    assert back.shape == (16, 4, 16)


# Widths 384 and 768, 196 tokens, depth 12, 1000 classes: 22 and 87 million in
# table 1 of the paper.
PARAMETERS = {
    transformer_variants.RevViTS: 22_434_664,
    transformer_variants.RevViTB: 87_335_656,
    transformer_variants.ViTS: 22_049_896,
    transformer_variants.ViTB: 86_566_120,
}
NAMED = pytest.mark.parametrize(
    "constructor", PARAMETERS, ids=lambda x: x.__name__
)


@NAMED
def test_sizes(constructor, monkeypatch):
    # Normal distributions take their time.
    monkeypatch.setattr(
        keras.initializers.RandomNormal,
        "__call__",
        lambda self, shape, dtype=None: tf.zeros(shape, dtype),
    )
    model = constructor()
    assert model.count_params() == PARAMETERS[constructor]
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)
    assert model.name == constructor.__name__.lower()


@NAMED
def test_signatures_are_those_of_keras_applications(constructor):
    parameters = inspect.signature(constructor).parameters
    ours = inspect.signature(irevnet_tf.IRevNet28).parameters
    assert list(parameters)[:8] == list(ours)[:8]
    assert constructor.__name__ in constructor.__doc__
    assert "{" not in constructor.__doc__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": None}, "needs the size.*Received: input_shape=None"),
        ({"input_shape": (None, 8, 3)}, r"needs the size.*=\(None, 8, 3\)"),
        ({"input_shape": (8, 8)}, r"`input_shape` must be.*=\(8, 8\)"),
        ({"input_shape": (8, 10, 3)}, "divisible by 4. Received: height=8"),
        ({"patch_size": 0}, "positive integer. Received: patch_size=0"),
        ({"depth": 0}, "positive integer. Received: depth=0"),
        ({"dropout_rate": 1.0}, "less than 1. Received: dropout_rate=1.0"),
        ({"stochastic_depth_rate": 2}, "Received: stochastic_depth_rate=2"),
        ({"pooling": "sum"}, "Received: pooling='sum'"),
        ({"classes": 0}, "positive integer. Received: classes=0"),
        ({"weights": "imagenet"}, "Received: weights='imagenet'"),
        ({"classifier_activation": "x"}, "classifier_activation='x'"),
        ({"kernel_initializer": "x"}, "None, a Keras.*kernel_initializer='x'"),
    ],
)
@pytest.mark.parametrize("builder", [revvit.RevViT, vit.ViT])
def test_arguments_out_of_range(builder, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(builder, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 16, 3, 4), "`heads` must divide `width`. Received: heads=3"),
        ((1, 16, 2, 4, 0.01), "`mlp_ratio` must be.*mlp_ratio=0.01, width=16"),
        ((1, 16, 2, 4, "2"), "`mlp_ratio` must be.*mlp_ratio='2'"),
    ],
)
@pytest.mark.parametrize("builder", [revvit.RevViT, vit.ViT])
def test_sizes_that_do_not_fit(builder, arguments, message):
    with pytest.raises(ValueError, match=message):
        builder(*arguments, input_shape=SHAPE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction_bits": 8}, "counts only with `lossless`"),
        ({"norm_epsilons": 1e-6}, "three numbers.*norm_epsilons=1e-06"),
        ({"norm_epsilons": (1e-6, 0, 1e-6)}, "positive.*norm_epsilons=0"),
    ],
)
def test_arguments_of_revvit_alone(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_weights_of_other_networks():
    with pytest.raises(ValueError, match="no weights 'digits' for RevViTS"):
        transformer_variants.RevViTS(weights="digits")
    with pytest.raises(ValueError, match="`weights` must be None.*'x.h5'"):
        transformer_variants.ViTS(weights="x.h5")


def test_weights_of_another_grid_of_patches_do_not_fit(tmp_path):
    path = tmp_path / "square.weights.h5"
    build(input_shape=(8, 8, 3)).save_weights(path)
    with pytest.raises(ValueError, match="same architecture as the model"):
        build(input_shape=(4, 16, 3), weights=path)
