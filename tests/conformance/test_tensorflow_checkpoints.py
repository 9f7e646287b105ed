"""`tf.train.Checkpoint` holds every weight, of every layer and model."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers


def _reachable(layer, save_type):
    found, rest = set(), [layer]
    while rest:
        value = rest.pop()
        if id(value) not in found:
            found.add(id(value))
            children = tf.train.TrackableView.children(value, save_type)
            rest += children.values()
    return found


def _assert_complete(layer):
    assert layer.weights
    for save_type in ("checkpoint", "savedmodel"):
        found = _reachable(layer, save_type)
        missing = [v.path for v in layer.weights if id(v) not in found]
        assert not missing


class InAList(keras.layers.Layer):
    """As users write composites: its layers are in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = [keras.layers.Dense(6) for _ in range(2)]

    def call(self, inputs):
        return self.dense[1](self.dense[0](inputs))


LAYERS = {
    **{name: row for name, row in cases.LAYERS.items() if "seq" in name},
    **{name: row for name, row in cases.LAYERS.items() if "coup" in name},
    "residual": (lambda: layers.BottleneckResidual(8), (None, 8, 8, 8)),
    "basic_residual": (lambda: layers.BasicResidual(8), (None, 8, 8, 8)),
    "transition": (
        lambda: layers.StreamTransition(
            layers.BasicResidual(4, stride=2),
            layers.BasicResidual(4),
            [keras.layers.Conv2D(4, 1, strides=2) for _ in range(2)],
        ),
        (None, 8, 8, 8),
    ),
    "shared": (
        lambda: layers.Shared(layers.AdditiveCoupling(keras.layers.Dense(6))),
        ((None, 6), (None, 6)),
    ),
    "list": (
        lambda: layers.AdditiveCoupling(InAList()),
        ((None, 6), (None, 6)),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_weight_of_a_layer_is_found(name):
    create, shape = LAYERS[name]
    layer = create()
    layer(cases.random_input(shape))
    _assert_complete(layer)


@pytest.mark.parametrize("family", cases.FAMILIES)
def test_every_weight_of_a_model_is_found(family):
    model = cases.build(family)
    points = ["stage1_block1", "stage2"]
    for part in (
        model,
        irevnet_tf.encoder(model),
        irevnet_tf.encoder(model, "stage1_block1"),
        irevnet_tf.invert(model),
        irevnet_tf.features(model, points),
        keras.Sequential([model, keras.layers.Dense(3)]),
    ):
        _assert_complete(part)


def _spoil(variables):
    for variable in variables:
        variable.assign(tf.zeros_like(variable) + tf.cast(7, variable.dtype))


@pytest.mark.parametrize("lossless", [False, True])
def test_everything_comes_back(lossless, tmp_path):
    model = cases.compile(
        cases.build("injective_dropout", blocks=(2, 1), lossless=lossless)
    )
    model.fit(*cases.digits(16), verbose=0)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    path = checkpoint.save(str(tmp_path / "checkpoint"))
    variables = [*model.weights, *model.optimizer.variables]
    expected = [v.numpy() for v in variables]
    _spoil(variables)
    checkpoint.restore(path).assert_consumed()
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_into_another_model_by_names_of_its_own(tmp_path):
    source, target = cases.build("injective"), cases.build("injective")
    path = tf.train.Checkpoint(model=source).save(str(tmp_path / "one"))
    tf.train.Checkpoint(model=target).restore(path).assert_consumed()
    for ours, theirs in zip(source.weights, target.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_of_another_depth_is_no_match(tmp_path):
    path = tf.train.Checkpoint(model=cases.build("bijective")).save(
        str(tmp_path / "one")
    )
    deeper = cases.build("bijective", blocks=(3, 2))
    status = tf.train.Checkpoint(model=deeper).restore(path)
    with pytest.raises(AssertionError):
        status.assert_existing_objects_matched()
