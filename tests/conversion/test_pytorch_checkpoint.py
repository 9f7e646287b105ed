"""Tests of irevnet_tf.conversion.checkpoint: files of PyTorch."""

import pathlib
import pickle

import numpy as np
import pytest
from state_dicts import DATA
from state_dicts import configured_state_dict

import irevnet_tf
from irevnet_tf.conversion.architecture import infer_architecture
from irevnet_tf.conversion.checkpoint import load_pytorch_checkpoint
from irevnet_tf.conversion.checkpoint import read_checkpoint

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

CHECKPOINT = DATA / "bijective_checkpoint.pth.tar"


@pytest.fixture
def tensors():
    state = configured_state_dict("one block")
    return {name: torch.from_numpy(array) for name, array in state.items()}


def saved(content, path, **kwargs):
    torch.save(content, path, **kwargs)
    return path


@pytest.mark.parametrize("zip_file", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_authors_dictionary(tensors, tmp_path, prefix, zip_file):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], 0.1)
    content = {
        "epoch": 89,
        "arch": "i-revnet",
        "state_dict": {prefix + k: v for k, v in tensors.items()},
        "best_prec1": torch.tensor(74.018),
        "best_acc1": np.float64(74.018),
        "optimizer": optimizer.state_dict(),
    }
    path = saved(
        content,
        tmp_path / "model.pth.tar",
        _use_new_zipfile_serialization=zip_file,
    )
    arrays = read_checkpoint(path)
    assert list(arrays) == list(tensors)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, tensors[name])


def test_a_state_dict_itself(tensors, tmp_path):
    arrays = read_checkpoint(saved(tensors, tmp_path / "model.pth"))
    assert list(arrays) == list(tensors)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_and_parameters(tensors, tmp_path, dtype):
    name = "stack.0.bottleneck_block.3.weight"
    half = tensors[name].to(getattr(torch, dtype))
    tensors[name] = torch.nn.Parameter(half)
    arrays = read_checkpoint(saved(tensors, tmp_path / "model.pth"))
    assert arrays[name].dtype == "float32"
    np.testing.assert_array_equal(arrays[name], half.float())
    model = infer_architecture(tensors).build()
    irevnet_tf.convert_state_dict(tensors, model)


@pytest.mark.parametrize("prefixed", [True, False])
def test_the_fixture_answers_like_the_authors_network(prefixed, tmp_path):
    path = CHECKPOINT
    if not prefixed:
        content = torch.load(path, weights_only=True)
        content = {
            name.removeprefix("module."): value
            for name, value in content["state_dict"].items()
        }
        path = saved(content, tmp_path / "plain.pth")
    expected = np.load(DATA / "bijective.npz")
    model = infer_architecture(read_checkpoint(path)).build(
        classifier_activation=None
    )
    load_pytorch_checkpoint(model, path)
    images = expected["images_nchw"].transpose(0, 2, 3, 1)
    features = irevnet_tf.encoder(model)(images)
    for name, actual in {
        "logits": model(images),
        "features_nchw": np.transpose(features, (0, 3, 1, 2)),
        "reconstruction_nchw": np.transpose(
            irevnet_tf.invert(model)(features), (0, 3, 1, 2)
        ),
    }.items():
        np.testing.assert_allclose(actual, expected[name], atol=1e-5)


def test_a_network_without_classifier():
    architecture = infer_architecture(read_checkpoint(CHECKPOINT))
    model = architecture.build(include_top=False)
    load_pytorch_checkpoint(model, CHECKPOINT)


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def attack_by_pickle(content, path):
    path.write_bytes(pickle.dumps(content))


def attack_by_old_format(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    "save", [torch.save, attack_by_pickle, attack_by_old_format]
)
def test_code_is_refused_and_not_run(tensors, tmp_path, save):
    victim = tmp_path / "victim"
    path = tmp_path / "model.pth.tar"
    save({"state_dict": tensors, "best_acc1": Attack(victim)}, path)
    message = r"refused.*would run code: it calls for .*Received: path="
    with pytest.raises(ValueError, match=message):
        read_checkpoint(path)
    assert not victim.exists()


def test_a_whole_network_is_refused(tmp_path):
    path = saved({"model": torch.nn.Linear(2, 2)}, tmp_path / "model.t7")
    with pytest.raises(ValueError, match="refused.*Linear.*state_dict()"):
        read_checkpoint(path)


@pytest.mark.parametrize("zip_file", [True, False])
@pytest.mark.parametrize("part", [0, 0.001, 0.2, 0.5, 0.9, 0.999])
def test_truncated_files(tensors, tmp_path, part, zip_file):
    path = tmp_path / "model.pth"
    saved(tensors, path, _use_new_zipfile_serialization=zip_file)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match="damaged, cut off.*Received: path="):
        read_checkpoint(path)


def test_one_wrong_bit(tensors, tmp_path):
    path = saved(tensors, tmp_path / "model.pth")
    content = bytearray(path.read_bytes())
    kernel = tensors["stack.0.bottleneck_block.3.weight"].numpy().tobytes()
    content[content.find(kernel) + 10] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"hello", bytes(range(256)) * 9])
def test_files_of_another_kind(tmp_path, content):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="of another kind.*Received: path="):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "which has a list"),
        ({}, r"which has a dict with the keys \[\]"),
        ({"epoch": 3}, r"which has a dict with the keys \['epoch'\]"),
        ({"state_dict": [1]}, r"which has a dict with the keys \['state_dict'"),
        ({"state_dict": {"a": 1}}, r"which has a dict with the keys \['a'\]"),
        (torch.zeros(2), "which has a Tensor"),
    ],
)
def test_files_without_a_state_dict(tmp_path, content, message):
    path = saved(content, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=f"must be a state dict.*{message}"):
        read_checkpoint(path)


def test_sparse_tensors(tensors):
    model = infer_architecture(tensors).build()
    name = "linear.bias"
    tensors[name] = tensors[name].to_sparse()
    with pytest.raises(ValueError, match="dense tensor.*Received: linear.bias"):
        irevnet_tf.convert_state_dict(tensors, model)
