"""The kit holds on sound layers, and finds what is wrong with others."""

import random
import re
import warnings

import cases
import foreign
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf import testing


def _random(*shape):
    values = np.random.default_rng(0).normal(size=(3, *shape))
    return values.astype("float32")


VECTORS, IMAGES = _random(6), _random(4, 4, 4)
PAIR = VECTORS, VECTORS[::-1]

# What is quick for layers of many operations, whose rows other tests have, too.
QUICK = (
    "inverse",
    "inverse in training",
    "shapes",
    "unbuilt",
    "python",
    "company",
    "chain",
    "files",
    "frozen",
    "checkpoint",
    "half precision",
    "traces",
)


@pytest.mark.parametrize("name", cases.LAYERS)
def test_layers_of_the_package(name):
    create, shape = cases.LAYERS[name]
    layer = create()
    is_large = any(
        isinstance(x, layers.BottleneckResidual)
        for x in layer._flatten_layers()
    )
    checks = QUICK if is_large else None
    report = testing.check_invertible(
        layer, cases.random_input(shape), checks=checks
    )
    assert report, str(report)


class Doubling(keras.layers.Layer):
    """Knows nothing of this package."""

    def call(self, inputs):
        return 2 * inputs

    def inverse(self, outputs):
        return outputs / 2


@pytest.mark.parametrize(
    ("create", "inputs"),
    [
        (lambda: foreign.RescaledAffineCoupling(keras.layers.Dense(12)), PAIR),
        (foreign.ActNorm, IMAGES),
        (foreign.Convolution1x1, IMAGES),
        (foreign.Squeeze, IMAGES),
        (Doubling, VECTORS),
        (lambda: keras.layers.Dense(6, activation="relu"), VECTORS),
    ],
    ids=[
        "coupling",
        "act_norm",
        "convolution",
        "squeeze",
        "doubling",
        "residual",
    ],
)
def test_layers_from_elsewhere(create, inputs, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = testing.check_invertible(create(), inputs)
    assert report, str(report)
    assert capfd.readouterr() == ("", "")


class WrongInverse(foreign.ActNorm):
    def inverse(self, outputs):
        return (outputs + self.shift) / self.scale


class ForgetsInTraining(foreign.ActNorm):
    def call(self, inputs, training=None):
        return super().call(inputs * (3 if training else 1))


class WrongShape(foreign.ActNorm):
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * input_shape[-1])


class HiddenConstant(foreign.ActNorm):
    """Has a value that is neither a weight nor in its configuration."""

    def build(self, input_shape):
        super().build(input_shape)
        self._constant = random.random()

    def compute_inverse_shape(self, output_shape):
        return output_shape

    def call(self, inputs):
        return super().call(inputs) + self._constant

    def inverse(self, outputs):
        return super().inverse(outputs - self._constant)


class OtherwiseInGraphs(foreign.ActNorm):
    def _factor(self):
        return 1 if tf.executing_eagerly() else 2

    def call(self, inputs):
        return super().call(inputs) * self._factor()

    def inverse(self, outputs):
        return super().inverse(outputs / self._factor())


class OtherwiseInChains(foreign.AffineCoupling):
    """Its `call` is not what a sequence makes of its `couple`."""

    def call(self, inputs, training=None):
        y1, y2 = super().call(inputs, training)
        return y1, 2 * y2

    def inverse(self, outputs, training=None):
        return super().inverse((outputs[0], outputs[1] / 2), training)


class WrongPullBack(foreign.SubtractiveCoupling):
    def pull_back(self, inputs, fx2, output_gradients, weights):
        dx, dfx2, own = super().pull_back(
            inputs, fx2, output_gradients, weights
        )
        return dx, -dfx2, own


class NoGradient(foreign.ActNorm):
    def call(self, inputs):
        return inputs * tf.stop_gradient(self.scale) + self.shift


class CountsInverses(foreign.ActNorm):
    def build(self, input_shape):
        super().build(input_shape)
        self.count = self.add_weight(initializer="zeros", trainable=False)

    def inverse(self, outputs):
        self.count.assign_add(1.0)
        return super().inverse(outputs)


class CountsInPython(foreign.ActNorm):
    """Scales its gradient by a number that graphs do not see change."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        y, calls = super().call(inputs), self.calls
        return y + (calls % 3) * (y - tf.stop_gradient(y))


class Inexact(layers.AdditiveCoupling):
    """Leaves the grid."""

    def couple(self, inputs, fx2):
        return inputs[1], inputs[0] / 3 + fx2

    def uncouple(self, outputs, x2, fx2):
        return (outputs[1] - fx2) * 3, x2


class Caches(foreign.ActNorm):
    """Keeps the trace of its first call."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self._cached = tf.function(self._compute)

    def _compute(self, inputs):
        return super().call(inputs) * self.factor

    def call(self, inputs):
        return self._cached(inputs)

    def inverse(self, outputs):
        return super().inverse(outputs / self.factor)


class SharesNothing(foreign.ActNorm):
    def share(self):
        copy = foreign.ActNorm()
        copy.build((None, 4))
        return copy


class SharesItself(foreign.ActNorm):
    def share(self):
        return self


class WithoutConfig(foreign.ActNorm):
    def __init__(self, function):
        super().__init__()
        self.function = function


class ForgetsTrainable(foreign.ActNorm):
    def get_config(self):
        return {"name": self.name}


class ListedWeights(keras.layers.Layer):
    """A list of layers, which TensorFlow's checkpoints do not follow."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [foreign.ActNorm(), foreign.ActNorm()]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs

    def inverse(self, outputs):
        for part in self.parts[::-1]:
            outputs = part.inverse(outputs)
        return outputs


class CallsFunctions(foreign.ActNorm):
    def call(self, inputs):
        return tf.function(lambda x: super(CallsFunctions, self).call(x))(
            inputs
        )


class Narrow(foreign.ActNorm):
    def call(self, inputs):
        return tf.cast(
            super().call(inputs), keras.config.dtype_policy().compute_dtype
        )


class Leaks(foreign.ActNorm):
    everything = []

    def build(self, input_shape):
        super().build(input_shape)
        self.everything.append(self)


def _around(coupling, units):
    return lambda: coupling(keras.layers.Dense(units))


# check: constructors of layers that it fails on, what they take, its detail
BROKEN = [
    ("inverse", WrongInverse, IMAGES, ""),
    ("inverse in training", ForgetsInTraining, IMAGES, ""),
    ("shapes", WrongShape, IMAGES, "the output shape of .* should be"),
    ("unbuilt", HiddenConstant, IMAGES, ""),
    ("graph", OtherwiseInGraphs, IMAGES, "graph"),
    ("gradients", _around(OtherwiseInChains, 12), PAIR, "be defined by"),
    ("gradients", _around(WrongPullBack, 6), PAIR, "gradients; 2 blocks"),
    ("gradients", NoGradient, IMAGES, "no_gradient/.* has no gradient"),
    ("state", CountsInverses, IMAGES, "an inverse"),
    ("training", CountsInPython, IMAGES, "eager against graph"),
    ("training", _around(WrongPullBack, 6), PAIR, "2 blocks"),
    (
        "lossless",
        lambda: Inexact(keras.layers.Dense(6), fraction_bits=14),
        tuple(np.round(x * 2**14) / 2**14 for x in PAIR),
        "inverse",
    ),
    ("python", Caches, IMAGES, "attributes"),
    ("company", _around(WrongPullBack, 6), PAIR, "gradients; Additive.*Wrong"),
    ("chain", SharesNothing, IMAGES, "features at|invert at"),
    ("files", lambda: WithoutConfig(lambda: 0), IMAGES, "get_config"),
    ("files", HiddenConstant, IMAGES, ""),
    ("frozen", ForgetsTrainable, IMAGES, "comes back with trainable=True"),
    ("checkpoint", ListedWeights, IMAGES, "no checkpoint reaches .*"),
    ("export", CallsFunctions, IMAGES, "holds the .*PartitionedCall"),
    ("half precision", Narrow, IMAGES, "outputs are {'bfloat16'}"),
    ("memory", Leaks, IMAGES, "2 of 2 variables are alive .* such as leaks/"),
    ("traces", SharesItself, IMAGES, "features leaves nodes on the layer"),
]


@pytest.mark.parametrize(
    ("check", "create", "inputs", "detail"),
    BROKEN,
    ids=[f"{check}-{index}" for index, (check, *_) in enumerate(BROKEN)],
)
def test_what_is_broken_is_found(check, create, inputs, detail):
    report = testing.check_invertible(create(), inputs, checks=[check])
    assert report[check].holds is False, str(report)
    assert not report
    assert re.search(detail, report[check].detail), report[check].detail


def test_every_check_has_a_layer_that_fails_on_it():
    has_none = {"lossless modes"}  # tests/layers/test_residuals.py has one.
    assert {check for check, *_ in BROKEN} | has_none == set(testing.CHECKS)


class WithoutInverse(layers.InvertibleLayer):
    def call(self, inputs):
        return inputs


class Raises(foreign.ActNorm):
    def call(self, inputs):
        raise RuntimeError("It does not work.")


@pytest.mark.parametrize(
    ("create", "detail"),
    [
        (WithoutInverse, "NotImplementedError: .*must define `inverse`"),
        (Raises, "RuntimeError: .*It does not work."),
    ],
)
def test_exceptions_become_details(create, detail):
    report = testing.check_invertible(create(), IMAGES)
    assert len(report.checks) == len(testing.CHECKS)
    for check in report.checks:
        assert check.holds is False
        assert re.match(detail, check.detail)


def _everything(layer):
    parts = layer._flatten_layers()
    return {
        "values": [v.numpy() for v in layer.variables],
        "trained": [v.trainable for v in layer.variables],
        "flags": [x.trainable for x in parts],
        "nodes": [
            (len(x._inbound_nodes), len(x._outbound_nodes)) for x in parts
        ],
        "saving": [getattr(x, "memory_saving", None) for x in parts],
        "random": random.getstate(),
        "numpy": np.random.get_state(),
        "keras": np.array(keras.random.normal((2,))),
        "policy": keras.config.dtype_policy().name,
    }


def _sequence():
    return layers.ReversibleSequence(
        [
            layers.AdditiveCoupling(
                keras.Sequential(
                    [
                        keras.layers.Dense(6),
                        keras.layers.BatchNormalization(),
                        keras.layers.Dropout(0.1),
                    ]
                )
            )
            for _ in range(2)
        ],
        memory_saving=False,
    )


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_layer_is_left_as_it_was(is_broken):
    layer = _sequence()
    x = tuple(map(tf.constant, PAIR))
    zeros = tuple(map(tf.zeros_like, x))
    layer(x, training=True)
    layer.blocks[1].residual.layers[0].trainable = False
    if is_broken:
        layer.blocks[0].uncouple = lambda *_: zeros
    keras.utils.set_random_seed(1)
    before = _everything(layer)
    keras.utils.set_random_seed(1)
    checks = ("inverse", "gradients", "python") if is_broken else None
    report = testing.check_invertible(layer, PAIR, checks=checks)
    assert bool(report) is not is_broken
    after = _everything(layer)
    for name, value in before.items():
        np.testing.assert_equal(after[name], value, err_msg=name)


def test_reports():
    report = testing.check_invertible(
        foreign.ActNorm(name="norm"),
        IMAGES,
        checks=["inverse", "company", "shapes"],
        limits={"inverse": 0.0},
    )
    assert [x.name for x in report.checks] == ["inverse", "company", "shapes"]
    assert report.failed == ("inverse",)
    assert not report.holds
    assert 0 < report["inverse"].value < 1e-6
    assert report["inverse"].limit == 0
    assert report["company"].holds is None
    assert report["shapes"].holds is True
    first, header, *rows = str(report).splitlines()
    assert first == "norm of ActNorm: 1 fail"
    assert header.split() == ["check", "error", "limit"]
    assert rows[0].split()[:2] == ["inverse", "FAILS"]
    assert "no residual, coupling or sequence" in rows[1]
    with pytest.raises(KeyError, match="must be one of.*Received: 'gradients'"):
        report["gradients"]
    with pytest.raises(AttributeError):
        report.checks = ()


def test_seeds_repeat_a_report():
    def values(seed):
        report = testing.check_invertible(
            foreign.AffineCoupling(
                keras.layers.Dense(12, kernel_initializer="ones")
            ),
            PAIR,
            checks=["gradients", "inverse"],
            seed=seed,
        )
        return [x.value for x in report.checks]

    assert values(1) == values(1) != values(2)


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (7, VECTORS, "`layer` must be a Keras layer. Received: layer=7"),
        (
            lambda x: x,
            VECTORS,
            "`layer` must be a Keras layer. Received: layer=<function",
        ),
        (
            keras.layers.Dense(6),
            PAIR,
            r"one array, .* Received: inputs of shapes \[\(3, 6\), \(3, 6\)\]",
        ),
        (
            foreign.AffineCoupling(keras.layers.Dense(12)),
            VECTORS,
            "a pair of arrays, the two streams",
        ),
        (
            foreign.AffineCoupling(keras.layers.Dense(12)),
            (VECTORS, VECTORS[:2]),
            "of one batch size",
        ),
        (foreign.ActNorm(), "image", "`inputs` must be floats.*of string"),
        (foreign.ActNorm(), VECTORS[0], r"\(batch, ..., channels\).*\(6,\)"),
        (foreign.ActNorm(), VECTORS.astype("int32"), "of int32"),
        (foreign.ActNorm(), IMAGES[:0], "of one batch size.*0, 4, 4, 4"),
        (
            keras.layers.Conv2D(4, 3),
            VECTORS,
            r"what the layer takes, InputSpec\(.*Received: .*\(3, 6\)",
        ),
    ],
)
def test_wrong_arguments(layer, inputs, message):
    with pytest.raises(ValueError, match=message):
        testing.check_invertible(layer, inputs)


def test_wrong_names():
    for arguments in ({"checks": ["speed"]}, {"limits": {"speed": 1}}):
        (name,) = arguments
        with pytest.raises(
            ValueError, match=rf"`{name}` must be names of checks.*\['speed'\]"
        ):
            testing.check_invertible(foreign.ActNorm(), IMAGES, **arguments)


def test_inputs_off_the_grid_are_refused():
    lossless = layers.AdditiveCoupling(keras.layers.Dense(6), fraction_bits=14)
    with pytest.raises(ValueError, match="multiples of 2.*fraction_bits=14"):
        testing.check_invertible(lossless, PAIR)
    report = testing.check_invertible(
        keras.layers.Dense(6), PAIR[0], checks=["shapes"]
    )
    assert "as the residual of AdditiveCouplings" in str(report)
