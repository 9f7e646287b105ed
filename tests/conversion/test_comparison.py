"""Tests of irevnet_tf.conversion.comparison, and of its reference network."""

import json

import numpy as np
import pytest
from state_dicts import CONFIGURATIONS
from state_dicts import DATA
from state_dicts import configured_state_dict

import irevnet_tf
from irevnet_tf.conversion.architecture import infer_architecture
from irevnet_tf.conversion.comparison import compare_networks
from irevnet_tf.conversion.comparison import comparison_image_size
from irevnet_tf.conversion.pytorch import authors_entries

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

# It imports PyTorch itself, so it can only be imported behind that line.
from irevnet_tf.conversion.reference import PyTorchNetwork  # noqa: E402


@pytest.mark.parametrize(
    "name", ["bijective", "injective_cifar", "injective_downsampled"]
)
def test_answers_of_the_authors_network(name):
    data = dict(np.load(DATA / f"{name}.npz"))
    config = json.loads(bytes(data["config_json"]))
    entries = authors_entries(
        {
            key.removeprefix("state/"): value
            for key, value in data.items()
            if key.startswith("state/")
        }
    )
    architecture = infer_architecture(
        entries, config["in_shape"][0], max(1, config["init_ds"])
    )
    network = PyTorchNetwork(entries, architecture)
    logits, features = network.forward(torch.from_numpy(data["images_nchw"]))
    reconstruction = network.inverse(features)
    for actual, expected in (
        (logits, "logits"),
        (features, "features_nchw"),
        (reconstruction, "reconstruction_nchw"),
    ):
        np.testing.assert_allclose(actual, data[expected], atol=1e-5)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_is_converted_right(name):
    state = configured_state_dict(name)
    architecture = infer_architecture(state, CONFIGURATIONS[name][4])
    model = architecture.build(classifier_activation=None)
    irevnet_tf.convert_state_dict(state, model)
    size = architecture.divisor * 2
    comparison = compare_networks(model, state, architecture, size)
    assert comparison.reference == "irevnet_tf.conversion.reference"
    assert comparison.image_shape[1:3] == (size, size)
    assert comparison.largest_logit > 1e-2
    assert comparison.logits < 1e-5
    assert comparison.features < 1e-5
    assert comparison.reconstruction < 1e-5
    assert comparison.pytorch_error < 1e-5
    assert comparison.keras_error < 1e-5


def test_a_wrong_conversion_is_seen():
    state = configured_state_dict("bijective")
    architecture = infer_architecture(state)
    model = architecture.build(classifier_activation=None)
    irevnet_tf.convert_state_dict(state, model)
    block = model.get_layer("stage2").blocks[1].residual
    kernel = block.layers[2].kernel
    kernel.assign(kernel.numpy()[:, ::-1])  # Mirrored.
    comparison = compare_networks(model, state, architecture, 16)
    assert comparison.logits > 1e-4
    assert comparison.features > 1e-3


def test_size_of_the_images():
    architecture = infer_architecture(configured_state_dict("bijective"))
    assert comparison_image_size(architecture, None) == 32
    assert comparison_image_size(architecture, 24) == 24
    with pytest.raises(ValueError, match="multiple of 8.*Received: .*=20"):
        comparison_image_size(architecture, 20)
