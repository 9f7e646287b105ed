"""Agreement with the authors' PyTorch network, number by number."""

import json
import pathlib

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf
from state_dicts import assert_refused

import irevnet_tf

DATA = pathlib.Path(__file__).parents[1] / "fixtures" / "parity"
FIXTURES = ("bijective", "injective_cifar", "injective_downsampled")
# Of PyTorch's names, those whose variance Keras counts without n / (n - 1).
VARIANCE = ".running_var"


class Fixture:
    """One of the authors' networks: weights, input, and what it answered."""

    def __init__(self, name):
        self.data = dict(np.load(DATA / f"{name}.npz"))
        self.config = json.loads(bytes(self.data["config_json"]))
        self.images = self.data["images_nchw"].transpose(0, 2, 3, 1)

    def group(self, prefix):
        return {
            key.removeprefix(prefix): value
            for key, value in self.data.items()
            if key.startswith(prefix)
        }

    def build(self, **kwargs):
        channels, height, width = self.config["in_shape"]
        return irevnet_tf.IRevNet(
            self.config["nBlocks"],
            self.config["nStrides"],
            self.config["nChannels"],
            # 0 means no psi to the authors.
            initial_downsampling=max(1, self.config["init_ds"]),
            input_shape=(height, width, channels),
            classes=self.config["nClasses"],
            classifier_activation=None,
            **kwargs,
        )

    def load(self, **kwargs):
        model = self.build(**kwargs)
        irevnet_tf.convert_state_dict(self.group("state/"), model)
        return model


@pytest.fixture(params=FIXTURES, scope="module")
def fixture(request):
    return Fixture(request.param)


@pytest.fixture(params=[True, False], ids=["saving", "plain"])
def memory_saving(request):
    return request.param


def test_logits(fixture, memory_saving):
    model = fixture.load(memory_saving=memory_saving)
    logits = model(fixture.images)
    np.testing.assert_allclose(logits, fixture.data["logits"], atol=1e-5)


def test_features_and_reconstruction(fixture, memory_saving):
    model = fixture.load(memory_saving=memory_saving)
    features = irevnet_tf.encoder(model)(fixture.images)
    expected = fixture.data["features_nchw"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    reconstruction = irevnet_tf.invert(model)(features)
    expected = fixture.data["reconstruction_nchw"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(reconstruction, expected, atol=1e-5)


def test_streams_behind_every_block(fixture):
    model = fixture.load()
    sums = []
    for index in range(1, len(fixture.config["nBlocks"]) + 1):
        stage = model.get_layer(f"stage{index}")
        streams = keras.Model(model.input, stage.input)(fixture.images)
        for block in stage.blocks:
            streams = block(streams)
            sums.append([float(tf.reduce_sum(y**2)) for y in streams])
    np.testing.assert_allclose(
        sums, fixture.data["block_output_sumsq"], rtol=1e-5, atol=1e-5
    )


def test_training_losses(fixture, memory_saving):
    model = fixture.load(memory_saving=memory_saving)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    losses = [
        model.train_on_batch(fixture.images, fixture.data["labels"])
        for _ in range(2)
    ]
    np.testing.assert_allclose(losses, fixture.data["train_losses"], atol=1e-4)


def test_first_gradients_and_statistics(fixture, memory_saving):
    model = fixture.load(memory_saving=memory_saving)
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = model(fixture.images, training=True)
            loss = loss_function(fixture.data["labels"], logits)
        variables = [v.value for v in model.trainable_variables]
        return tape.gradient(loss, variables)

    gradients = dict(
        zip((v.path for v in model.trainable_variables), step(), strict=True)
    )
    names = variables_by_name(model)
    expected = fixture.group("grad/")
    actual = {
        name: to_torch_layout(gradients[names[name].path].numpy())
        for name in expected
    }
    for name in expected:
        np.testing.assert_allclose(
            actual[name], expected[name], atol=1e-4, err_msg=name
        )
    assert cases.relative_error(actual, expected) < 1e-4
    before = fixture.group("state/")
    for name, expected in fixture.group("after1/").items():
        if name not in names:
            continue  # PyTorch's counter of batches.
        actual = names[name].numpy()
        if name.endswith(VARIANCE):
            count = elements_per_channel(fixture, name)
            # The new share, scaled as PyTorch counts; see the momenta.
            keep = 0.1 if name.startswith("bn1.") else 0.9
            new = (actual - keep * before[name]) * count / (count - 1)
            actual = keep * before[name] + new
        np.testing.assert_allclose(
            actual, expected, rtol=1e-4, atol=1e-5, err_msg=name
        )


def variables_by_name(model):
    """Find the variables of PyTorch's names by loading numbered arrays."""
    from irevnet_tf.conversion.pytorch import _variables_by_name

    return _variables_by_name(model)


def to_torch_layout(array):
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def elements_per_channel(fixture, name):
    """Return how many values a BatchNorm averages: batch x height x width."""
    config = fixture.config
    side = config["in_shape"][1] // max(1, config["init_ds"])
    strides = [
        stride if first else 1
        for stride, depth in zip(
            config["nStrides"], config["nBlocks"], strict=True
        )
        for first in [True] + [False] * (depth - 1)
    ]
    if name.startswith("bn1."):
        depth, inner = len(strides), False
    else:
        _, depth, _, layer, _ = name.split(".")
        depth = int(depth)
        # The BatchNorm in front of a block's strided convolution sees the
        # size before it; a network's first block has none there.
        inner = depth == 0 or int(layer) > 0
    side //= int(np.prod(strides[: depth + inner], dtype=int))
    return len(fixture.images) * side * side


@pytest.mark.parametrize("variant", ["IRevNet163", "IRevNet301"])
def test_published_networks_map_completely(variant):
    path = DATA / f"{variant.lower()}_state_dict_shapes.json"
    shapes = json.loads(path.read_text())
    model = getattr(irevnet_tf, variant)()
    state = {
        name: np.broadcast_to(np.float32(index), shape)
        for index, (name, shape) in enumerate(shapes.items())
    }
    arrays = irevnet_tf.convert_state_dict(state, model)
    # Every entry went to exactly one variable, none was left out.
    numbers = sorted(array.flat[0] for array in arrays)
    names = [name for name in shapes if "num_batches" not in name]
    assert numbers == sorted(state[name].flat[0] for name in names)
    assert len(arrays) == len(model.weights) == len(names)
    for variable, array in zip(model.weights, arrays, strict=True):
        assert variable.numpy().flat[0] == array.flat[0]


@pytest.fixture
def network():
    fixture = Fixture("bijective")
    return fixture.build(), fixture.group("state/")


def test_data_parallel_prefix(network):
    model, state = network
    prefixed = {f"module.{name}": value for name, value in state.items()}
    irevnet_tf.convert_state_dict(prefixed, model)
    expected = irevnet_tf.convert_state_dict(state, model)
    for variable, array in zip(model.weights, expected, strict=True):
        np.testing.assert_array_equal(variable, array)


def test_network_without_classifier_takes_the_rest(network):
    _, state = network
    fixture = Fixture("bijective")
    model = fixture.load(include_top=False)
    expected = fixture.data["features_nchw"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(model(fixture.images), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("stack.1.bottleneck_block.0.bias"),
            r"1 missing \['stack.1.bottleneck_block.0.bias'\]",
        ),
        (
            lambda s: s.update(extra=np.zeros(3)),
            r"1 left over \['extra'\]",
        ),
        (
            lambda s: s.update({"linear.bias": np.zeros(3)}),
            r"linear.bias with shape \(3,\)",
        ),
    ],
)
def test_state_dicts_that_do_not_fit(network, change, message):
    model, state = network
    change(state)
    assert_refused(state, model, message)


@pytest.mark.parametrize("wrap", [lambda s: {"state_dict": s}, list, str])
def test_what_is_no_state_dict(network, wrap):
    model, state = network
    with pytest.raises(ValueError, match="must be a mapping.*Received"):
        irevnet_tf.convert_state_dict(wrap(state), model)


def test_model_that_is_no_irevnet(network):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must be an i-RevNet.*Received"):
        irevnet_tf.convert_state_dict(network[1], model)


def test_extended_model(network):
    base, state = network
    model = keras.Model(base.input, keras.layers.Dense(3)(base.output))
    with pytest.raises(ValueError, match="before extending it. Received"):
        irevnet_tf.convert_state_dict(state, model)
