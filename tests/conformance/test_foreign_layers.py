"""Invertible layers from elsewhere, in models of this package."""

import cases
import foreign
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers

each_layer = pytest.mark.parametrize(
    "create",
    [foreign.ActNorm, foreign.Convolution1x1, foreign.Squeeze],
    ids=lambda create: create.__name__,
)


def _couplings(x, name=None):
    channels = x.shape[-1] // 2
    streams = layers.ChannelSplit()(x)
    streams = layers.ReversibleSequence(
        [
            layers.AdditiveCoupling(
                keras.layers.Conv2D(channels, 3, padding="same")
            )
            for _ in range(2)
        ],
        name=name,
    )(streams)
    return layers.ChannelMerge()(streams)


def _first(create):
    image = keras.Input((8, 8, 4))
    return keras.Model(image, _couplings(create()(image)))


def _between(create):
    image = keras.Input((8, 8, 4))
    return keras.Model(image, _couplings(create()(_couplings(image))))


def _last(create):
    image = keras.Input((8, 8, 4))
    return keras.Model(image, create()(_couplings(image)))


def _with_head(create):
    body = _last(create)
    pooled = keras.layers.GlobalAveragePooling2D()(body.output)
    return keras.Model(body.input, keras.layers.Dense(3)(pooled))


def _in_front_of_a_nested_model(create):
    image = keras.Input((8, 8, 4))
    x = create()(image)
    return keras.Model(image, _nested(x.shape[1:])(x))


def _behind_a_nested_model(create):
    image = keras.Input((8, 8, 4))
    return keras.Model(image, create()(_nested((8, 8, 4))(image)))


def _sequential(create):
    return keras.Sequential(
        [keras.Input((8, 8, 4)), _nested((8, 8, 4)), create()]
    )


def _alone(create):
    image = keras.Input((8, 8, 4))
    return keras.Model(image, create()(image))


def _nested(shape):
    image = keras.Input(shape)
    return keras.Model(image, _couplings(image))


PLACES = [
    _first,
    _between,
    _last,
    _with_head,
    _in_front_of_a_nested_model,
    _behind_a_nested_model,
    _sequential,
    _alone,
]
each_place = pytest.mark.parametrize(
    "place", PLACES, ids=lambda place: place.__name__
)


@each_layer
@each_place
def test_models_are_inverted_through_them(create, place):
    model = place(create)
    x = foreign.image()
    z = irevnet_tf.encoder(model)(x)
    if place is not _with_head:
        np.testing.assert_allclose(z, model(x), rtol=1e-5, atol=1e-6)
    restored = irevnet_tf.invert(model)(z)
    assert cases.relative_error(restored, x) < 1e-5
    encoder = irevnet_tf.encoder(model)
    restored = irevnet_tf.invert(encoder)(encoder(x))
    assert cases.relative_error(restored, x) < 1e-5


@each_layer
def test_points_and_features_go_through_them(create, tmp_path):
    image = keras.Input((8, 8, 4))
    x = create(name="own")(_couplings(image, "first"))
    model = keras.Model(image, _couplings(x, "second"))
    x = foreign.image()
    points = ["first_block1", "own", "second_block1", "second"]
    found = irevnet_tf.features(model, points)(x)
    for point in points:
        z = irevnet_tf.encoder(model, point)(x)
        np.testing.assert_allclose(found[point], z, rtol=1e-5, atol=1e-6)
        restored = irevnet_tf.invert(model, point)(z)
        assert cases.relative_error(restored, x) < 1e-5
    path = tmp_path / "features.keras"
    irevnet_tf.features(model, points).save(path)
    loaded = keras.saving.load_model(path)(x)
    for point in points:
        np.testing.assert_array_equal(loaded[point], found[point])


@each_layer
@pytest.mark.parametrize("place", [_between, _behind_a_nested_model])
def test_exports_hold_them(create, place, tmp_path):
    model = place(create)
    path = irevnet_tf.export_saved_model(
        model, tmp_path / "model", preprocessing="unit"
    )
    signatures = tf.saved_model.load(str(path)).signatures
    images = tf.round(127.5 + 20 * foreign.image())
    found = signatures["forward"](images=images)["features"]
    np.testing.assert_allclose(found, model(images / 255), atol=1e-5)
    back = signatures["inverse"](features=found)["images"]
    assert cases.relative_error(back, images) < 1e-5


@each_layer
def test_files_and_trained_weights(create, tmp_path):
    model = _between(create)
    model.compile("sgd", "mse")
    x = foreign.image()
    model.fit(x, model(x) + 1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    decoder = irevnet_tf.invert(loaded)
    decoder.save(tmp_path / "decoder.keras")
    decoder = keras.saving.load_model(tmp_path / "decoder.keras")
    assert cases.relative_error(decoder(model(x)), x) < 1e-5


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(4, 1, name="obstacle"),
        keras.layers.Lambda(lambda x: -x, name="obstacle"),
        keras.layers.ReLU(name="obstacle"),
    ],
)
@pytest.mark.parametrize("function", ["encoder", "invert"])
def test_what_has_no_inverse_is_refused_by_its_name(layer, function):
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, _couplings(layer(_couplings(image))))
    with pytest.raises(ValueError, match="`inverse`.*Received: obstacle"):
        getattr(irevnet_tf, function)(model)


def test_an_obstacle_in_a_nested_model_is_refused():
    image = keras.Input((8, 8, 4))
    inner = keras.Model(image, keras.layers.ReLU(name="obstacle")(image))
    outer = keras.Input((8, 8, 4))
    model = keras.Model(outer, _couplings(inner(_couplings(outer))))
    with pytest.raises(ValueError, match="Received: obstacle"):
        irevnet_tf.invert(model)


def test_streams_that_are_merged_by_another_layer_are_refused():
    image = keras.Input((8, 8, 4))
    streams = layers.ChannelSplit(name="split")(image)
    merged = keras.layers.Concatenate(name="together")(list(streams))
    with pytest.raises(ValueError, match="end in a ChannelMerge.*together"):
        irevnet_tf.invert(keras.Model(image, merged))


def test_what_stands_in_front_and_behind_may_be_anything():
    """Preprocessing and heads: the encoder begins with the former."""
    image = keras.Input((8, 8, 4))
    x = _couplings(keras.layers.Rescaling(0.5)(image))
    model = keras.Model(image, keras.layers.ReLU()(x))
    x = foreign.image()
    restored = irevnet_tf.invert(model)(irevnet_tf.encoder(model)(x))
    assert cases.relative_error(restored, 0.5 * x) < 1e-5


class Forgetful(layers.InvertibleLayer):
    def call(self, inputs):
        return inputs


def test_a_layer_without_inverse_fails_when_it_is_built():
    with pytest.raises(NotImplementedError, match="define `inverse`.*Recei"):
        Forgetful().build((None, 4))
    with pytest.raises(NotImplementedError, match="define `inverse`.*Recei"):
        Forgetful()(foreign.image())


@pytest.mark.parametrize("method", ["couple", "residual_input", "uncouple"])
def test_a_coupling_without_its_methods_fails_when_it_is_built(method):
    members = dict(vars(foreign.AffineCoupling))
    del members[method]
    members.pop("__classcell__", None)
    incomplete = type("Incomplete", (layers.Coupling,), members)
    with pytest.raises(NotImplementedError, match=f"`{method}`.*Received"):
        incomplete(keras.layers.Dense(8)).build(((None, 4), (None, 4)))


def test_the_inverse_of_what_was_never_called():
    pair = foreign.image(), foreign.image(seed=1)
    numpy_pair = tuple(x.numpy().astype("float64") for x in pair)
    for create in (
        lambda: layers.AdditiveCoupling(keras.layers.Conv2D(4, 1)),
        lambda: layers.ReversibleSequence(
            [layers.AdditiveCoupling(keras.layers.Conv2D(4, 1))]
        ),
        lambda: layers.ReversibleSequence(
            [layers.AdditiveCoupling(keras.layers.Conv2D(16, 2, 2), stride=2)]
        ),
    ):
        layer = create()
        if layer.downsampling == 2:
            big = foreign.image((2, 4, 4, 16)), foreign.image((2, 4, 4, 16), 1)
            assert cases.relative_error(layer(layer.inverse(big)), big) < 1e-6
            continue
        assert cases.relative_error(layer(layer.inverse(pair)), pair) < 1e-6
        again = create().inverse(numpy_pair)
        assert [x.dtype for x in again] == [tf.float32, tf.float32]
    with pytest.raises(ValueError, match="must be built.*Received: layer="):
        foreign.ActNorm().inverse(foreign.image())


@each_layer
def test_shared_layers_have_the_weights_and_no_graph(create):
    image = keras.Input((8, 8, 4))
    layer = create()
    keras.Model(image, layer(image))
    twin = layers.Shared(layer)
    x = foreign.image()
    np.testing.assert_array_equal(twin(x), layer(x))
    assert {id(v) for v in twin.weights} == {id(v) for v in layer.weights}
    with pytest.raises(AttributeError):
        _ = twin.input
    assert cases.relative_error(twin.inverse(twin(x)), x) < 1e-5
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(twin)
    )
    assert type(again.layer) is create


def test_downsampling_is_known_of_every_layer():
    factors = {
        foreign.Squeeze(): 2,
        layers.Inverse(foreign.Squeeze()): 0.5,
        foreign.ActNorm(): 1,
        layers.InvertibleDownsampling(4): 4,
        layers.Shared(layers.InvertibleDownsampling(2)): 2,
        layers.Shared(foreign.Convolution1x1()): 1,
        layers.ReversibleSequence(
            [
                layers.AdditiveCoupling(keras.layers.Dense(4), stride=s)
                for s in (2, 1, 2)
            ]
        ): 4,
    }
    for layer, factor in factors.items():
        assert layer.downsampling == factor


@pytest.mark.parametrize("channels", [(3, 1), (1, 3), (2, 2)])
def test_streams_of_unequal_width_are_split_where_they_met(channels):
    merge = layers.ChannelMerge()
    pair = tuple(foreign.image((2, 8, 8, c), c) for c in channels)
    merged = merge(pair)
    for found, expected in zip(merge.inverse(merged), pair, strict=True):
        np.testing.assert_array_equal(found, expected)
    streams = tuple(keras.Input((8, 8, c)) for c in channels)
    model = keras.Model(streams, layers.Inverse(merge)(merge(streams)))
    twin = keras.models.clone_model(model)
    for found, expected in zip(twin(pair), pair, strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="streams of.*Received: channels=6"):
        merge.inverse(foreign.image((2, 8, 8, 6)))


def test_a_dtype_other_than_that_of_the_parts_is_refused():
    coupling = layers.AdditiveCoupling(keras.layers.Dense(4))
    with pytest.raises(ValueError, match="`dtype`.*Received: dtype=float64"):
        layers.ReversibleSequence([coupling], dtype="float64")
    with pytest.raises(ValueError, match="`dtype`.*Received: dtype=bfloat16"):
        layers.Inverse(coupling, dtype="bfloat16")
    wide = layers.AdditiveCoupling(keras.layers.Dense(4), dtype="float64")
    sequence = layers.ReversibleSequence([wide])
    assert sequence.compute_dtype == "float64"
    with pytest.raises(ValueError, match="`dtype`.*Received: dtype=float64"):
        layers.ReversibleSequence([wide, coupling])
