"""Tests of irevnet_tf.apps.convert."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from absl import app
from convert_command import run_app
from state_dicts import DATA
from state_dicts import configured_state_dict

import irevnet_tf
from irevnet_tf.apps import convert

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

CHECKPOINT = DATA / "bijective_checkpoint.pth.tar"


def save(name, path):
    state = configured_state_dict(name)
    torch.save({k: torch.from_numpy(v) for k, v in state.items()}, path)
    return f"--checkpoint={path}"


def printed(capsys):
    """Return {title: value} of the lines of the last call."""
    lines = capsys.readouterr().out.splitlines()
    return {line[:25].rstrip(): line[26:] for line in lines}


def test_fixture_checkpoint(tmp_path, capsys):
    output = tmp_path / "new" / "model.weights.h5"
    assert run_app(f"--checkpoint={CHECKPOINT}", f"--output={output}") == output
    rows = printed(capsys)
    assert rows["parameters"] == "132,406"
    assert rows["written to"] == str(output)
    assert float(rows["difference of logits"].split()[0]) < 1e-5
    assert float(rows["of features"].split()[0]) < 1e-5
    assert float(rows["of reconstructions"]) < 1e-5
    assert list(output.parent.iterdir()) == [output]
    expected = np.load(DATA / "bijective.npz")
    images = expected["images_nchw"].transpose(0, 2, 3, 1)
    size = images.shape[1]
    call = rows["to use it"].replace("(32, 32, 3)", f"({size}, {size}, 3)")
    call = call.removesuffix(")") + ", classifier_activation=None)"
    model = eval(call, {"irevnet_tf": irevnet_tf})
    np.testing.assert_allclose(model(images), expected["logits"], atol=1e-5)


def test_the_file_fits_a_network_with_dropout(tmp_path, capsys):
    flag = save("injective", tmp_path / "model.pth")
    run_app(flag, f"--output={tmp_path / 'model.weights.h5'}")
    rows = printed(capsys)
    assert rows["assumed"].startswith("initial downsampling 1")
    call = rows["to use it"].removesuffix(")") + ", dropout_rate=0.1)"
    model = eval(call, {"irevnet_tf": irevnet_tf})
    kernel = model.get_layer("predictions").kernel
    state = configured_state_dict("injective")
    np.testing.assert_array_equal(kernel, state["linear.weight"].T)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=IRevNet301"], "must be of IRevNet301. Received: no named"),
        (["--image_channels=5"], "Received: image_channels=5"),
        (["--initial_downsampling=1"], "Received: initial_downsampling=1"),
        (["--image_size=20"], "multiple of 8.*Received: image_size=20"),
        (["--tolerance=0"], "nothing was written. Received: a difference of"),
    ],
)
def test_failures_write_nothing(tmp_path, arguments, message):
    output = tmp_path / "model.weights.h5"
    output.write_text("old")
    with pytest.raises(app.UsageError, match=message):
        run_app(f"--checkpoint={CHECKPOINT}", f"--output={output}", *arguments)
    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


def test_damaged_checkpoints_write_nothing(tmp_path):
    checkpoint = tmp_path / "model.pth.tar"
    flag = save("bijective", checkpoint)
    content = torch.load(checkpoint, weights_only=True)
    content["linear.bias"][0] = float("nan")
    torch.save(content, checkpoint)
    output = tmp_path / "model.weights.h5"
    with pytest.raises(app.UsageError, match="linear.bias with 1 of 7"):
        run_app(flag, f"--output={output}")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(app.UsageError, match="damaged"):
        run_app(flag, f"--output={output}")
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_answers_that_are_not_finite_are_no_proof(tmp_path):
    checkpoint = tmp_path / "model.pth.tar"
    flag = save("bijective", checkpoint)
    content = torch.load(checkpoint, weights_only=True)
    content["linear.weight"].fill_(3e38)
    torch.save(content, checkpoint)
    with pytest.raises(app.UsageError, match="logits must be finite"):
        run_app(flag, f"--output={tmp_path / 'model.weights.h5'}")
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_features_are_compared_where_logits_cannot_tell(tmp_path, monkeypatch):
    """A wrong kernel behind a classifier that hardly looks."""
    checkpoint = tmp_path / "model.pth"
    flag = save("bijective", checkpoint)
    content = torch.load(checkpoint, weights_only=True)
    content["linear.weight"] *= 1e-6
    torch.save(content, checkpoint)

    def mirrored(state_dict, model):
        name = "stack.1.bottleneck_block.5.weight"
        wrong = {**state_dict, name: state_dict[name][..., ::-1]}
        return irevnet_tf.convert_state_dict(wrong, model)

    monkeypatch.setattr(convert, "convert_state_dict", mirrored)
    with pytest.raises(app.UsageError, match="The features must be finite and"):
        run_app(flag, f"--output={tmp_path / 'model.weights.h5'}")
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_networks_that_explode_are_converted_with_a_warning(tmp_path, capsys):
    checkpoint = tmp_path / "model.pth"
    flag = save("bijective", checkpoint)
    content = torch.load(checkpoint, weights_only=True)
    for name, value in content.items():
        if name.startswith("stack") and value.ndim == 4:
            value *= 100
    torch.save(content, checkpoint)
    run_app(flag, f"--output={tmp_path / 'model.weights.h5'}")
    assert "WARNING: the two networks agree, but" in capsys.readouterr().out


def test_files_beside_the_output_are_left_alone(tmp_path):
    other = tmp_path / "model.json"
    other.write_text("mine")
    run_app(
        f"--checkpoint={CHECKPOINT}",
        f"--output={tmp_path / 'model.weights.h5'}",
    )
    assert other.read_text() == "mine"


def test_a_network_without_a_place_needs_an_output(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(app.UsageError, match="--output is needed.*IRevNet301"):
        run_app(f"--checkpoint={CHECKPOINT}")
    assert not any(tmp_path.iterdir())


def test_images_with_one_channel(tmp_path, capsys):
    flag = save("grey", tmp_path / "model.pth")
    output = tmp_path / "model.weights.h5"
    run_app(flag, f"--output={output}", "--image_channels=1")
    assert printed(capsys)["images"] == "2 of 32x32x1, random"


def test_published_network_gets_its_place_and_record(
    tmp_path, monkeypatch, capsys
):
    # A small network takes the place of the published one.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    record = next(
        record
        for record in convert.weights_records()
        if record.name == convert.WEIGHTS_NAME
    )
    monkeypatch.setattr(convert, "_record", lambda _: record)
    flag = save("bijective", tmp_path / "model.pth")
    output = run_app(flag)
    assert output == tmp_path / "keras" / "models" / record.file
    written = output.with_name(output.name.replace(".weights.h5", ".json"))
    content = json.loads(written.read_text())
    assert content["sha256"] == printed(capsys)["SHA-256"]
    assert content["command"] == "irevnet-convert --checkpoint=model.pth"
    # Nobody has measured this file, or licensed it here.
    assert content["accuracy"] is None
    assert content["licence"] == "that of the checkpoint"


def test_command_line(tmp_path):
    output = tmp_path / "model.weights.h5"
    command = [sys.executable, "-m", "irevnet_tf.apps.convert"]
    environment = os.environ | {
        "PYTHONPATH": str(pathlib.Path(irevnet_tf.__file__).parents[1])
    }
    result = subprocess.run(
        [*command, f"--checkpoint={CHECKPOINT}", f"--output={output}"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    assert f"written to                {output}" in result.stdout
    assert output.is_file()
