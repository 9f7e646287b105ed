"""Tests of converting state dicts, as far as they need no PyTorch."""

import sys

import ml_dtypes
import numpy as np
import pytest
from absl import app
from absl import flags
from convert_command import run_app
from state_dicts import DATA
from state_dicts import assert_refused
from state_dicts import configured_state_dict

import irevnet_tf
from irevnet_tf.conversion.architecture import infer_architecture
from irevnet_tf.conversion.checkpoint import load_pytorch_checkpoint
from irevnet_tf.conversion.checkpoint import read_checkpoint

CHECKPOINT = DATA / "bijective_checkpoint.pth.tar"
KERNEL = "stack.1.bottleneck_block.2.weight"
VARIANCE = "stack.1.bottleneck_block.3.running_var"


@pytest.fixture
def network():
    state = configured_state_dict("bijective")
    return state, infer_architecture(state).build()


def test_norms_without_weights_are_plain():
    state = configured_state_dict("plain norms")
    model = infer_architecture(state).build()
    arrays = irevnet_tf.convert_state_dict(state, model)
    values = dict(zip((v.path for v in model.weights), arrays, strict=True))
    gammas = {k: v for k, v in values.items() if "norm" in k and "gamma" in k}
    betas = {k: v for k, v in values.items() if "norm" in k and "beta" in k}
    assert len(gammas) == len(betas) == 3 * 4
    for name in gammas:
        plain = not name.startswith("head")
        assert np.all(gammas[name] == 1) == plain
    for name in betas:
        assert np.all(betas[name] == 0) != name.startswith("head")


def test_some_norms_without_weights_are_damage():
    state = configured_state_dict("plain norms")
    model = infer_architecture(state).build()
    state["stack.1.bottleneck_block.0.weight"] = np.ones(24, "float32")
    with pytest.raises(ValueError, match=r"\d\d missing"):
        irevnet_tf.convert_state_dict(state, model)
    state = configured_state_dict("plain norms")
    for name in ("bn1.weight", "bn1.bias"):
        del state[name]
    with pytest.raises(ValueError, match=r"2 missing \['bn1.weight'"):
        irevnet_tf.convert_state_dict(state, model)


@pytest.mark.parametrize("dtype", ["float16", "float64", ml_dtypes.bfloat16])
def test_other_precisions(network, dtype):
    state, model = network
    rounded = {name: array.astype(dtype) for name, array in state.items()}
    irevnet_tf.convert_state_dict(rounded, model)
    kernel = model.get_layer("stage1").blocks[1].residual.layers[2].kernel
    expected = rounded[KERNEL].astype("float32").transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)


def set_value(name, value):
    def change(state):
        state[name] = state[name].copy()
        state[name].flat[1] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_value(KERNEL, np.nan), f"finite.*{KERNEL} with 1 of 1296"),
        (set_value("linear.bias", np.inf), "finite.*linear.bias with 1 of 7"),
        (set_value(VARIANCE, -0.5), f"negative. Received: {VARIANCE}.*-0.5"),
        (
            lambda s: s.update({KERNEL: s[KERNEL].astype("float64") * 1e300}),
            f"finite in float32. Received: {KERNEL}",
        ),
        (
            lambda s: s.update({KERNEL: "text"}),
            f"real numbers. Received: {KERNEL} of type str",
        ),
        (
            lambda s: s.update({KERNEL: s[KERNEL] * 1j}),
            f"real numbers. Received: {KERNEL}.*complex",
        ),
        (
            lambda s: s.update({KERNEL: [[1, 2], [3]]}),
            f"dense tensor or an array. Received: {KERNEL} of type list",
        ),
        (
            lambda s: s.update({f"module.{KERNEL}": s[KERNEL]}),
            f"each entry once.*Received: twice .*{KERNEL}",
        ),
    ],
)
def test_damaged_values(network, change, message):
    state, model = network
    change(state)
    assert_refused(state, model, message)


REMEDY = r'pip install "irevnet_tf\[convert\]"'


@pytest.fixture
def without_torch(monkeypatch):
    # None makes the import fail.
    monkeypatch.setitem(sys.modules, "torch", None)


def test_reading_without_pytorch(without_torch, network):
    with pytest.raises(ImportError, match=REMEDY):
        read_checkpoint(CHECKPOINT)
    with pytest.raises(ImportError, match=REMEDY):
        load_pytorch_checkpoint(network[1], CHECKPOINT)


def test_application_without_pytorch(without_torch, tmp_path):
    output = tmp_path / "new.weights.h5"
    with pytest.raises(app.UsageError, match=REMEDY):
        run_app(f"--checkpoint={CHECKPOINT}", f"--output={output}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["nothing.pth.tar", "."])
def test_files_that_are_none(tmp_path, path):
    with pytest.raises(ValueError, match="an existing file. Received: path="):
        read_checkpoint(tmp_path / path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Either --checkpoint or --pytorchcv.*Received: --checkpoint=None"),
        (["--checkpoint=a", "--pytorchcv"], "not both. Received: "),
        (
            ["--checkpoint=a", "--output=new.h5"],
            "ends in .weights.h5. Received: --output=new.h5",
        ),
        (
            ["--checkpoint=a", "--output=/dev/null/new.weights.h5"],
            "can be written, but: .*Received: --output=/dev/null",
        ),
    ],
)
def test_flags_are_checked_before_any_work(arguments, message):
    with pytest.raises(app.UsageError, match=message):
        run_app(*arguments)


@pytest.mark.parametrize(
    "argument",
    [
        "--model=IRevNet1",
        "--image_channels=0",
        "--initial_downsampling=3",
        "--tolerance=-1",
        "--image_size=0",
    ],
)
def test_values_of_flags(argument):
    name = argument.partition("=")[0].strip("-")
    with pytest.raises(
        (flags.IllegalFlagValueError, app.UsageError), match=f"{name}="
    ):
        run_app("--checkpoint=a", argument)
