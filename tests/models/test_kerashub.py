"""KerasHub's image classifier on our networks: docs/kerashub.md."""

import pathlib
import re

import cases
import keras
import numpy as np
import pytest

import irevnet_tf

keras_hub = pytest.importorskip("keras_hub")

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "kerashub.md"


def _classifier(**kwargs):
    backbone = cases.build(
        "injective_dropout", blocks=(2, 1), include_top=False, **kwargs
    )
    return keras_hub.models.ImageClassifier(
        backbone, num_classes=cases.CLASSES, activation="softmax"
    )


def _fit(classifier):
    x, y = cases.digits(16)
    classifier.compile(keras.optimizers.SGD(0.01), cases.LOSS)
    classifier.fit(cases.on_grid(x), y, batch_size=8, shuffle=False, verbose=0)
    return classifier


# Of KerasHub's `fit`, and of its `compile` when a file is loaded.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.shuffle=True",
    "ignore:.compile... was not called",
    "ignore:Skipping variable loading for optimizer",
)


@pytest.mark.parametrize("lossless", [False, True])
def test_memory_saving_and_the_inverse_work_inside(lossless):
    twins = [
        _classifier(lossless=lossless, memory_saving=memory_saving)
        for memory_saving in (True, False)
    ]
    cases.copy_values(*twins)
    model, plain = map(_fit, twins)
    x = cases.on_grid(cases.digits(6)[0]).astype("float32")
    z = irevnet_tf.encoder(model)(x)
    found = irevnet_tf.invert(model)(z)
    if lossless:
        np.testing.assert_array_equal(found, x)
    else:
        assert cases.relative_error(found, x) < 1e-5
    for a, b in zip(model.variables, plain.variables, strict=True):
        if lossless:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_files_and_presets(tmp_path):
    model = _classifier()
    x = cases.digits(4)[0]
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_to_preset(str(tmp_path / "preset"))
    load = keras_hub.models.ImageClassifier.from_preset
    for loaded in (
        keras.saving.load_model(tmp_path / "model.keras"),
        load(str(tmp_path / "preset")),
    ):
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
        backbone = loaded.backbone
        np.testing.assert_array_equal(backbone(x), model.backbone(x))
        restored = irevnet_tf.invert(backbone)(backbone(x))
        assert cases.relative_error(restored, x) < 1e-5
    other = load(str(tmp_path / "preset"), num_classes=3)
    assert other.predict(x, verbose=0).shape == (4, 3)
    np.testing.assert_array_equal(other.backbone(x), model.backbone(x))
    with pytest.raises(ValueError, match="not a subclass of calling class"):
        keras_hub.models.Backbone.from_preset(str(tmp_path / "preset"))


def test_the_document(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = DOCUMENT.read_text(encoding="utf-8")
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, DOCUMENT, "exec"), scope)
    assert scope["probabilities"].shape == (4, 3)
    assert cases.relative_error(scope["again"], scope["x"]) < 1e-5
    assert scope["same"].output_shape == (None, 3)
    assert scope["other"].output_shape == (None, 5)
