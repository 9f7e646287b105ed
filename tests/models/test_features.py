"""Representations on the way, by name, and the way back from each."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers

MODES = pytest.mark.parametrize("lossless", [False, True])


def all_points(family):
    points = ["stem"]
    for stage, depth in enumerate(cases.FAMILIES[family]["blocks"], start=1):
        points += [f"stage{stage}_block{b}" for b in range(1, depth + 1)]
        points.append(f"stage{stage}")
    return points


@pytest.mark.parametrize(
    ("family", "lossless"),
    [
        *((family, False) for family in cases.INFERENCE_FAMILIES),
        *((family, True) for family in ("bijective_1x1", "injective_twice")),
    ],
)
def test_every_point_holds_the_image(family, lossless, trained_weights):
    model = cases.build(family, lossless=lossless)
    model.set_weights(trained_weights(family))
    images = cases.on_grid(cases.digits(3)[0]).astype("float32")
    points = all_points(family)
    found = irevnet_tf.features(model, points)(images)
    assert list(found) == points
    for point in points:
        reconstruction = irevnet_tf.invert(model, point)(found[point])
        error = cases.relative_error(reconstruction, images)
        assert error == 0 if lossless else error < 5e-6, point


@pytest.mark.parametrize("family", cases.INFERENCE_FAMILIES)
def test_blocks_streams_are_those_of_the_network(family, trained_weights):
    model = cases.build(family)
    model.set_weights(trained_weights(family))
    images = cases.digits(2)[0]
    found = irevnet_tf.features(model, all_points(family))(images)
    for stage, depth in enumerate(cases.FAMILIES[family]["blocks"], start=1):
        layer = model.get_layer(f"stage{stage}")
        streams = keras.Model(model.input, layer.input)(images)
        for position in range(depth):
            streams = layer.blocks[position](streams)
            point = f"stage{stage}_block{position + 1}"
            np.testing.assert_allclose(
                found[point], tf.concat(streams, -1), rtol=1e-5, atol=1e-6
            )
        np.testing.assert_array_equal(found[point], found[f"stage{stage}"])


def test_one_call_agrees_with_encoders():
    model = cases.build("injective")
    images = cases.digits(2)[0]
    points = all_points("injective")
    found = irevnet_tf.features(model, points).predict(images, verbose=0)
    for point in points:
        encoder = irevnet_tf.encoder(model, point)
        np.testing.assert_array_equal(
            encoder.predict(images, verbose=0), found[point]
        )
        decoder = irevnet_tf.invert(encoder)
        error = cases.relative_error(decoder(found[point]), images)
        assert error < 1e-6


def test_all_stages_if_no_point_is_named():
    model = cases.build("bijective")
    found = irevnet_tf.features(model)
    shapes = {name: x.shape for name, x in found.output.items()}
    assert shapes == {
        "stage1": (None, 4, 4, 48),
        "stage2": (None, 2, 2, 192),
    }


def test_points_by_number_and_in_any_order():
    model = cases.build("bijective")
    points = [np.int64(2), "stage1_block1", "stem", 1]
    found = irevnet_tf.features(model, points)
    assert list(found.output) == ["stage2", "stage1_block1", "stem", "stage1"]


def test_features_follow_the_weights_and_survive_saving(tmp_path):
    model = cases.compile(cases.build("injective", lossless=True))
    extractor = irevnet_tf.features(model, ["stage1_block2", "stage2"])
    images, labels = cases.digits(16)
    before = extractor(images)
    model.fit(images, labels, verbose=0)
    after = extractor(images)
    assert cases.relative_error(after["stage2"], before["stage2"]) > 1e-4
    shared = {id(v) for v in model.variables}
    assert {id(v) for v in extractor.variables} <= shared
    path = tmp_path / "features.keras"
    extractor.save(path)
    loaded = keras.models.load_model(path)(images)
    for name in after:
        np.testing.assert_array_equal(loaded[name], after[name])


@MODES
def test_training_on_the_way_is_training(lossless):
    """Deep supervision: heads on two blocks, with and without saving."""
    images, labels = cases.digits(16)
    weights = []
    start = cases.build("injective", lossless=lossless).get_weights()
    heads = None
    for memory_saving in (True, False):
        model = cases.build(
            "injective", lossless=lossless, memory_saving=memory_saving
        )
        model.set_weights(start)
        extractor = irevnet_tf.features(model, ["stage1_block2", "stage2"])
        outputs = [
            keras.layers.Dense(10, activation="softmax", name=f"head_{name}")(
                keras.layers.GlobalAveragePooling2D()(x)
            )
            for name, x in extractor.output.items()
        ]
        trainer = keras.Model(extractor.input, outputs)
        dense = [x for x in trainer.layers if x.name.startswith("head_")]
        heads = heads or [layer.get_weights() for layer in dense]
        for layer, values in zip(dense, heads, strict=True):
            layer.set_weights(values)
        trainer.compile("sgd", [cases.LOSS] * 2)
        trainer.fit(images, [labels] * 2, batch_size=8, verbose=0)
        weights.append(model.get_weights())
    assert cases.relative_error(weights[0], start) > 1e-4
    error = cases.relative_error(weights[0], weights[1])
    # The order in which a head's gradient joins the stream's is not fixed.
    assert error < 1e-4


@pytest.mark.parametrize(
    "points",
    [
        ["stage1_block1", "stage1", "stage2"],
        ["stage1_block2", "stage2_block1", "stem"],
        ["stem", "stage1_block1", "stage2_block1"],
    ],
    ids=str,
)
def test_models_with_points_are_followed_to_their_end(points):
    model = cases.build("injective")
    images = cases.digits(2)[0]
    extractor = irevnet_tf.features(model, points)
    heads = [
        keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
        for x in extractor.output.values()
    ]
    extended = keras.Model(extractor.input, heads)
    last = max(points, key=all_points("injective").index)
    expected = irevnet_tf.encoder(model, last)(images)
    for built in (extractor, extended):
        z = irevnet_tf.encoder(built)(images)
        np.testing.assert_allclose(z, expected, atol=1e-6)
        restored = irevnet_tf.invert(built)(z)
        assert cases.relative_error(restored, images) < 1e-6


def test_networks_of_ones_own_have_points():
    def sequence(name):
        couplings = [
            layers.AdditiveCoupling(keras.layers.Conv2D(2, 1, name=name))
            for _ in range(2)
        ]
        return layers.ReversibleSequence(couplings, name=name)

    image = keras.Input((8, 8, 4))
    streams = layers.ChannelSplit(name="split")(image)
    streams = sequence("second")(sequence("first")(streams))
    model = keras.Model(image, layers.ChannelMerge(name="merge")(streams))
    assert list(irevnet_tf.features(model).output) == ["second"]
    x = tf.random.stateless_normal((2, 8, 8, 4), (1, 2))
    points = ["first_block1", "first_block2", "second_block1", "second"]
    found = irevnet_tf.features(model, points)(x)
    for point in points:
        restored = irevnet_tf.invert(model, point)(found[point])
        np.testing.assert_allclose(restored, x, atol=1e-5)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "non-empty list.*points=.."),
        ("stage1", "non-empty list.*points='stage1'"),
        (["stage1", 1], "different points.*'stage1', 1"),
        (["stage3"], "from 'stage1_block1' to 'stage2_block2'.*'stage3'"),
        (["stage1_block3"], "one of .'stem'.*'stage1_block3'"),
        ([0], "number of a stage, from 1.*0"),
        ([None], "Received: None"),
        ([["stage1"]], "Received: .'stage1'."),
        ([True], "Received: True"),
        (1, "non-empty list.*points=1"),
    ],
)
def test_points_that_are_none(points, message):
    model = cases.build("bijective")
    with pytest.raises(ValueError, match=message):
        irevnet_tf.features(model, points)


def test_encoder_without_blocks_has_no_stages():
    stem = irevnet_tf.encoder(cases.build("bijective"), "stem")
    with pytest.raises(ValueError, match="one of .'stem'.. Received: 'stage1'"):
        irevnet_tf.encoder(stem, 1)
    assert list(irevnet_tf.features(stem).output) == ["stem"]


def test_model_that_is_no_irevnet():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must be an i-RevNet.*Received"):
        irevnet_tf.features(model)


def test_parts_of_a_sequence_share_weights():
    sequence, shape = cases.LAYERS["sequence"]
    sequence = sequence()
    streams = cases.random_input(shape)
    expected = sequence(streams)
    first, second = sequence.part(0, 1), sequence.part(1, None)
    actual = second(first(streams))
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(first.weights) + len(second.weights) == len(sequence.weights)
    for memory_saving in (True, False):
        sequence.memory_saving = memory_saving
        assert sequence.part(0, 1).memory_saving is memory_saving
    with pytest.raises(ValueError, match="non-empty list"):
        sequence.part(2, 2)


def test_a_coupling_behind_a_cut_keeps_its_weights():
    def coupling(name):
        return layers.AdditiveCoupling(keras.layers.Dense(2), name=name)

    image = keras.Input((4, 4, 4))
    streams = layers.ChannelSplit()(image)
    sequence = [coupling("first"), coupling("second")]
    streams = layers.ReversibleSequence(sequence, name="stage1")(streams)
    streams = coupling("alone")(streams)
    model = keras.Model(image, layers.ChannelMerge(name="end")(streams))
    x = np.random.default_rng(0).random((2, 4, 4, 4), "float32")
    found = irevnet_tf.features(model, ["stage1_block1", "end"])(x)
    np.testing.assert_allclose(found["end"], model(x), atol=1e-6)
