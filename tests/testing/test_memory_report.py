"""memory_report counts what training keeps, and what it measures agrees."""

import math

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf import testing
from irevnet_tf.testing import peak_runs
from irevnet_tf.testing.training_graph import trace_training

BATCH = 4


class Attention(keras.layers.Layer):
    """No file names this class, which is in no package."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization()
        self.attention = keras.layers.MultiHeadAttention(2, 8)

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.attention.build(input_shape, input_shape)

    def call(self, x):
        y = self.norm(x)
        return self.attention(y, y)


def _dense(units=8):
    return keras.Sequential(
        [
            keras.layers.Dense(3 * units, activation="tanh", use_bias=False),
            keras.layers.Dense(units, use_bias=False),
        ]
    )


def _reversible(count, residual=_dense, shape=(16,), head=()):
    x = inputs = keras.Input(shape)
    x = layers.ChannelSplit(name="split")(x)
    blocks = [layers.AdditiveCoupling(residual()) for _ in range(count)]
    x = layers.ReversibleSequence(blocks, name="stage")(x)
    x = layers.ChannelMerge(name="merge")(x)
    for layer in head:
        x = layer(x)
    return keras.Model(inputs, x, name="net")


def _count(model, shape, **kwargs):
    return testing.memory_report(model, shape, BATCH, measure=False, **kwargs)


def test_counts_by_hand():
    """Of x -> tanh(x A) B, the backward pass reads tanh's output only."""
    report = _count(_reversible(5), (16,))
    floats = 4 * BATCH
    kept = {x.name: x.kept for x in report.layers}
    weights = {x.name: x.weights for x in report.layers}
    # The first block's x2 is a part of the inputs that the split made.
    assert kept["split"] == 8 * floats
    assert kept["stage_block1"] == (24 + 8) * floats
    assert kept["stage_block4"] == (24 + 8) * floats
    # Nothing behind it reads the last block's output but the merge.
    assert kept["stage_block5"] == 24 * floats
    assert kept["merge"] == 16 * floats
    assert weights["stage_block1"] == 2 * 24 * 8 * 4
    assert report.plain.kept == sum(kept.values())
    assert report.plain.kept_per_block == 32 * floats
    assert report.saving.kept_per_block == 0
    assert report.block_weights == weights["stage_block1"]
    assert report.weights == report.gradients == sum(weights.values())
    assert report.is_constant_in_depth
    assert report.plain.peak is report.saving.peak is None
    assert report.notes == ()


def test_memory_saving_keeps_the_last_output_and_one_block():
    few, many = (_count(_reversible(n), (16,)) for n in (4, 12))
    assert few.saving.kept == many.saving.kept
    # Two streams, what the merge makes of them, and a block; and one number of
    # the loss.
    assert few.saving.kept == (16 + 16 + 32) * 4 * BATCH + 4
    assert many.plain.kept - few.plain.kept == 8 * 32 * 4 * BATCH


@pytest.mark.parametrize(
    ("saving", "constant"),
    [
        ((0, None), True),
        ((2e6, None), False),
        ((0, 6e6), True),
        ((0, 9e6), False),
    ],
)
def test_whether_memory_is_constant_in_depth(saving, constant):
    """Counted and measured, blocks may take a tenth, and their gradients."""
    report = testing.MemoryReport(
        "net",
        weights=0,
        gradients=0,
        optimizer=0,
        plain=testing.TrainingMemory(100e6, 120e6, 10e6, 15e6),
        saving=testing.TrainingMemory(20e6, 40e6, *saving),
        block_weights=5e6,
        dropped=10,
        layers=(),
        notes=(),
    )
    assert report.is_constant_in_depth is constant


def test_optimizers_count():
    model = _reversible(2)
    sgd = _count(model, (16,), optimizer=keras.optimizers.SGD(0.1))
    momentum = _count(model, (16,))
    adam = keras.optimizers.Adam()
    report = _count(model, (16,), optimizer=adam)
    assert momentum.optimizer - sgd.optimizer == momentum.gradients
    assert report.optimizer - sgd.optimizer == 2 * report.gradients
    assert not adam.built


def test_frozen_layers_have_no_gradients():
    model = _reversible(2)
    model.get_layer("stage").blocks[0].trainable = False
    report = _count(model, (16,))
    assert report.gradients == report.weights / 2


def test_other_models_are_plain():
    model = keras.Sequential(
        [
            keras.layers.Dense(6, activation="relu", name="first"),
            keras.layers.Dense(3, name="second"),
        ]
    )
    report = _count(model, (5,))
    assert report.saving is None
    assert report.is_constant_in_depth is None
    assert report.plain.kept_per_block is None
    assert "memory saving" not in str(report)
    kept = {x.name: x.kept for x in report.layers}
    assert kept["first"] == 6 * 4 * BATCH


class Subclassed(keras.Model):
    """A model without a graph, whose call fails on some shapes."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3, name="dense")

    def call(self, inputs):
        return self.dense(tf.reshape(inputs, (-1, 6)))


def test_models_without_a_graph():
    report = _count(Subclassed(), (2, 3))
    assert report.plain.kept > 0
    with pytest.raises(ValueError, match="be what the model takes.*InvalidArg"):
        _count(Subclassed(), (5,))


def test_several_inputs_and_outputs():
    inputs = {
        "image": keras.Input((4,), name="image"),
        "word": keras.Input((3,), dtype="int32", name="word"),
    }
    found = keras.layers.Embedding(10, 4)(inputs["word"])
    both = keras.layers.Add()([found[:, 0], inputs["image"]])
    model = keras.Model(inputs, [keras.layers.Dense(2)(both), both])
    report = _count(model, {"word": (3,), "image": (4,)})
    assert report.plain.kept > 0


def test_unknown_sizes_are_told():
    model = keras.Sequential([keras.layers.LSTM(4)])
    report = _count(model, (6, 3))
    assert "tensors of unknown size are not counted" in str(report)


def test_memory_saving_that_is_refused_is_told():
    def residual():
        return keras.layers.Dense(8, activity_regularizer="l2")

    report = _count(_reversible(2, residual), (16,))
    assert report.saving is None
    (note,) = report.notes
    assert note.startswith("memory saving is refused: A block must not add")


def test_couplings_outside_of_a_sequence_are_told():
    inputs = keras.Input((16,))
    x = layers.ChannelSplit()(inputs)
    x = layers.AdditiveCoupling(_dense(), name="first")(x)
    x = layers.AdditiveCoupling(_dense(), name="second")(x)
    report = _count(keras.Model(inputs, layers.ChannelMerge()(x)), (16,))
    assert report.saving is None
    (note,) = report.notes
    assert note == (
        "couplings outside of a ReversibleSequence save no memory: "
        "first, second"
    )


def _everything(model):
    parts = list(model._flatten_layers())
    return {
        "values": [v.numpy() for v in model.variables],
        "flags": [x.trainable for x in parts],
        "calls": ["call" in vars(x) for x in parts],
        "saving": [getattr(x, "memory_saving", None) for x in parts],
        "nodes": [
            (len(x._inbound_nodes), len(x._outbound_nodes)) for x in parts
        ],
        "random": np.random.get_state(),
    }


def test_a_model_is_left_as_it_was(capfd):
    model = cases.build("injective_dropout", memory_saving=False)
    before = _everything(model)
    report = testing.memory_report(
        model, cases.IMAGE_SHAPE, BATCH, measure=False
    )
    assert report.saving.kept < report.plain.kept
    after = _everything(model)
    for name, value in before.items():
        np.testing.assert_equal(after[name], value, err_msg=name)
    assert capfd.readouterr() == ("", "")


def test_what_is_measured_agrees(capsys):
    """A class of this test goes to the process, too."""
    model = _reversible(8, Attention, (64, 64))
    report = testing.memory_report(model, (64, 64), 128)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"memory_report trains 3 steps {way}"
        for way in (
            "with memory saving, 6 blocks fewer",
            "with memory saving",
            "plain, 6 blocks fewer",
            "plain",
        )
    ]
    expected = report.plain.kept + report.gradients
    assert report.plain.kept > 50e6
    # Measured: 1.1 to 1.4.
    assert 1.0 < report.plain.peak / expected < 1.5
    assert report.plain.peak_per_block == pytest.approx(
        report.plain.kept_per_block, rel=0.4
    )
    assert report.saving.peak < report.plain.peak / 2
    assert report.saving.peak_per_block < 0.1 * report.plain.peak_per_block
    assert report.is_constant_in_depth
    assert "measured for an added block" in str(report)


def test_the_graph_holds_no_python():
    """The warning of rebuilt inputs that drift could not go to the process."""
    model = _reversible(3)
    sequence = model.get_layer("stage")
    sequence.memory_saving = True
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    spec = tf.TensorSpec((BATCH, 16))
    graph = trace_training(model, spec, optimizer).function.graph
    assert "PyFunc" not in str(graph.as_graph_def())
    assert sequence.on_drift == "warn"


def test_too_little_memory_is_not_measured(monkeypatch, capsys):
    monkeypatch.setattr(
        "irevnet_tf.testing.training_memory.available_memory", lambda: 10**9
    )
    report = testing.memory_report(_reversible(2), (16,), BATCH)
    assert report.plain.peak is None
    assert any(
        "plain: not measured, since it may take 1.0 GB" in x
        for x in report.notes
    )
    assert capsys.readouterr().out == ""


def test_a_process_that_ends_is_told(monkeypatch, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nprint(7, flush=True)\nos.kill(os.getpid(), 9)"
    )
    monkeypatch.setattr(peak_runs, "_SCRIPT", script)
    report = testing.memory_report(_reversible(4), (16,), BATCH)
    assert report.saving.peak is None
    assert report.saving.peak_per_block is None
    (note,) = report.notes
    assert note == (
        "with memory saving: not measured: the process ended by signal 9"
    )


def test_reports():
    report = _count(_reversible(4), (16,))
    first, header, *rows = str(report).splitlines()
    assert first == "net, batch of 4, in MB"
    assert header.split() == ["plain", "memory", "saving"]
    assert rows[0].split()[0] == "weights"
    assert any(row.startswith("stage_block4") for row in rows)
    assert not any("measured" in row for row in rows)
    with pytest.raises(AttributeError):
        report.weights = 0
    words = dict(zip(("a", "b"), rows[:2], strict=True))
    assert math.isclose(
        float(words["a"].split()[1]), report.weights / 1e6, abs_tol=0.01
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 7}, "`model` must be a Keras model. Received: model=7"),
        ({"batch": 0}, "`batch` must be a positive integer.*batch=0"),
        ({"batch": 2.5}, "`batch` must be a positive integer.*batch=2.5"),
        ({"input_shape": 16}, "`input_shape` must be a tuple.*16"),
        ({"input_shape": (None,)}, r"tuple of positive integers.*\(None,\)"),
        ({"input_shape": (8,)}, r"\(None, 16\)\]. Received: input_shape=\(8,"),
        ({"input_shape": ((16,), (16,))}, r"Received: input_shape=\(\(16,"),
        ({"optimizer": "sgd"}, "None or a Keras optimizer.*'sgd'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_is_refused(arguments, message):
    given = {"model": _reversible(1), "input_shape": (16,), "batch": 2}
    with pytest.raises(ValueError, match=message):
        testing.memory_report(**{**given, **arguments}, measure=False)


def test_a_model_without_weights_is_refused():
    model = keras.Sequential([keras.layers.ReLU()])
    with pytest.raises(ValueError, match="must have trainable weights"):
        _count(model, (5,))
