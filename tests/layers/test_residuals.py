"""Residuals of every kind: in memory-saving training as in plain training."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf import testing
from irevnet_tf.layers.block_functions import BlockFunctions

VECTORS, IMAGES, SEQUENCES = (6,), (4, 4, 4), (5, 4)
CHECKS = ("inverse", "gradients", "state", "lossless")


class Attention(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization()
        self.attention = keras.layers.MultiHeadAttention(2, 2, dropout=0.2)

    def call(self, inputs, training=None):
        x = self.norm(inputs)
        return self.attention(x, x, training=training)


class AttentionAlone(keras.layers.Layer):
    """Without a normalization in front, of all that it attends to."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = keras.layers.MultiHeadAttention(2, 2)

    def call(self, inputs):
        return self.attention(inputs, inputs)


class StochasticDepth(keras.layers.Layer):
    """Leaves all out, for some examples of a batch."""

    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.dense = keras.layers.Dense(6)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training=None):
        x = self.dense(inputs)
        if not training:
            return x
        kept = keras.random.uniform(
            (tf.shape(x)[0], 1), seed=self.seed_generator
        )
        return tf.where(kept > self.rate, x / (1 - self.rate), 0.0)


class Noisy(keras.layers.Dense):
    """Adds noise that it draws by a generator of its own."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.generator = keras.random.SeedGenerator()

    def call(self, inputs, training=None):
        x = super().call(inputs)
        if training:
            x += keras.random.normal(tf.shape(x), seed=self.generator)
        return x


class Counting(keras.layers.Layer):
    """Counts its calls, and trains with the count."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(6)
        self.count = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False
        )

    def call(self, inputs, training=None):
        self.count.assign_add(1)
        x = self.dense(inputs)
        return x + 0.01 * tf.cast(self.count, x.dtype) if training else x


class Averaging(keras.layers.Layer):
    """Takes off a moving average, as it has just become."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(6)
        self.average = self.add_weight(
            shape=(6,), initializer="zeros", trainable=False
        )

    def call(self, inputs, training=None):
        x = self.dense(inputs)
        if training:
            mean = tf.reduce_mean(x, axis=0)
            self.average.assign(0.9 * self.average + 0.1 * mean)
        return x - self.average


class Listed(keras.layers.Layer):
    """Has sublayers in a list, and no argument `training`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [keras.layers.Dense(6, activation="tanh") for _ in "ab"]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(6)
        self.norm = keras.layers.BatchNormalization()

    def call(self, inputs, training=None):
        return self.norm(self.dense(inputs), training=training)


class Powered(keras.layers.Dense):
    """Depends on an attribute that is no weight."""

    power = 1.0

    def call(self, inputs):
        return tf.tanh(self.power * super().call(inputs))


def _functional():
    inputs = keras.Input(VECTORS)
    x = keras.layers.Dense(8, activation="relu")(inputs)
    x = keras.layers.Concatenate()([x, keras.layers.Dense(4)(inputs)])
    return keras.Model(inputs, keras.layers.Dense(6)(x))


def _gelu():
    return keras.Sequential(
        [keras.layers.Dense(8, activation="gelu"), keras.layers.Dense(6)]
    )


def _sequential():
    return keras.Sequential(
        [
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Conv2D(2, 3, padding="same"),
            keras.layers.Dropout(0.2),
            keras.layers.Conv2D(4, 1),
        ]
    )


def _low_rank():
    dense = keras.layers.Dense(6)
    dense.build((None, 6))
    dense.enable_lora(2)
    return dense


def _quantized():
    dense = keras.layers.Dense(6)
    dense.build((None, 6))
    dense.quantize("int8")
    return dense


# name: (constructor, shape of an example)
RESIDUALS = {
    "conv": (lambda: keras.layers.Conv2D(4, 3, padding="same"), IMAGES),
    "depthwise": (
        lambda: keras.layers.DepthwiseConv2D(3, padding="same"),
        IMAGES,
    ),
    "separable": (
        lambda: keras.layers.SeparableConv2D(4, 3, padding="same"),
        IMAGES,
    ),
    "dense": (lambda: keras.layers.Dense(6, activation="tanh"), VECTORS),
    "attention": (Attention, SEQUENCES),
    "attention_alone": (AttentionAlone, SEQUENCES),
    "group_norm": (lambda: keras.layers.GroupNormalization(2), IMAGES),
    "rms_norm": (keras.layers.RMSNormalization, VECTORS),
    "batch_norm": (keras.layers.BatchNormalization, IMAGES),
    "batch_norm_frozen": (
        lambda: keras.layers.BatchNormalization(trainable=False),
        IMAGES,
    ),
    "dropout": (lambda: keras.layers.Dropout(0.3), VECTORS),
    "stochastic_depth": (StochasticDepth, VECTORS),
    "spectral_norm": (
        lambda: keras.layers.SpectralNormalization(
            keras.layers.Conv2D(4, 3, padding="same")
        ),
        IMAGES,
    ),
    "lstm": (lambda: keras.layers.LSTM(4, return_sequences=True), SEQUENCES),
    "gru": (lambda: keras.layers.GRU(4, return_sequences=True), SEQUENCES),
    "functional": (_functional, VECTORS),
    "sequential": (_sequential, IMAGES),
    "subclassed": (Subclassed, VECTORS),
    "lambda": (
        lambda: keras.layers.Lambda(lambda x: x * x - 1),
        VECTORS,
    ),
    "noise": (lambda: Noisy(6), VECTORS),
    "counter": (Counting, VECTORS),
    "average": (Averaging, VECTORS),
    "gelu": (_gelu, VECTORS),
    "low_rank": (_low_rank, VECTORS),
    "quantized": (_quantized, VECTORS),
    "list": (Listed, VECTORS),
    "attribute": (lambda: Powered(6), VECTORS),
}


# In lossless mode their gradients are rounded apart: Grappler reorders what a
# plain graph has of them (docs/own_layers.md).
ROUNDED_APART = ("attention_alone", "rms_norm", "gelu")


def _random(shape):
    values = np.random.default_rng(0).normal(size=(4, *shape))
    return values.astype("float32")


def _check(residual, shape, checks):
    """Return the report of a residual, which may be a model."""
    x = _random(shape)
    if not isinstance(residual, keras.Model):
        return testing.check_invertible(residual, x, checks=checks)
    return testing.check_invertible(
        layers.AdditiveCoupling(residual), (x[::-1], x), checks=checks
    )


@pytest.mark.parametrize("name", RESIDUALS)
def test_memory_saving_is_plain_training(name):
    create, shape = RESIDUALS[name]
    checks = list(CHECKS)
    if name in ROUNDED_APART:
        checks.remove("lossless")
    report = _check(create(), shape, checks)
    assert report, str(report)
    assert report["gradients"].value < 1e-5


@pytest.mark.parametrize("name", ROUNDED_APART)
def test_lossless_blocks_rebuild_their_inputs_all_the_same(name):
    create, shape = RESIDUALS[name]
    block = layers.AdditiveCoupling(create(), fraction_bits=14)
    pair = tuple(
        tf.constant(
            cases.on_grid(np.tile(_random(shape), [64] + [1] * len(shape)))
        )
        for _ in "ab"
    )
    pair = tuple(tf.cast(x, "float32") for x in pair)
    block(pair)
    functions = BlockFunctions(block)
    weights = [v.value for v in block.trainable_variables]
    state = [v.value for v in block.non_trainable_variables]

    @tf.function(autograph=False)
    def there_and_back():
        y, _ = functions.forward(pair, weights, state, True)
        return functions.backward(y, y, weights, state, True)[0]

    for found, expected in zip(there_and_back(), pair, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("no_arithmetic_optimization")
@pytest.mark.parametrize("name", ROUNDED_APART)
def test_lossless_gradients_without_the_arithmetic_optimizer(name):
    create, shape = RESIDUALS[name]
    report = _check(create(), shape, ["lossless"])
    assert report, str(report)


@pytest.mark.parametrize("name", ["conv", "sequential", "spectral_norm"])
def test_lossless_inverses_agree_between_eager_calls_and_graphs(name):
    create, shape = RESIDUALS[name]
    report = _check(create(), shape, ["lossless modes"])
    assert report, str(report)


@pytest.mark.parametrize("name", ["attention", "list", "spectral_norm"])
def test_checkpoints_hold_every_weight(name):
    create, shape = RESIDUALS[name]
    report = _check(create(), shape, ["checkpoint"])
    assert report, str(report)


@pytest.mark.parametrize("name", ["attribute", "functional"])
def test_changes_between_compilations_are_seen(name):
    create, shape = RESIDUALS[name]
    report = _check(create(), shape, ["python"])
    assert report, str(report)


def test_an_attribute_changes_between_compilations():
    """As a schedule of a run would change it."""
    results = []
    for memory_saving in (True, False):
        keras.utils.set_random_seed(0)
        residuals = [Powered(6) for _ in range(2)]
        sequence = layers.ReversibleSequence(
            [layers.AdditiveCoupling(residual) for residual in residuals],
            memory_saving=memory_saving,
        )
        inputs = keras.Input(VECTORS), keras.Input(VECTORS)
        model = keras.Model(inputs, sequence(inputs))
        x = _random(VECTORS), _random(VECTORS)
        losses = []
        for power in (1.0, 3.0):
            residuals[1].power = power
            model.compile(keras.optimizers.SGD(0.1), "mse")
            logs = model.train_on_batch(x, x, return_dict=True)
            losses.append(float(logs["loss"]))
        results.append([losses, *map(np.array, model.get_weights())])
    (saving, *weights), (plain, *plain_weights) = results
    assert abs(plain[1] - plain[0]) > 0.01
    np.testing.assert_allclose(saving, plain, rtol=1e-5)
    for a, b in zip(weights, plain_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


class AddsLoss(keras.layers.Dense):
    def call(self, inputs):
        self.add_loss(tf.reduce_sum(inputs))
        return super().call(inputs)


class HasRawVariable(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = tf.Variable(tf.ones(6))

    def call(self, inputs):
        return inputs * self.scale


class DrawsByTensorFlow(keras.layers.Layer):
    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs))


class DrawsWithoutGenerator(keras.layers.Layer):
    def call(self, inputs):
        return inputs + keras.random.normal(tf.shape(inputs))


class UsesAnothersVariable(keras.layers.Layer):
    def __init__(self, variable, **kwargs):
        super().__init__(**kwargs)
        # Out of Keras' sight, as a variable of an enclosing scope is.
        self._get = lambda: variable

    def call(self, inputs):
        return inputs * self._get()


class Casts(keras.layers.Layer):
    def __init__(self, output_dtype, **kwargs):
        super().__init__(**kwargs)
        self.output_dtype = output_dtype

    def call(self, inputs):
        return tf.cast(inputs, self.output_dtype)


OWN = "must use no variables but its own"
FLOATS = "must return floats of a dtype that it computes in, not wider"

# name: (constructor, the error's message)
REFUSED = {
    "loss": (lambda: AddsLoss(6), "A block must not add losses"),
    "regularizer": (
        lambda: keras.layers.Dense(6, activity_regularizer="l2"),
        "A block must not add losses",
    ),
    "float64": (lambda: Casts("float64"), f"{FLOATS}.*is float64"),
    "float16": (lambda: Casts("float16"), f"{FLOATS}.*is float16"),
    "int32": (lambda: Casts("int32"), f"{FLOATS}.*is int32"),
    "shape": (
        lambda: keras.layers.Dense(5),
        r"its `residual_shape`, \(3, 6\).*is \(3, 5\)",
    ),
    "raw_variable": (HasRawVariable, "Keras weights .*operation .*Variable"),
    "tf_random": (
        DrawsByTensorFlow,
        "SeedGenerator.*operation Random",
    ),
    "no_generator": (
        DrawsWithoutGenerator,
        f"{OWN}.*which uses .*seed_generator_state",
    ),
    "foreign_variable": (
        lambda: UsesAnothersVariable(keras.Variable(2.0, name="foreign")),
        f"{OWN}.*which uses foreign",
    ),
}


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize(
    ("create", "message"), REFUSED.values(), ids=REFUSED.keys()
)
def test_refused(create, message, traced):
    sequence = layers.ReversibleSequence([layers.AdditiveCoupling(create())])
    x = tf.ones((3, 6)), tf.ones((3, 6))

    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y1, y2 = sequence(x, training=True)
            loss = tf.reduce_sum(y1 + y2)
        return tape.gradient(loss, x)

    with pytest.raises(ValueError, match=message):
        (tf.function(step, autograph=False) if traced else step)()


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32"])
def test_casts_in_a_lambda_are_refused(dtype):
    residual = keras.layers.Lambda(lambda x: tf.cast(x, dtype))
    coupling = layers.AdditiveCoupling(residual)
    with pytest.raises(ValueError, match=f"{FLOATS}.*is {dtype}"):
        coupling((tf.ones((3, 6)), tf.ones((3, 6))))


def test_a_layer_shared_between_blocks_is_refused():
    dense = keras.layers.Dense(6)
    residuals = [keras.Sequential([dense]), keras.Sequential([dense])]
    with pytest.raises(
        ValueError,
        match="must not share layers between their residuals. Received:.*dense",
    ):
        layers.ReversibleSequence(map(layers.AdditiveCoupling, residuals))
