"""How images were scaled stays with a network, and its exports show it."""

import json

import cases
import copies
import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.model import Functional
from irevnet_tf.models.model import find_preprocessing


def keras_functional():
    """Return the class that Keras makes of inputs and outputs."""
    image = keras.Input((8, 8, 3))
    return type(keras.Model(image, image))


def build(mode="cifar10", **overrides):
    model = cases.build(
        "injective",
        **{"blocks": (1, 1), "input_shape": (8, 8, 3), **overrides},
    )
    model.preprocessing = mode
    return model


def clone_by_function(model, _):
    return keras.models.clone_model(
        model,
        clone_function=lambda layer: type(layer).from_config(
            layer.get_config()
        ),
    )


def clone_on_inputs(model, _):
    return keras.models.clone_model(model, input_tensors=model.inputs[0])


def recursive_clone(model, _):
    return keras.models.clone_model(model, recursive=True)


def from_json(model, _):
    return keras.models.model_from_json(model.to_json())


all_copies = pytest.mark.parametrize(
    "copied",
    [
        *copies.COPIES,
        clone_by_function,
        clone_on_inputs,
        recursive_clone,
        from_json,
    ],
)


@all_copies
@pytest.mark.parametrize("mode", ["cifar10", None])
def test_copies_have_it(copied, mode, tmp_path):
    same = copied(build(mode), tmp_path)
    assert same.preprocessing == mode
    assert type(same) is Functional
    # Each has its own.
    again = copied(same, tmp_path)
    again.preprocessing = "unit"
    assert (same.preprocessing, again.preprocessing) == (mode, "unit")


@all_copies
def test_copies_of_models_that_hold_the_network_have_it(copied, tmp_path):
    base = build(include_top=False, pooling="avg")
    tuned = keras.Sequential([base, keras.layers.Dense(3)])
    assert copied(tuned, tmp_path).layers[0].preprocessing == "cifar10"
    image = keras.Input((8, 8, 3))
    tuned = keras.Model(image, keras.layers.Dense(3)(base(image)))
    assert copied(tuned, tmp_path).layers[1].preprocessing == "cifar10"


def test_a_network_on_several_inputs_has_it(tmp_path):
    inputs = [keras.Input((8, 8, 3)) for _ in "ab"]
    model = build(input_shape=None, input_tensor=keras.layers.Average()(inputs))
    for copied in copies.COPIES:
        same = copied(model, tmp_path)
        assert len(same.inputs) == 2
        assert same.preprocessing == "cifar10"


def test_pretrained_networks_know_it(tmp_path):
    model = irevnet_tf.IRevNet28(
        False, weights="digits", pooling="avg", input_shape=(8, 8, 1)
    )
    assert model.preprocessing == "digits"
    assert copies.file(model, tmp_path).preprocessing == "digits"
    assert irevnet_tf.IRevNet28().preprocessing is None


def head(representation):
    pooled = keras.layers.GlobalAveragePooling2D()(representation)
    return keras.layers.Dense(3, activation="softmax")(pooled)


def extended(model):
    return keras.Model(model.input, head(model.get_layer("head_relu").output))


def nested(model):
    image = keras.Input((8, 8, 3))
    return keras.Model(image, head(irevnet_tf.encoder(model)(image)))


def assembled(_):
    image = keras.Input((8, 8, 3))
    x = layers.InvertibleDownsampling(2, preprocessing="cifar10")(image)
    return keras.Model(image, x)


def loaded(model):
    return keras.models.model_from_json(model.to_json())


@pytest.mark.parametrize(
    "derive",
    [
        loaded,
        irevnet_tf.encoder,
        lambda model: irevnet_tf.features(model, ["stage1"]),
        lambda model: irevnet_tf.features(model, ["stage1_block1"]),
        extended,
        lambda model: loaded(nested(model)),
        assembled,
    ],
    ids=["model", "encoder", "stage", "block", "extended", "nested", "layers"],
)
def test_exports_have_it(derive, tmp_path):
    model = derive(build())
    version = irevnet_tf.export_saved_model(model, tmp_path, warmup=False)
    assert scale(version) == "cifar10"
    raw = np.arange(2 * 8 * 8 * 3).reshape(2, 8, 8, 3).astype("float32") % 256
    signatures = tf.saved_model.load(version).signatures
    found = signatures["forward"](images=raw)["features"]
    x = irevnet_tf.preprocess_input(raw, "cifar10")
    expected = irevnet_tf.encoder(model).predict(x, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    back = signatures["inverse"](features=found)["images"]
    np.testing.assert_allclose(back, raw, atol=1e-2)


def scale(version):
    card = json.loads((version / "model_card.json").read_text())
    return card["preprocessing"]["name"]


def export_encoder(model, folder, **arguments):
    encoder = irevnet_tf.encoder(model, "stem")
    return irevnet_tf.export_saved_model(
        encoder, folder, warmup=False, **arguments
    )


def test_an_argument_counts_more_and_unit_is_the_default(tmp_path):
    version = export_encoder(build(), tmp_path, preprocessing="imagenet")
    assert scale(version) == "imagenet"
    assert scale(export_encoder(build(None), tmp_path)) == "unit"


def test_a_lossless_network_has_it_behind_its_entrance(tmp_path):
    model = copies.file(build(lossless=True), tmp_path)
    assert model.preprocessing == "cifar10"
    encoder = irevnet_tf.encoder(model)
    assert find_preprocessing(find_chain(encoder)) == "cifar10"


def without_preprocessing(config):
    """Return a configuration as it was before networks had a class."""
    if isinstance(config, list):
        return [without_preprocessing(value) for value in config]
    if not isinstance(config, dict):
        return config
    config = {k: without_preprocessing(v) for k, v in config.items()}
    config.pop("preprocessing", None)
    if config.get("registered_name") == "irevnet_tf>Functional":
        config["registered_name"] = "Functional"
        config["module"] = "keras.src.models.functional"
    return config


def test_older_configurations_load(tmp_path):
    model = build()
    config = without_preprocessing(keras.saving.serialize_keras_object(model))
    same = keras.saving.deserialize_keras_object(config)
    assert type(same) is keras_functional()
    assert not hasattr(same, "preprocessing")
    assert scale(export_encoder(same, tmp_path)) == "unit"
    # An attribute like any other, but it counts, as it did.
    same.preprocessing = "cifar10"
    version = irevnet_tf.export_saved_model(same, tmp_path, warmup=False)
    assert scale(version) == "cifar10"


def test_weights_files_have_the_paths_that_they_had(tmp_path):
    """Keras names a layer that is a model by the name of its class."""
    base = build(include_top=False, pooling="avg")
    tuned = keras.Sequential([base, keras.layers.Dense(3)])
    tuned.save_weights(tmp_path / "tuned.weights.h5")
    with h5py.File(tmp_path / "tuned.weights.h5") as file:
        assert sorted(file["layers"]) == ["dense", "functional"]


@pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")
def test_the_old_format_of_keras_keeps_it(tmp_path):
    base = build(include_top=False, pooling="avg")
    tuned = keras.Sequential([base, keras.layers.Dense(3)])
    tuned.save(tmp_path / "tuned.h5")
    same = keras.models.load_model(tmp_path / "tuned.h5")
    assert same.layers[0].preprocessing == "cifar10"


def test_it_is_a_functional_model():
    model = build()
    assert isinstance(model, keras_functional())
    # What keras.callbacks.TensorBoard asks for.
    assert type(model).__name__ == "Functional"
    lines = []
    model.summary(print_fn=lines.append)
    assert 'Model: "irevnet"' in "\n".join(lines)


def test_what_is_no_mode_is_refused():
    model = build()
    message = r"None or a string, a mode .* Received: preprocessing=\(0, 1\)"
    with pytest.raises(ValueError, match=message):
        model.preprocessing = (0, 1)
    assert model.preprocessing == "cifar10"
    with pytest.raises(ValueError, match=message):
        layers.InvertibleDownsampling(2, preprocessing=(0, 1))


def test_a_model_without_an_entrance_cannot_keep_it():
    image = keras.Input((8, 8, 4))
    model = Functional(image, layers.InjectivePadding(2)(image), name="half")
    assert model.preprocessing is None
    with pytest.raises(
        ValueError,
        match="an InvertibleDownsampling .*Received: model=half, preproc",
    ):
        model.preprocessing = "unit"
