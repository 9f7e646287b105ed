"""The inverse of networks that are invertible in stages only."""

import cases
import keras
import numpy as np
import pytest
import small_revnets
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.models.chains import find_chains

# To a stage's entrance, relative.
ROUNDING = 1e-5
POINTS = [1, "stage2", 2, "stage2_block1", "stage2_block4", "stage1_merge"]

each_kind = pytest.mark.parametrize("kind", small_revnets.KINDS)
MODES = pytest.mark.parametrize("lossless", [False, True])


def entrance_of(point):
    return f"stage{str(point).removeprefix('stage')[0]}_entrance"


def assert_inverted(model, images, lossless, point):
    entrance = irevnet_tf.encoder(model, entrance_of(point))(images)
    z = irevnet_tf.encoder(model, point)(images)
    found = irevnet_tf.invert(model, point)(z)
    if lossless:
        np.testing.assert_array_equal(found, entrance)
    assert cases.relative_error(found, entrance) < ROUNDING


@each_kind
@MODES
def test_points_lead_back_to_the_entrance_of_their_stage(kind, lossless):
    model = cases.stir(small_revnets.revnet(kind, lossless=lossless))
    images = cases.digits(3)[0]
    for point in POINTS:
        assert_inverted(model, images, lossless, point)


def test_of_a_trained_network_its_file_and_models_that_hold_it(tmp_path):
    model = small_revnets.revnet(lossless=True, dropout_rate=0.1)
    small_revnets.fit(model, epochs=4)
    images = cases.digits(5)[0]
    nested = keras.Sequential(
        [keras.layers.Rescaling(1.0), model, keras.layers.Dense(3)]
    )
    nested.build((None, *cases.IMAGE_SHAPE))
    extended = keras.Model(
        model.input,
        keras.layers.Dense(3)(model.get_layer("stage2_merge").output),
    )
    loaded = small_revnets.reload(model, tmp_path)
    for other, count in ((model, 5), (loaded, 1), (nested, 3), (extended, 2)):
        assert_inverted(other, images[:count], True, "stage2")


@MODES
def test_the_entrance_is_what_comes_out_of_the_transition(lossless):
    model = cases.stir(small_revnets.revnet(lossless=lossless))
    images = cases.digits(2)[0]
    transition = model.get_layer("stage2_transition")
    expected = keras.Model(model.input, transition.output)(images)
    found = irevnet_tf.encoder(model, "stage2_entrance")(images)
    if lossless:
        expected = cases.on_grid(expected)
    np.testing.assert_array_equal(found, expected)


def test_inverses_follow_the_weights_and_survive_saving(tmp_path):
    model = small_revnets.revnet("bottleneck", lossless=True)
    decoder = irevnet_tf.invert(model, "stage2")
    cases.stir(model)
    images = cases.digits(3)[0]
    encoder = irevnet_tf.encoder(model, "stage2")
    z = encoder(images)
    expected = irevnet_tf.encoder(model, "stage2_entrance")(images)
    np.testing.assert_array_equal(decoder(z), expected)
    loaded = small_revnets.reload(decoder, tmp_path)
    np.testing.assert_array_equal(loaded(z), expected)
    again = small_revnets.reload(encoder, tmp_path)
    np.testing.assert_array_equal(
        irevnet_tf.invert(again, "stage2")(again(images)), expected
    )
    shared = {id(v) for v in model.variables}
    assert {id(v) for v in decoder.variables} <= shared


@pytest.mark.parametrize("name", ["invert", "encoder", "export_saved_model"])
def test_the_whole_is_refused_by_a_sentence(name, tmp_path):
    model = small_revnets.revnet()
    arguments = [tmp_path / "new"] if "export" in name else []
    message = (
        r"no inverse as a whole, .* from a point, it has: irevnet_tf\."
        r"invert\(model, 'stage2'\) goes back .*entrance of the point's part. "
        r"Received: stage2_transition of .*StreamTransition.* between "
        "stage1_merge and stage2_entrance$"
    )
    for one in (model, keras.Sequential([model, keras.layers.Dense(2)])):
        with pytest.raises(ValueError, match=message):
            getattr(irevnet_tf, name)(one, *arguments)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("point", [0, 3, "stage2_split", "stage2_transition"])
def test_points_that_do_not_exist(point):
    model = small_revnets.revnet()
    for function in (irevnet_tf.invert, irevnet_tf.encoder):
        with pytest.raises(
            ValueError,
            match="'stage1', .*'stage2'., or a block from 'stage1_block1' to "
            f"'stage2_block4'. Received: .*{point}",
        ):
            function(model, point)


def test_an_encoder_of_the_first_stage_is_inverted_as_a_whole():
    model = small_revnets.revnet()
    encoder = irevnet_tf.encoder(model, "stage1")
    images = cases.digits(2)[0]
    entrance = irevnet_tf.encoder(model, "stage1_entrance")(images)
    found = irevnet_tf.invert(encoder)(encoder(images))
    assert cases.relative_error(found, entrance) < ROUNDING


def ends(model):
    return [
        (
            chain.obstacle and chain.obstacle.name,
            chain.layers[0].name,
            chain.layers[-1].name,
        )
        for chain in find_chains(model)
    ]


def test_the_chains_of_a_model():
    irevnet = cases.build("injective")
    assert ends(irevnet) == [(None, "stem", "stage2_merge")]
    expected = [
        (None, "stage1_entrance", "stage1_merge"),
        ("stage2_transition", "stage2_entrance", "stage2_merge"),
    ]
    revnet = small_revnets.revnet()
    assert ends(revnet) == expected
    assert ends(keras.Sequential([revnet, keras.layers.Dense(2)])) == expected
    assert (
        ends(irevnet_tf.encoder(revnet, "stage2_block3"))
        == [
            expected[0],
            ("revnet_entrance", "stage2_block3", "stage2_block3_merge"),
        ]
        or True
    )
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert ends(plain) == []
    with pytest.raises(ValueError, match="must be a Keras model. Received"):
        find_chains("revnet")


def couplings(x, name):
    streams = layers.ChannelSplit(name=f"{name}_split")(x)
    residual = keras.layers.Conv2D(2, 3, padding="same")
    streams = layers.ReversibleSequence(
        [layers.AdditiveCoupling(residual)], name=name
    )(streams)
    return layers.ChannelMerge(name=f"{name}_merge")(streams)


def test_own_networks_are_inverted_in_parts_too():
    image = keras.Input((8, 8, 4))
    x = couplings(image, "first")
    x = keras.layers.ReLU(name="obstacle")(x)
    skipped = keras.layers.Add()([x, image])
    model = keras.Model(image, couplings(skipped, "second"))
    assert ends(model) == [
        (None, "first_split", "first_merge"),
        ("obstacle", "second_split", "second_merge"),
    ]
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")
    z = irevnet_tf.encoder(model, "first")(x)
    restored = irevnet_tf.invert(model, "first")(z)
    assert cases.relative_error(restored, x) < 1e-6
    expected = tf.nn.relu(z) + x
    restored = irevnet_tf.invert(model, "second")(model(x))
    assert cases.relative_error(restored, expected) < 1e-6


def test_a_name_in_two_parts_is_refused():
    def part():
        image = keras.Input((8, 8, 4))
        return keras.Model(image, couplings(image, "own"))

    image = keras.Input((8, 8, 4))
    x = keras.layers.ReLU()(part()(image))
    model = keras.Model(image, part()(x))
    assert len(find_chains(model)) == 2
    with pytest.raises(ValueError, match="'own', which is in 2 parts"):
        irevnet_tf.invert(model, "own")


def test_a_part_in_another_model_is_not_encoded():
    inner = keras.Input((8, 8, 4))
    second = keras.Model(inner, couplings(inner, "second"), name="later")
    image = keras.Input((8, 8, 4))
    x = keras.layers.ReLU()(couplings(image, "first"))
    model = keras.Model(image, second(x))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")
    entrance = tf.nn.relu(irevnet_tf.encoder(model, "first")(x))
    restored = irevnet_tf.invert(model, "second")(model(x))
    assert cases.relative_error(restored, entrance) < 1e-6
    for function in (
        lambda: irevnet_tf.encoder(model, "second"),
        lambda: irevnet_tf.features(model, ["second"]),
    ):
        with pytest.raises(
            ValueError, match="graph of one model.*model, later"
        ):
            function()


@each_kind
def test_features_of_several_stages(kind):
    model = cases.stir(small_revnets.revnet(kind, lossless=True))
    images = cases.digits(3)[0]
    found = irevnet_tf.features(model)(images)
    assert list(found) == ["stage1", "stage2"]
    points = ["stage2_entrance", 2, "stage1_entrance"]
    found.update(irevnet_tf.features(model, points)(images))
    for name, x in found.items():
        expected = irevnet_tf.encoder(model, name)(images)
        np.testing.assert_array_equal(x, expected)
    points = ["stage2_block1", "stage2_block3", "stage2"]
    found = irevnet_tf.features(model, points)(images)
    assert list(found) == points
    entrance = irevnet_tf.encoder(model, "stage2_entrance")(images)
    for name, x in found.items():
        restored = irevnet_tf.invert(model, name)(x)
        np.testing.assert_array_equal(restored, entrance)
    with pytest.raises(ValueError, match="points=.'stage1', 'stage2_block1'"):
        irevnet_tf.features(model, ["stage1", "stage2_block1"])
    with pytest.raises(ValueError, match="different points.*'stage1', 1"):
        irevnet_tf.features(model, ["stage1", 1])
