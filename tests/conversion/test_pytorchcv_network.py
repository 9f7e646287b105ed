"""Tests of conversions from pytorchcv, against that package's own network."""

import sys

import numpy as np
import pytest

import irevnet_tf
from irevnet_tf.conversion.architecture import infer_architecture
from irevnet_tf.conversion.comparison import compare_networks
from irevnet_tf.conversion.pytorchcv import fetch_checkpoint

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
irevnet = pytest.importorskip(
    "pytorchcv.models.irevnet", reason="pytorchcv is not installed"
)


def randomize(network):
    """Draw all that a fresh network has at 0 or 1, and quieter kernels.

    pytorchcv's kernels, at 2.4 times PyTorch's default, let the streams of
    300 layers grow beyond any use.
    """
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.25)
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_uniform_(module.weight, a=5**0.5)
    return network.state_dict()


def converted_and_compared(tensors, size, image_channels=3):
    state = {name: tensor.numpy() for name, tensor in tensors.items()}
    architecture = infer_architecture(state, image_channels)
    model = architecture.build(size, classifier_activation=None)
    irevnet_tf.convert_state_dict(tensors, model)
    comparison = compare_networks(model, state, architecture, size)
    assert comparison.reference.startswith("pytorchcv's own network, version ")
    return architecture, comparison


def test_irevnet301():
    network = irevnet.irevnet301()
    architecture, comparison = converted_and_compared(randomize(network), 32)
    assert architecture.variant == "IRevNet301"
    assert comparison.largest_logit > 0.1
    assert comparison.logits < 1e-4
    assert comparison.features < 1e-4
    assert comparison.reconstruction < 1e-4
    assert comparison.keras_error < 1e-4


@pytest.mark.parametrize(
    ("channels", "image_channels", "size"),
    [
        ([[24] * 2, [96] * 3], 3, 56),
        ([[8], [32], [128]], 1, 32),
    ],
)
def test_other_configurations(channels, image_channels, size):
    network = irevnet.IRevNet(
        channels=channels,
        init_block_channels=4 * image_channels,
        final_block_channels=2 * channels[-1][-1],
        in_channels=image_channels,
        num_classes=5,
    )
    architecture, comparison = converted_and_compared(
        randomize(network), size, image_channels
    )
    assert architecture.blocks == tuple(map(len, channels))
    assert architecture.classes == 5
    assert comparison.logits < 1e-5
    assert comparison.features < 1e-5
    assert comparison.reconstruction < 1e-5


def test_its_own_pooling():
    # 56 pixels leave 7 behind three halvings, as 224 do behind five.
    network = irevnet.IRevNet([[24], [96]], 12, 192, num_classes=3)
    _, comparison = converted_and_compared(randomize(network), 56)
    assert isinstance(network.features.final_pool, torch.nn.AvgPool2d)
    assert comparison.logits < 1e-5


def test_its_model_store_is_asked_for_the_right_file(monkeypatch, tmp_path):
    from pytorchcv.models.common import model_store

    asked = []

    def download(url, **kwargs):
        asked.append(url)
        raise ConnectionError("no network")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(model_store, "_download", download)
    before = model_store.get_model_metainfo
    message = "Without a network.*Received: ConnectionError: no network"
    with pytest.raises(ValueError, match=message):
        fetch_checkpoint()
    assert asked[0].endswith("/v0.0.564/irevnet301-0752-d378865f.pth.zip")
    assert model_store.get_model_metainfo is before


def test_without_pytorchcv(monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] == "pytorchcv":
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "pytorchcv", None)
    with pytest.raises(ImportError, match=r"irevnet_tf\[convert\]"):
        fetch_checkpoint()


def test_a_network_that_pytorchcv_lacks_runs_in_ours(monkeypatch):
    network = irevnet.IRevNet([[24], [96]], 12, 192, num_classes=3)
    tensors = randomize(network)
    state = {name: np.array(tensor) for name, tensor in tensors.items()}
    architecture = infer_architecture(state)
    model = architecture.build(classifier_activation=None)
    irevnet_tf.convert_state_dict(state, model)
    monkeypatch.setitem(sys.modules, "pytorchcv.models.irevnet", None)
    comparison = compare_networks(model, state, architecture, 16)
    assert comparison.reference == "irevnet_tf.conversion.reference"
    assert comparison.logits < 1e-5
