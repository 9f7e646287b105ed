"""What the converters write, leave out and refuse."""

import os
import sys

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf.export import export_saved_model
from irevnet_tf.export.litert import export_litert
from irevnet_tf.export.onnx import export_onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed"
)
interpreters = pytest.importorskip(
    "ai_edge_litert.interpreter", reason="ai-edge-litert is not installed"
)


def convert_onnx(saved_model, tmp_path, **kwargs):
    return export_onnx(saved_model, tmp_path / "onnx", **kwargs)


def convert_litert(saved_model, tmp_path, **kwargs):
    path = tmp_path / "litert" / "network.tflite"
    return export_litert(saved_model, path, **kwargs)


both_formats = pytest.mark.parametrize(
    "convert", [convert_onnx, convert_litert], ids=("onnx", "litert")
)


@pytest.fixture
def saved_model(export):
    return export("bijective_1x1", image_bytes=True, reconstruct_from="stage1")


def files_in(path):
    return sorted(p.name for p in path.rglob("*") if p.is_file())


def describe(values):
    return {value.name: (value.shape, value.type) for value in values}


def test_onnx_has_the_names_shapes_and_types_of_the_signatures(
    saved_model, tmp_path
):
    paths = convert_onnx(saved_model, tmp_path)
    images = (["batch", 16, 16, 3], "tensor(float)")
    features = (["batch", 4, 4, 48], "tensor(float)")
    expected = {
        "forward": (
            {"images": images},
            {
                "classes": (["batch"], "tensor(string)"),
                "features": features,
                "probabilities": (["batch", 10], "tensor(float)"),
            },
        ),
        "inverse": ({"features": features}, {"images": images}),
        "reconstruct": ({"images": images}, {"output_images": images}),
    }
    found = {}
    for name, path in paths.items():
        session = onnxruntime.InferenceSession(path)
        found[name] = (
            describe(session.get_inputs()),
            describe(session.get_outputs()),
        )
    assert found == expected
    assert files_in(tmp_path) == [f"{name}.onnx" for name in sorted(expected)]


def test_litert_has_the_names_of_the_signatures(saved_model, tmp_path):
    path = convert_litert(saved_model, tmp_path)
    assert interpreters.Interpreter(str(path)).get_signature_list() == {
        "forward": {
            "inputs": ["images"],
            "outputs": ["classes", "features", "probabilities"],
        },
        "inverse": {"inputs": ["features"], "outputs": ["images"]},
        "reconstruct": {"inputs": ["images"], "outputs": ["images"]},
    }
    assert files_in(tmp_path) == ["network.tflite"]


def test_sizes_in_onnx_are_named_where_they_are_not_fixed(export, tmp_path):
    saved_model = export("bijective", lossless=False, size="dynamic")
    paths = convert_onnx(saved_model, tmp_path, signatures=["forward"])
    (images,) = onnx.load(paths["forward"]).graph.input
    sizes = images.type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in sizes] == [
        "batch",
        "images_axis1",
        "images_axis2",
        3,
    ]


@pytest.mark.parametrize(
    ("opset", "lossless"),
    ((10, False), (18, False), (11, True), (18, True)),
)
def test_onnx_of_an_opset(opset, lossless, export, tmp_path):
    saved_model = export(
        "bijective_1x1", lossless=lossless, reconstruct_from="stage1"
    )
    paths = convert_onnx(saved_model, tmp_path, opset=opset)
    for path in paths.values():
        versions = onnx.load(path).opset_import
        assert {v.domain: v.version for v in versions}[""] == opset
    run = {n: onnxruntime.InferenceSession(p).run for n, p in paths.items()}
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3))
    images = images.astype("float32")
    (features,) = run["forward"](["features"], {"images": images})
    (rebuilt,) = run["inverse"](["images"], {"features": features})
    np.testing.assert_array_equal(np.rint(rebuilt), images)
    if lossless:
        (again,) = run["forward"](["features"], {"images": rebuilt})
        np.testing.assert_array_equal(again, features)
    (rebuilt,) = run["reconstruct"](["output_images"], {"images": images})
    np.testing.assert_array_equal(np.rint(rebuilt), images)


@pytest.mark.parametrize("dtype", ("float32", "mixed_float16"))
@pytest.mark.parametrize("signature", ("forward", "inverse", "reconstruct"))
def test_lossless_networks_are_refused_below_opset_11(
    signature, dtype, export, tmp_path, monkeypatch
):
    saved_model = export(
        "bijective_1x1", lossless=True, dtype=dtype, reconstruct_from="stage1"
    )
    # Nothing is converted before.
    monkeypatch.setattr("tf2onnx.convert.from_function", None)
    with pytest.raises(ValueError, match="`opset` must be at least 11") as e:
        convert_onnx(saved_model, tmp_path, signatures=[signature], opset=10)
    assert str(e.value).endswith(f"Received: opset=10, signature={signature}")
    assert files_in(tmp_path) == []


def test_onnx_without_an_optimization_of_tf2onnx_that_fails(
    tmp_path, monkeypatch, capfd
):
    # tf2onnx stumbles over a scalar that is added to a convolution.
    base = cases.build("bijective_1x1", include_top=False)
    x = keras.layers.Conv2D(8, 1, use_bias=False)(base.output)
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Rescaling(1, 2)(x))
    model = keras.Model(base.input, x)
    saved_model = export_saved_model(
        model, tmp_path / "saved_model", preprocessing="unit", warmup=False
    )
    monkeypatch.setenv("TF2ONNX_CATCH_ERRORS", "anything")
    capfd.readouterr()
    paths = convert_onnx(saved_model, tmp_path, signatures=["forward"])
    assert "Traceback" not in capfd.readouterr().err
    assert os.environ["TF2ONNX_CATCH_ERRORS"] == "anything"
    session = onnxruntime.InferenceSession(paths["forward"])
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
    images = images.astype("float32")
    (found,) = session.run(["outputs"], {"images": images})
    expected = tf.saved_model.load(saved_model).signatures["forward"](
        tf.constant(images)
    )
    np.testing.assert_allclose(found, expected["outputs"], atol=1e-5)


def test_what_tf2onnx_fails_at_is_said_with_the_signature(
    saved_model, tmp_path, monkeypatch
):
    def fail(*args, **kwargs):
        raise IndexError("list index out of range")

    monkeypatch.setattr("tf2onnx.convert.from_function", fail)
    with pytest.raises(ValueError, match="tf2onnx must be able to conv") as e:
        convert_onnx(saved_model, tmp_path, signatures=["inverse"])
    assert str(e.value).endswith(
        "opset 18. Received: signature=inverse: list index out of range"
    )
    assert files_in(tmp_path) == []


@both_formats
def test_the_alias_is_converted_on_demand(convert, saved_model, tmp_path):
    convert(saved_model, tmp_path, signatures=["serving_default"])
    assert len(files_in(tmp_path)) == 1


@both_formats
def test_no_saved_model(convert, saved_model, tmp_path):
    with pytest.raises(
        ValueError, match="must be the version directory of a SavedModel"
    ) as error:
        convert(saved_model.parent, tmp_path)
    assert f"Received: saved_model={saved_model.parent}" in str(error.value)
    assert files_in(tmp_path) == []


@both_formats
@pytest.mark.parametrize("signatures", (["inverse", "invers"], [], "forward"))
def test_unknown_signatures(signatures, convert, saved_model, tmp_path):
    with pytest.raises(ValueError, match="must be some of .*'inverse'") as e:
        convert(saved_model, tmp_path, signatures=signatures)
    assert str(e.value).endswith(f"Received: signatures={signatures!r}")
    assert files_in(tmp_path) == []


@both_formats
def test_signatures_that_decode_files(convert, saved_model, tmp_path):
    with pytest.raises(ValueError, match="no.* operation that decodes") as e:
        convert(saved_model, tmp_path, signatures=["forward_bytes"])
    assert str(e.value).endswith("Received: signatures=['forward_bytes']")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("opset", (9, 19, None))
def test_opset_out_of_range(opset, saved_model, tmp_path):
    with pytest.raises(
        ValueError, match=f"from 10 to 18. Received: opset={opset}"
    ):
        convert_onnx(saved_model, tmp_path, opset=opset)


def test_bfloat16_is_refused_by_onnx_and_old_files_stay(export, tmp_path):
    saved_model = export("bijective_1x1", dtype="mixed_bfloat16")
    old = tmp_path / "onnx" / "inverse.onnx"
    old.parent.mkdir()
    old.write_text("old")
    with pytest.raises(ValueError, match="no convolution in bfloat16") as error:
        convert_onnx(saved_model, tmp_path)
    assert "Received: signature=forward: " in str(error.value)
    assert "op_type:Conv" in str(error.value)
    assert files_in(tmp_path) == ["inverse.onnx"]
    assert old.read_text() == "old"


@pytest.mark.parametrize("dtype", ("mixed_bfloat16", "mixed_float16"))
def test_half_precision_is_refused_by_litert_and_the_old_file_stays(
    dtype, export, tmp_path
):
    saved_model = export("bijective_1x1", dtype=dtype)
    old = tmp_path / "litert" / "network.tflite"
    old.parent.mkdir()
    old.write_text("old")
    with pytest.raises(ValueError, match="in float32 only") as error:
        convert_litert(saved_model, tmp_path, signatures=["inverse"])
    assert "Received: signatures=['inverse'] with TF Select ops: Conv2D" in str(
        error.value
    )
    assert files_in(tmp_path) == ["network.tflite"]
    assert old.read_text() == "old"


@both_formats
def test_unwritable_target(convert, saved_model, tmp_path):
    for name in ("onnx", "litert"):
        (tmp_path / name).write_text("in the way")
    with pytest.raises(OSError, match="onnx|litert"):
        convert(saved_model, tmp_path)
    assert files_in(tmp_path) == ["litert", "onnx"]


def test_the_extra_is_named_where_tf2onnx_is_missing(
    saved_model, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r'pip install "irevnet_tf\[onnx\]"'):
        convert_onnx(saved_model, tmp_path)
