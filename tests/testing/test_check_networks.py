"""check_invertible on whole networks names the layer that breaks."""

import cases
import foreign
import keras
import nesting
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf import testing

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 4)).astype("float32")

# Without the slowest, which need no other network.
SLOW = ("gradients", "files", "invert")
QUICK = tuple(x for x in testing.NETWORK_CHECKS if x not in SLOW)


def _residual(dropout=0.0):
    return keras.Sequential(
        [
            keras.layers.Conv2D(2, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.Dropout(dropout),
        ]
    )


def _couplings(count, dropout=0.0, **kwargs):
    return [
        layers.AdditiveCoupling(_residual(dropout), **kwargs)
        for _ in range(count)
    ]


def _model(*parts, head=(), shape=(8, 8, 4)):
    image = x = keras.Input(shape)
    for layer in (*parts, *head):
        x = layer(x)
    return keras.Model(image, x, name="net")


def _network(*in_between, blocks=None, head=()):
    """Return a network of two sequences, with layers between them."""
    return _model(
        layers.ChannelSplit(name="split"),
        layers.ReversibleSequence(blocks or _couplings(2), name="first"),
        layers.ChannelMerge(name="merge"),
        *in_between,
        layers.ChannelSplit(name="split_again"),
        layers.ReversibleSequence(_couplings(2), name="second"),
        layers.ChannelMerge(name="end"),
        head=head,
    )


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("bijective_1x1", {}),
        ("injective_dropout", {}),
        ("injective_twice", {"lossless": True}),
    ],
)
def test_networks_of_the_package(family, options):
    model = cases.build(family, **options)
    x = cases.digits(3)[0]
    report = testing.check_invertible(model, x)
    assert report, str(report)
    assert [x.name for x in report.checks] == list(testing.NETWORK_CHECKS)
    assert report.broken_at is None
    names = [point.name for point in report.points]
    assert names[-1] == "stage2_merge"
    assert report.point("stage1_block2").kind == "AdditiveCoupling"
    if options:
        assert report["inverse"].value == report["inverse"].limit == 0
        assert report.exact_limit == 1024
        assert 0 < report["range"].value < 0.1
        assert " of limit " in str(report)
    else:
        assert 0 < report["inverse"].value < 1e-5
        assert report.exact_limit is None
    if "dropout" in family:
        assert "as with dropout" in report["inverse in training"].detail
        assert report.point("stage1_block2").training_error is None
        assert report.point("stem").training_error == 0
    else:
        assert all(x.training_accumulated < 1e-4 for x in report.points)


def test_numbers_are_those_of_the_encoder_and_its_inverse():
    model = cases.build("bijective")
    x = tf.constant(cases.digits(3)[0])
    report = testing.check_invertible(model, x, checks=["inverse"])
    back = irevnet_tf.invert(model)(irevnet_tf.encoder(model)(x))
    error = np.linalg.norm(back - x) / np.linalg.norm(x)
    assert report.point("stem").accumulated == pytest.approx(error, rel=1e-3)
    largest = np.abs(irevnet_tf.encoder(model)(x)).max()
    assert report.points[-1].largest == pytest.approx(largest)


class SlightlyWrong(layers.AdditiveCoupling):
    """Takes off a little less than it has added."""

    def uncouple(self, outputs, x2, fx2):
        return super().uncouple(outputs, x2, 0.99 * fx2)


def test_a_wrong_inverse_makes_gradients_wrong():
    blocks = [*_couplings(1), SlightlyWrong(_residual()), *_couplings(1)]
    report = testing.check_invertible(
        _network(blocks=blocks, head=[keras.layers.Dense(2)]),
        IMAGES,
        checks=["gradients"],
    )
    assert not report, str(report)
    assert report["gradients"].value > 1e-3
    assert "5 blocks" in report["gradients"].detail


def test_gradients_need_blocks():
    model = _model(layers.InvertibleDownsampling(2), keras.layers.Dense(3))
    report = testing.check_invertible(model, IMAGES, checks=["gradients"])
    assert report["gradients"].holds is None
    assert "ReversibleSequence" in report["gradients"].detail


class CountsSavings(layers.ReversibleSequence):
    """Counts the steps that save memory."""

    def build(self, input_shape):
        super().build(input_shape)
        self.count = self.add_weight(
            initializer="zeros", trainable=False, name="count"
        )

    def call(self, inputs, training=None):
        if self.memory_saving:
            self.count.assign_add(1.0)
        return super().call(inputs, training=training)


def test_another_state_is_seen_beside_the_seeds_of_dropout():
    model = _model(
        layers.ChannelSplit(),
        CountsSavings(_couplings(2, dropout=0.5)),
        layers.ChannelMerge(),
    )
    report = testing.check_invertible(model, IMAGES, checks=["gradients"])
    assert not report, str(report)
    assert report["gradients"].value == 1
    assert "/count" in report["gradients"].detail


def test_gradients_of_probabilities_do_not_cancel():
    """Their sum is always 1: a loss that weighs all alike has no gradient."""
    keras.utils.set_random_seed(0)
    model = irevnet_tf.RevViTMini(input_shape=(8, 8, 3), classes=1000)
    report = testing.check_invertible(
        model, IMAGES[..., :3], checks=["gradients"]
    )
    assert report["gradients"].value < 1e-5, str(report)


def _of_numbers(*, as_numbers):
    """Return a network of whole numbers, with scores or their numbers."""
    numbers = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(10, 8)(numbers)
    x = layers.ReversibleSequence(
        [layers.AdditiveCoupling(keras.layers.Dense(4)) for _ in range(2)]
    )(layers.ChannelSplit()(x))
    scores = keras.layers.Dense(3)(layers.ChannelMerge()(x))
    found = keras.ops.argmax(scores, axis=-1)
    return keras.Model(numbers, found if as_numbers else [scores, found])


@pytest.mark.parametrize("as_numbers", [False, True])
def test_gradients_of_whole_numbers(as_numbers):
    model = _of_numbers(as_numbers=as_numbers)
    numbers = np.arange(18).reshape(3, 6) % 10
    report = testing.check_invertible(model, numbers, checks=["gradients"])
    check = report["gradients"]
    assert check.holds is (None if as_numbers else True), str(report)
    assert "no floats" in check.detail if as_numbers else check.value < 1e-6


def test_a_wrong_inverse_in_the_middle_is_named():
    blocks = [*_couplings(1), SlightlyWrong(_residual()), *_couplings(1)]
    model = _network(blocks=blocks)
    report = testing.check_invertible(model, IMAGES, checks=QUICK)
    assert report.broken_at == "first_block2"
    assert [x.name for x in report.points if x.breaks] == ["first_block2"]
    assert report.point("first_block3").accumulated < 1e-6
    assert report.point("first_block2").accumulated > 1e-4
    assert "the first is first_block2" in report["steps"].detail
    assert "the first is first_block2" in report["inverse"].detail
    assert set(report.failed) == {
        "steps",
        "inverse",
        "inverse in training",
        "graph",
        "modes",
        "batch size",
    }
    line = next(x for x in str(report).splitlines() if "first_block2 " in x)
    assert "first_block2" in line


@keras.saving.register_keras_serializable(package="tests")
class Amplifies(layers.InvertibleLayer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def inverse(self, outputs):
        return outputs / self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def _exploding(count, factor):
    """Return couplings whose residual multiplies its input."""
    return [
        layers.AdditiveCoupling(
            keras.layers.Dense(
                2, kernel_initializer=keras.initializers.Identity(factor)
            )
        )
        for _ in range(count)
    ]


def test_streams_that_explode():
    model = _network(blocks=_exploding(12, 10.0))
    report = testing.check_invertible(model, IMAGES, checks=QUICK)
    assert "inverse" in report.failed
    assert "the first is first_block" in report["inverse"].detail
    # Each step by itself is sound: it is their product that loses the image.
    assert report["steps"].holds
    peaks = [report.point(f"first_block{i}").largest for i in (1, 6, 12)]
    assert peaks[0] * 1e4 < peaks[1] < peaks[2] / 1e4
    errors = [report.point(f"first_block{i}").accumulated for i in (1, 12)]
    assert errors[0] > 1e3 * errors[1]


def test_what_is_not_finite():
    model = _network(Amplifies(1e30, name="a"), Amplifies(1e30, name="b"))
    report = testing.check_invertible(model, IMAGES, checks=QUICK)
    assert report.broken_at == "b"
    assert "values are not finite" in report.point("b").detail
    assert "b returns NaN or infinity" in report["range"].detail
    assert "BREAKS: values are not finite" in str(report)


def test_out_of_the_lossless_range():
    model = cases.build("bijective", lossless=True, fraction_bits=14)
    x = cases.digits(2)[0]
    kernel = model.get_layer("stage1").blocks[1].residual.weights[-1]
    kernel.assign(1e6 * tf.ones_like(kernel))
    report = testing.check_invertible(model, x, checks=QUICK)
    assert report.broken_at == "stage1_block2"
    assert "beyond the exact range of 1024" in report["range"].detail
    assert report["range"].detail.startswith("stage1_block2 returns")
    before = testing.check_invertible(model, 2000 * x, checks=["steps"])
    assert before.broken_at == "fixed_point"
    assert "must stay below" in before.point("fixed_point").detail


class Raises(foreign.ActNorm):
    def inverse(self, outputs):
        raise RuntimeError("It does not work.")


def test_exceptions_are_named():
    model = _network(Raises(name="middle"))
    report = testing.check_invertible(model, IMAGES, checks=QUICK)
    assert report.broken_at == "middle"
    assert set(report.failed) == set(QUICK)
    assert "RuntimeError: It does not work." in report["steps"].detail
    assert report.point("end").error is None
    assert "-" in str(report)


class OtherwiseInTraining(foreign.ActNorm):
    def call(self, inputs, training=None):
        return super().call(inputs * (3 if training else 1))


class CountsInverses(foreign.ActNorm):
    def build(self, input_shape):
        super().build(input_shape)
        self.count = self.add_weight(initializer="zeros", trainable=False)

    def inverse(self, outputs):
        self.count.assign_add(1.0)
        return super().inverse(outputs)


class OtherwiseInGraphs(foreign.ActNorm):
    def call(self, inputs):
        factor = 1 if tf.executing_eagerly() else 2
        return super().call(inputs) * factor


class OtherwiseAlone(foreign.ActNorm):
    def call(self, inputs):
        return super().call(inputs) * (2 if inputs.shape[0] == 1 else 1)


class Forgets(foreign.ActNorm):
    """A file does not have its constant."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return super().call(inputs) * self.factor

    def inverse(self, outputs):
        return super().inverse(outputs / self.factor)

    def get_config(self):
        return {"name": self.name}


@pytest.mark.parametrize(
    ("layer", "failed"),
    [
        (OtherwiseInTraining(), ("inverse in training",)),
        (CountsInverses(), ("state",)),
        (OtherwiseInGraphs(), ("outputs", "graph", "modes", "invert")),
        (OtherwiseAlone(), ("outputs", "batch size")),
        (Forgets(3.0), ("files",)),
    ],
    ids=lambda value: (
        None if isinstance(value, tuple) else type(value).__name__
    ),
)
def test_what_each_check_finds(layer, failed):
    model = _model(layer, layers.ChannelSplit(), layers.ChannelMerge())
    report = testing.check_invertible(model, IMAGES)
    assert set(report.failed) <= set(failed), str(report)
    assert failed[0] in report.failed


def _everything(model):
    parts = list(model._flatten_layers())
    return {
        "values": [v.numpy() for v in model.variables],
        "flags": [x.trainable for x in parts],
        "saving": [getattr(x, "memory_saving", None) for x in parts],
        "nodes": [
            (len(x._inbound_nodes), len(x._outbound_nodes)) for x in parts
        ],
        "random": np.random.get_state(),
        "keras": keras.random.normal((2,)).numpy(),
    }


def test_a_network_is_left_as_it_was(capfd):
    model = _network(blocks=_couplings(2, dropout=0.5))
    keras.utils.set_random_seed(1)
    before = _everything(model)
    keras.utils.set_random_seed(1)
    assert testing.check_invertible(model, IMAGES)
    after = _everything(model)
    for name, value in before.items():
        np.testing.assert_equal(after[name], value, err_msg=name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("how", nesting.WAYS)
def test_nested_models(how):
    base = cases.build("bijective_1x1", include_top=False, pooling="avg")
    model = nesting.nest(base, how)
    report = testing.check_invertible(
        model, cases.digits(2)[0], checks=("steps", "inverse", "files")
    )
    assert report, str(report)
    assert report.points[0].name == "stem"


def test_layers_in_front_of_the_chain_count():
    inner = _network()
    image = keras.Input((8, 8, 4), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(image)
    model = keras.Model(image, keras.layers.Flatten()(inner(x)))
    pixels = np.arange(2 * 8 * 8 * 4).reshape(2, 8, 8, 4).astype("uint8")
    report = testing.check_invertible(
        model, pixels, checks=("inverse", "outputs")
    )
    assert report, str(report)
    assert report.point("split").largest == pytest.approx(1.0)


def test_several_inputs_and_outputs():
    image, other = (
        keras.Input((8, 8, 4), name="image"),
        keras.Input((5,), name="other"),
    )
    found = _network()(image)
    pooled = keras.layers.GlobalAveragePooling2D()(found)
    scores = keras.layers.Dense(3)(pooled)
    model = keras.Model(
        {"image": image, "other": other},
        {"found": found, "both": keras.layers.Add()([scores, scores])}
        | {"other": keras.layers.Dense(2)(other)},
    )
    given = {"image": IMAGES, "other": np.ones((3, 5), "float32")}
    report = testing.check_invertible(
        model, given, checks=("inverse", "outputs", "files")
    )
    assert report, str(report)


def test_users_own_layers_and_couplings():
    model = _model(
        foreign.ActNorm(),
        foreign.Convolution1x1(),
        foreign.Squeeze(),
        layers.ChannelSplit(),
        layers.ReversibleSequence(
            [foreign.AffineCoupling(keras.layers.Dense(16)) for _ in range(2)],
            name="affine",
        ),
        layers.ChannelMerge(),
    )
    report = testing.check_invertible(model, IMAGES)
    assert report, str(report)
    assert report.point("affine_block2").kind == "AffineCoupling"


def test_models_that_are_not_built_and_vectors():
    model = keras.Sequential([foreign.ActNorm(), foreign.Convolution1x1()])
    report = testing.check_invertible(
        model, IMAGES[:, 0, 0], checks=("inverse", "files", "invert")
    )
    assert report, str(report)


def test_half_precision_has_other_limits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = cases.build("bijective_1x1")
    report = testing.check_invertible(
        model, cases.digits(2)[0], checks=("steps", "inverse", "outputs")
    )
    assert report, str(report)
    assert report["inverse"].limit == 5e-2


def test_reports():
    report = testing.check_invertible(
        _network(), IMAGES, checks=["inverse", "range"], limits={"inverse": 0.0}
    )
    assert report.failed == ("inverse",)
    assert not report
    assert report["range"].holds
    first, header, *rows = str(report).splitlines()
    assert first == "net of Functional: 1 fail"
    assert rows[0].split()[:2] == ["inverse", "FAILS"]
    assert rows[3].split()[:2] == ["point", "of"]
    assert rows[5].split()[:2] == ["first_block1", "AdditiveCoupling"]
    with pytest.raises(KeyError, match="must be one of.*Received: 'shapes'"):
        report["shapes"]
    with pytest.raises(KeyError, match="must be one of.*Received: 'third'"):
        report.point("third")
    with pytest.raises(AttributeError):
        report.points = ()


@pytest.mark.parametrize(
    ("create", "inputs", "message"),
    [
        (
            lambda: keras.Sequential([keras.layers.Dense(4)]),
            IMAGES,
            r"check a model as the residual .*AdditiveCoupling\(model\)",
        ),
        (_network, IMAGES[..., :3], r"\(None, 8, 8, 4\)\].*\(3, 8, 8, 3\)"),
        (_network, (IMAGES, IMAGES), r"Received: inputs of shapes \[\(3"),
        (_network, IMAGES[:0], r"Received: inputs of shapes \[\(0"),
        (_network, object(), "`inputs` must be what the model takes"),
    ],
    ids=["no_inverse", "shape", "two", "empty", "object"],
)
def test_what_is_refused(create, inputs, message):
    with pytest.raises(ValueError, match=message):
        testing.check_invertible(create(), inputs)


def test_several_chains():
    """Each is inverted from its end to what enters it."""
    model = _network(keras.layers.Dense(4, name="wall"))
    checks = [x for x in QUICK if x != "files"] + ["invert"]
    report = testing.check_invertible(model, IMAGES, checks=checks)
    assert report, str(report)
    assert report["invert"].holds is None
    assert [x.chain for x in report.points] == [0] * 4 + [1] * 4
    assert report.point("merge").accumulated == 0
    assert "chain 2" in str(report)
    dense = model.get_layer("wall")
    between = keras.Model(model.input, dense.output)(IMAGES)
    largest = report.point("split_again").largest
    assert largest == pytest.approx(np.abs(between).max())


def test_a_grid_of_whole_numbers_is_a_grid():
    model = _model(
        layers.FixedPointRounding(0),
        layers.ChannelSplit(),
        layers.ReversibleSequence(_couplings(2, fraction_bits=0)),
        layers.ChannelMerge(),
    )
    report = testing.check_invertible(model, 9 * IMAGES, checks=["inverse"])
    assert report.exact_limit == 2**24
    assert report["inverse"].value == report["inverse"].limit == 0


def test_names_of_checks_are_those_of_networks():
    for arguments in ({"checks": ["shapes"]}, {"limits": {"shapes": 1}}):
        with pytest.raises(ValueError, match=r"must be names.*\['shapes'\]"):
            testing.check_invertible(_network(), IMAGES, **arguments)


def test_a_model_can_still_be_checked_as_a_residual():
    residual = keras.Sequential([keras.layers.Dense(4, activation="relu")])
    report = testing.check_invertible(
        layers.AdditiveCoupling(residual),
        (IMAGES, IMAGES),
        checks=["inverse", "gradients"],
    )
    assert report, str(report)


@keras.saving.register_keras_serializable("test_check_networks")
class OfBatches(layers.InvertibleLayer):
    """Takes off what it has added, if the batch is as large as then."""

    def call(self, inputs):
        return inputs + tf.cast(tf.shape(inputs)[0], inputs.dtype)

    def inverse(self, outputs):
        return outputs - tf.cast(tf.shape(outputs)[0], outputs.dtype)


@keras.saving.register_keras_serializable("test_check_networks")
class OfGraphs(OfBatches):
    """Takes off what it has added, if both happen in a graph, or neither."""

    def call(self, inputs):
        return inputs + tf.cast(not tf.executing_eagerly(), inputs.dtype)

    def inverse(self, outputs):
        return outputs - tf.cast(not tf.executing_eagerly(), outputs.dtype)


@pytest.mark.parametrize(
    ("wrong", "broken"),
    [
        (OfBatches, ["outputs", "batch size"]),
        (OfGraphs, ["outputs", "modes"]),
    ],
)
@pytest.mark.parametrize("chain", [1, 2])
def test_every_chain_counts(wrong, broken, chain):
    parts = [[layers.InvertibleDownsampling(2)] for _ in range(2)]
    parts[chain - 1].append(wrong())
    network = _model(*parts[0], keras.layers.Conv2D(4, 1), *parts[1])
    checks = ["outputs", "graph", "modes", "batch size"]
    report = testing.check_invertible(network, IMAGES, checks=checks)
    found = [x for x in report.checks if not x.holds]
    assert [x.name for x in found] == broken, str(report)
    assert all(x.detail.endswith(f"(chain {chain})") for x in found)
