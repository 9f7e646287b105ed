"""Files and copies keep what was frozen, or changed, inside of a network."""

import pickle

import cases
import copies
import keras
import nesting
import numpy as np
import pytest

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.layers.block_kinds import kind_of


def nothing(base):
    del base


def whole(base):
    base.trainable = False


def whole_but_a_stage(base):
    base.trainable = False
    base.get_layer("stage2").trainable = True


def stage(base):
    base.get_layer("stage1").trainable = False


def block(base):
    base.get_layer("stage1").blocks[1].trainable = False


def part(base, name="norm2"):
    residual = base.get_layer("stage1").blocks[0].residual
    return next(layer for layer in residual.layers if layer.name == name)


def one_norm(base):
    part(base).trainable = False


def all_but_one_kernel(base):
    base.trainable = False
    part(base, "conv3").trainable = True


def settings(base):
    norm = part(base)
    norm.momentum, norm.epsilon = 0.5, 0.01
    for layer in base._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.5


def low_rank(base):
    part(base, "conv2").enable_lora(2)


CHANGES = (
    whole,
    whole_but_a_stage,
    stage,
    block,
    one_norm,
    all_but_one_kernel,
    settings,
    low_rank,
)


def build(change, how="sequential"):
    """Return a network with a new head, and `change` made to its base."""
    base = cases.build(
        "injective_dropout", blocks=(2, 1), include_top=False, pooling="avg"
    )
    model = nesting.nest(base, how)
    change(base)
    return model


def fit(model):
    """Take a step by a batch of digits, compiled with momentum."""
    if not model.compiled:
        cases.compile(model)
    images, labels = cases.digits(4)
    keras.utils.set_random_seed(1)
    model.fit(images, labels, batch_size=4, verbose=0)
    return model


def settings_of(model):
    """Return what the layers are and whether they are frozen, in order."""
    found = []
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.InputLayer):
            continue  # Whose flag Keras does not keep.
        flags = [variable.trainable for variable in layer.variables]
        row = [type(layer), layer.trainable, flags]
        for name in ("momentum", "epsilon", "rate", "lora_rank"):
            row.append(getattr(layer, name, None))
        found.append(row)
    return found


def frozen_values(model):
    """Return the weights and statistics of the layers that are frozen."""
    return [
        variable.numpy()
        for layer in model._flatten_layers()
        if not layer.trainable and not list(layer._layers)
        for variable in layer.weights
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_like_the_model(change, tmp_path):
    model = build(change)
    before = settings_of(model)
    images, _ = cases.digits(4)
    expected = model(images)
    for copied in copies.COPIES:
        same = copied(model, tmp_path)
        assert settings_of(same) == before, copied
        assert settings_of(model) == before, copied
        assert len(same.trainable_variables) == len(model.trainable_variables)
        if copied in copies.WITH_WEIGHTS:
            np.testing.assert_array_equal(same(images), expected)


@pytest.mark.parametrize("how", nesting.WAYS)
def test_a_frozen_base_stays_so_however_nested(how, tmp_path):
    model = build(whole, how)
    for copied in (copies.file, copies.clone):
        same = copied(model, tmp_path)
        assert settings_of(same) == settings_of(model)
        assert len(same.trainable_variables) == 2


@pytest.mark.parametrize(
    ("change", "copied"),
    [
        (whole, copies.pickled),
        (whole_but_a_stage, copies.file),
        (one_norm, copies.file),
        (settings, copies.pickled),
    ],
)
def test_training_goes_on_as_if_nothing_had_happened(change, copied, tmp_path):
    model = fit(build(change))
    same = copied(model, tmp_path)
    for theirs, ours in zip(
        same.optimizer.variables, model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(theirs, ours)
    frozen = frozen_values(same)
    for theirs, ours in zip(same.variables, model.variables, strict=True):
        if "seed" in ours.path:
            theirs.assign(ours)  # Keras' files do not have seeds.
    fit(model)
    fit(same)
    for theirs, ours in zip(same.variables, model.variables, strict=True):
        np.testing.assert_array_equal(theirs, ours)
    for new, old in zip(frozen_values(same), frozen, strict=True):
        np.testing.assert_array_equal(new, old)


def test_statistics_stay_in_what_was_loaded_frozen(tmp_path):
    """The recipe of docs/fine_tuning.md, saved between its two phases."""
    tuned = fit(build(whole))
    base = copies.file(tuned, tmp_path).layers[0]
    loaded = copies.file(tuned, tmp_path)
    before = base.get_weights()
    fit(loaded)
    for new, old in zip(loaded.layers[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)
    loaded.layers[0].trainable = True
    assert len(loaded.trainable_variables) > 20
    cases.compile(loaded)
    fit(loaded)


def test_parent_and_child_keep_flags_that_differ(tmp_path):
    """A flag given to a constructor is that of this layer alone."""
    residual = layers.BottleneckResidual(4, trainable=False)
    coupling = layers.AdditiveCoupling(residual, trainable=False)
    sequence = layers.ReversibleSequence([coupling], trainable=False)
    streams = cases.symbolic_input(cases.PAIR)
    model = keras.Model(streams, sequence(streams))
    assert [norm.trainable for norm in residual.layers] == [True] * 9
    assert settings_of(copies.file(model, tmp_path)) == settings_of(model)
    assert settings_of(copies.clone(model, tmp_path)) == settings_of(model)


def test_the_inverse_keeps_it_too(tmp_path):
    base = cases.build("injective", blocks=(2, 1), include_top=False)
    one_norm(base)
    inverse = irevnet_tf.invert(base)
    inverse.get_layer("stage2_inverse").layer.trainable = False
    for copied in copies.COPIES:
        assert settings_of(copied(inverse, tmp_path)) == settings_of(inverse)


def without_layers(config):
    """Return a configuration as it was before it had a residual's layers."""
    if isinstance(config, list):
        return [without_layers(value) for value in config]
    if not isinstance(config, dict):
        return config
    config = {key: without_layers(value) for key, value in config.items()}
    if config.get("class_name") == "BottleneckResidual":
        del config["config"]["layers"]
    return config


@pytest.mark.parametrize("change", (nothing, whole, stage, block))
def test_older_configurations_load(change, tmp_path):
    """Those tell of a residual as a whole, and that is taken as meant."""
    model = build(change)
    config = without_layers(keras.saving.serialize_keras_object(model))
    assert "norm2" not in str(config)
    same = keras.saving.deserialize_keras_object(config)
    assert settings_of(same) == settings_of(model)
    # Files of weights have the same paths.
    model.save_weights(tmp_path / "model.weights.h5")
    same.load_weights(tmp_path / "model.weights.h5")
    images, _ = cases.digits(4)
    np.testing.assert_array_equal(same(images), model(images))


def test_files_of_copies_have_the_paths_of_the_originals(tmp_path):
    model = build(one_norm)
    model.save_weights(tmp_path / "model.weights.h5")
    same = copies.file(model, tmp_path)
    same.save_weights(tmp_path / "same.weights.h5")
    fresh = build(one_norm)
    for name in ("model", "same"):
        fresh.load_weights(tmp_path / f"{name}.weights.h5")
        for new, old in zip(fresh.weights, model.weights, strict=True):
            np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("family", ["bijective", "injective_dropout"])
def test_blocks_of_a_copy_share_their_traces(family, tmp_path):
    """Names of layers, which are written down now, make no kinds."""
    model = copies.file(cases.build(family, blocks=(4, 2)), tmp_path)
    # The first block, without its first BatchNorm, and the others.
    kinds = {kind_of(block) for block in model.get_layer("stage1").blocks}
    assert len(kinds) == 2


def test_the_pretrained_networks_load_into_copies(tmp_path):
    for name, shape in (("digits", (8, 8, 1)), ("fashion_mnist", (28, 28, 1))):
        model = irevnet_tf.IRevNet28(weights=name)
        same = copies.file(model, tmp_path)
        images = np.random.default_rng(0).random((2, *shape), "float32")
        np.testing.assert_array_equal(same(images), model(images))


@keras.saving.register_keras_serializable(package="tests")
class Composite(keras.layers.Layer):
    """As users write them: its parts are not in its configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.BatchNormalization()
        self.conv = keras.layers.Conv2D(2, 3, padding="same")

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.conv.build(input_shape)

    def call(self, inputs, training=None):
        return self.conv(self.norm(inputs, training=training))


def _freeze_composite(sequence):
    sequence.trainable = False


def _freeze_residual(sequence):
    sequence.blocks[0].residual.trainable = False


def _freeze_norm_of_composite(sequence):
    sequence.blocks[1].residual.norm.trainable = False


def _freeze_variable(sequence):
    sequence.blocks[1].residual.conv.kernel.trainable = False


@pytest.mark.parametrize(
    "freeze",
    [
        _freeze_composite,
        _freeze_residual,
        _freeze_norm_of_composite,
        _freeze_variable,
    ],
)
def test_what_is_frozen_in_residuals_of_users_stays_frozen(freeze, tmp_path):
    image = keras.Input((4, 4, 4))
    sequence = layers.ReversibleSequence(
        [layers.AdditiveCoupling(Composite()) for _ in "ab"], name="own"
    )
    streams = sequence(layers.ChannelSplit()(image))
    model = keras.Model(image, layers.ChannelMerge()(streams))
    freeze(sequence)
    expected = [v.trainable for v in model.variables]
    assert not all(expected)
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 4))
    for twin in (
        keras.saving.load_model(tmp_path / "model.keras"),
        keras.models.clone_model(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert [v.trainable for v in twin.variables] == expected
        count = len(model.trainable_variables)
        assert len(twin.trainable_variables) == count
        frozen = twin.get_layer("own").blocks[0].residual.norm
        before = frozen.get_weights()
        if twin.trainable_variables:
            twin.compile("sgd", "mse")
            twin.fit(x, x, verbose=0)
        if freeze in (_freeze_composite, _freeze_residual):
            for old, new in zip(before, frozen.get_weights(), strict=True):
                np.testing.assert_array_equal(old, new)


def test_what_is_frozen_before_it_is_built_stays_frozen():
    block = layers.AdditiveCoupling(Composite())
    shapes = ((2, 4, 4, 2),) * 2
    block.build(shapes)
    block.residual.conv.bias.trainable = False
    twin = layers.AdditiveCoupling.from_config(block.get_config())
    twin.residual.norm.trainable = False
    assert not twin.built
    twin.build(shapes)
    assert not twin.residual.norm.trainable
    assert not twin.residual.conv.bias.trainable
    assert twin.residual.conv.kernel.trainable
