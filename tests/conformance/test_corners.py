"""Corners in which a result could be wrong without a word."""

import cases
import foreign
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers

PAIR = tuple(foreign.image((6, 4), seed) for seed in (1, 2))


def _gradients(layer, pair=PAIR, graph=True, training=True):
    def step():
        with tf.GradientTape() as tape:
            y1, y2 = layer(pair, training=training)
            loss = tf.reduce_mean(tf.sin(y1)) + tf.reduce_mean(y2**2)
        weights = [v.value for v in layer.trainable_variables]
        return tape.gradient(loss, weights)

    return (tf.function(step, autograph=False) if graph else step)()


def _in_both_ways(layer, run):
    layer(PAIR)
    start = [v.numpy() for v in layer.variables]
    found = []
    for layer.memory_saving in (True, False):
        for variable, value in zip(layer.variables, start, strict=True):
            variable.assign(value)
        found.append(run())
    return found


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_streams_of_a_mixed_policy(policy, graph):
    def residual():
        return keras.Sequential(
            [
                keras.layers.Dense(4, dtype="float32"),
                keras.layers.Dense(4, dtype=policy),
            ]
        )

    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(residual(), dtype=policy) for _ in "ab"],
        on_drift="ignore",
    )
    ours, plain = _in_both_ways(layer, lambda: _gradients(layer, graph=graph))
    assert all(np.linalg.norm(g) > 0 for g in ours)
    assert cases.relative_error(ours, plain) < 5e-2


@pytest.mark.parametrize("on_drift", ["raise", "warn"])
def test_drift_where_the_tape_is_outside_of_the_function(on_drift):
    keras.utils.set_random_seed(0)
    layer = layers.ReversibleSequence(
        [
            layers.AdditiveCoupling(keras.layers.Conv2D(4, 3, padding="same"))
            for _ in range(60)
        ],
        on_drift=on_drift,
    )
    pair = tuple(foreign.image((2, 8, 8, 4), seed) for seed in (1, 2))
    layer(pair)
    forward = tf.function(layer, autograph=False)

    def step():
        with tf.GradientTape() as tape:
            y1, y2 = forward(pair, training=True)
            loss = tf.reduce_mean(y1) + tf.reduce_mean(y2)
        weights = [v.value for v in layer.trainable_variables]
        return tape.gradient(loss, weights)

    if on_drift == "raise":
        with pytest.raises(tf.errors.InvalidArgumentError, match="rebuilds"):
            step()
    else:
        with pytest.warns(layers.RebuiltInputsWarning) as caught:
            step()
            step()
        assert len(caught) == 1


class WithLoss(foreign.AffineCoupling):
    def couple(self, inputs, fx2):
        self.add_loss(tf.reduce_mean(fx2))
        return super().couple(inputs, fx2)


class OwnCall(layers.AdditiveCoupling):
    def call(self, inputs, training=None):
        return super().call(inputs[::-1], training=training)


def test_couplings_that_a_sequence_would_not_follow():
    layer = layers.ReversibleSequence([WithLoss(keras.layers.Dense(8))])
    layer(PAIR)
    for graph in (True, False):
        with pytest.raises(ValueError, match="must not add losses.*Received"):
            _gradients(layer, graph=graph)
    with pytest.raises(ValueError, match="use its `call`. Received: layer="):
        OwnCall(keras.layers.Dense(4))(PAIR)
    with pytest.raises(ValueError, match="no `activity_regularizer`.*Receiv"):
        layers.AdditiveCoupling(
            keras.layers.Dense(4), activity_regularizer="l2"
        )


def test_plain_lossless_training_keeps_what_is_assigned_elsewhere():
    counter = keras.Variable(0.0, trainable=False)

    class Counts(keras.layers.Dense):
        def call(self, inputs):
            counter.assign_add(1.0)
            return super().call(inputs)

    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(Counts(4), fraction_bits=10)],
        memory_saving=False,
    )
    layer.build([(6, 4), (6, 4)])
    counter.assign(0.0)
    step = tf.function(lambda: _gradients(layer, graph=False), autograph=False)
    for _ in range(3):
        step()
    assert float(counter.value) == 3.0


class RandomInTraining(keras.layers.Dense):
    def call(self, inputs, training=None):
        x = super().call(inputs)
        return x + tf.random.uniform(tf.shape(x)) if training else x


class Pools(keras.layers.Layer):
    """Draws random numbers in an operation that does not say so."""

    def call(self, inputs):
        pooled, *_ = tf.nn.fractional_max_pool(inputs, [1.0, 1.5, 1.5, 1.0])
        return tf.image.resize(pooled, inputs.shape[1:3])


def test_random_numbers_are_found_in_every_mode_and_operation():
    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(RandomInTraining(4), fraction_bits=10)]
    )
    layer(PAIR)
    _gradients(layer, training=False)
    with pytest.raises(ValueError, match="SeedGenerator.*RandomUniform"):
        _gradients(layer)
    layer = layers.ReversibleSequence([layers.AdditiveCoupling(Pools())])
    pair = tuple(foreign.image((2, 6, 6, 3), seed) for seed in (1, 2))
    layer(pair)
    with tf.GradientTape() as tape:
        tape.watch(pair)
        with pytest.raises(ValueError, match="SeedGenerator.*FractionalMax"):
            layer(pair, training=True)


@keras.saving.register_keras_serializable(package="tests")
class Negated(layers.ReversibleSequence):
    def call(self, inputs, training=None):
        y1, y2 = super().call(inputs, training=training)
        return y1, -y2

    def inverse(self, outputs, training=None):
        y1, y2 = outputs
        return super().inverse((y1, -y2), training=training)


class Scaled(layers.InjectivePadding):
    """Has an argument that its configuration does not tell."""

    def __init__(self, channels, factor=1.0, **kwargs):
        super().__init__(channels, **kwargs)
        self.factor = factor

    def call(self, inputs):
        return super().call(inputs) * self.factor

    def inverse(self, outputs):
        return super().inverse(outputs) / self.factor


def _network(sequence, first=None):
    image = keras.Input((6, 6, 4))
    x = first(image) if first else image
    streams = layers.ChannelSplit()(x)
    merged = layers.ChannelMerge(name="end")(sequence(streams))
    return keras.Model(image, merged)


def _blocks(channels, **kwargs):
    residual = keras.layers.Conv2D(channels, 3, padding="same")
    return [layers.AdditiveCoupling(residual, **kwargs)]


def test_subclasses_are_themselves_in_features_and_exports(tmp_path):
    x = foreign.image((2, 6, 6, 4))
    for model in (
        _network(Negated(_blocks(2), name="own")),
        _network(
            layers.ReversibleSequence(_blocks(3), name="own"),
            Scaled(2, factor=3.0),
        ),
    ):
        expected = model(x)
        found = irevnet_tf.features(model, ["own"])(x)["own"]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert cases.relative_error(irevnet_tf.invert(model)(found), x) < 1e-5
        path = irevnet_tf.export_saved_model(
            model, tmp_path / model.name, preprocessing="unit"
        )
        forward = tf.saved_model.load(str(path)).signatures["forward"]
        found = forward(images=255 * x)["features"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="one of .*Received: 'own_block1'"):
        irevnet_tf.features(
            _network(Negated(_blocks(2), name="own")), ["own_block1"]
        )


def test_a_side_branch_is_not_the_chain():
    image = keras.Input((8, 8, 4))
    model = irevnet_tf.IRevNet(
        (2, 2),
        (1, 2),
        (4, 16),
        initial_downsampling=1,
        include_top=False,
        input_tensor=image,
    )
    middle = model.get_layer("stage1_merge").output
    side = layers.InvertibleDownsampling(2)(middle)
    for _ in range(12):
        side = keras.layers.Conv2D(4, 1)(side)
    extended = keras.Model(image, [model.output, side])
    x = foreign.image((2, 8, 8, 4))
    np.testing.assert_array_equal(irevnet_tf.encoder(extended)(x), model(x))


def test_two_chains_are_refused():
    first, second = keras.Input((6, 4)), keras.Input((6, 4))
    ends = [
        layers.ChannelMerge()(layers.ChannelSplit()(x)) for x in (first, second)
    ]
    model = keras.Model([first, second], keras.layers.Add()(ends))
    with pytest.raises(ValueError, match="one chain.*Received: model with"):
        irevnet_tf.encoder(model)


@pytest.mark.parametrize("first_is_lossless", [True, False])
def test_a_network_beside_a_longer_one_is_refused(first_is_lossless):
    image = keras.Input((8, 8, 4))
    ends = [
        irevnet_tf.IRevNet(
            (2,),
            (1,),
            (4,),
            lossless=lossless,  # One layer more.
            include_top=False,
            input_shape=(8, 8, 4),
            initial_downsampling=1,
            name=f"lossless_{lossless}",
        )(image)
        for lossless in (first_is_lossless, not first_is_lossless)
    ]
    model = keras.Model(image, ends)
    for function in (irevnet_tf.encoder, irevnet_tf.features):
        with pytest.raises(ValueError, match="one chain.*Received: model with"):
            function(model)


def test_two_ends_of_one_chain_are_refused():
    image = keras.Input((6, 4))
    start = layers.ChannelMerge()(layers.ChannelSplit()(image))
    ends = [layers.ChannelMerge()(layers.ChannelSplit()(start)) for _ in "ab"]
    with pytest.raises(ValueError, match="one chain.*Received: model with"):
        irevnet_tf.invert(keras.Model(image, ends))


def test_a_lossless_network_holds_no_float_layer():
    def network(between):
        image = keras.Input((6, 6, 4))
        x = between(layers.FixedPointRounding(14)(image))
        streams = layers.ChannelSplit()(x)
        streams = layers.ReversibleSequence(_blocks(2, fraction_bits=14))(
            streams
        )
        return keras.Model(image, layers.ChannelMerge()(streams))

    with pytest.raises(ValueError, match="`keeps_grid`. Received: .*ActNorm"):
        irevnet_tf.invert(network(foreign.ActNorm()))

    class Flip(layers.InvertibleLayer):
        keeps_grid = True

        def call(self, inputs):
            return tf.reverse(inputs, [1])

        def inverse(self, outputs):
            return tf.reverse(outputs, [1])

    model = network(Flip())
    x = cases.on_grid(foreign.image((2, 6, 6, 4)))
    restored = irevnet_tf.invert(model)(irevnet_tf.encoder(model)(x))
    np.testing.assert_array_equal(restored, x)


class Unused(keras.layers.Dense):
    def build(self, input_shape):
        super().build(input_shape)
        self.unused = self.add_weight(shape=(3,), initializer="ones")


@pytest.mark.parametrize("graph", [True, False])
def test_a_weight_that_is_not_used_has_no_gradient(graph):
    layer = layers.ReversibleSequence(
        [layers.AdditiveCoupling(Unused(4)) for _ in "ab"]
    )

    def missing():
        gradients = _gradients(layer, graph=graph)
        names = [v.path.split("/")[-1] for v in layer.trainable_variables]
        return [
            name for name, g in zip(names, gradients, strict=True) if g is None
        ]

    ours, plain = _in_both_ways(layer, missing)
    assert ours == plain and len(ours) == 2
