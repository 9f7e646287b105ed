"""Every kind of network against every guarantee of a model."""

import cases
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf

# Relative error of a trained network's inverse: float32's 6e-8, times how much
# larger than the image its streams have grown.
ROUNDING = 5e-6

each_family = pytest.mark.parametrize("family", cases.FAMILIES)
each_in_inference = pytest.mark.parametrize("family", cases.INFERENCE_FAMILIES)


@pytest.fixture
def images():
    return cases.digits(8)[0]


@pytest.fixture
def trained(trained_weights):
    """Return a function that builds a family with its trained weights."""

    def get(family, **overrides):
        model = cases.build(family, **overrides)
        model.set_weights(trained_weights(family))
        return model

    return get


@each_in_inference
def test_fresh_network_is_inverted(family, images):
    model = cases.build(family)
    z = irevnet_tf.encoder(model)(images)
    error = cases.relative_error(irevnet_tf.invert(model)(z), images)
    assert error < 1e-6


@each_in_inference
@pytest.mark.parametrize("policy", cases.POLICIES)
def test_trained_network_is_inverted_in_every_precision(
    family, policy, images, trained
):
    keras.config.set_dtype_policy(policy)
    model = trained(family)
    compute_dtypes = {
        layer.compute_dtype
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
    }
    assert compute_dtypes == {keras.config.dtype_policy().compute_dtype}
    z = irevnet_tf.encoder(model)(images)
    assert z.dtype == tf.float32
    error = cases.relative_error(irevnet_tf.invert(model)(z), images)
    assert error < (ROUNDING if policy == "float32" else 2e-2)


@each_in_inference
@pytest.mark.parametrize("memory_saving", [True, False])
def test_every_stage_is_a_point_to_invert_from(family, memory_saving, images):
    model = cases.build(family, memory_saving=memory_saving)
    for stage in (1, 2):
        z = irevnet_tf.encoder(model, stage)(images)
        by_number = irevnet_tf.invert(model, stage)(z)
        assert cases.relative_error(by_number, images) < ROUNDING
        by_name = irevnet_tf.invert(model, f"stage{stage}")(z)
        np.testing.assert_array_equal(by_name, by_number)


@each_in_inference
def test_memory_saving_does_not_change_the_output(family, images, trained):
    saving = trained(family)
    plain = trained(family, memory_saving=False)
    np.testing.assert_allclose(saving(images), plain(images), atol=1e-6)


@each_in_inference
def test_any_size_works_with_one_set_of_weights(family, trained):
    model = trained(family, input_shape=(None, None, 3))
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
    for size in ((16, 16), (24, 8), (32, 16)):
        x = np.random.default_rng(0).random((2, *size, 3), "float32")
        assert model(x).shape == (2, cases.CLASSES)
        assert cases.relative_error(decoder(encoder(x)), x) < ROUNDING


@each_family
def test_files_keep_outputs_and_inverse(family, images, trained, tmp_path):
    """Of the network, of both directions, and of one model of both."""
    model = trained(family)
    encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)

    def loaded(original):
        original.save(tmp_path / "model.keras")
        return keras.saving.load_model(tmp_path / "model.keras")

    again = loaded(model)
    np.testing.assert_array_equal(again(images), model(images))
    z = irevnet_tf.encoder(again)(images)
    both = loaded(keras.Model(encoder.input, decoder(encoder.output)))
    for reconstruction in (
        irevnet_tf.invert(again)(z),
        loaded(decoder)(loaded(encoder)(images)),
        both(images),
    ):
        assert cases.relative_error(reconstruction, images) < ROUNDING


@each_family
def test_weights_file_round_trip(family, images, trained, tmp_path):
    model = trained(family)
    model.save_weights(tmp_path / "model.weights.h5")
    twin = cases.build(family, weights=tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(twin(images), model(images))


@pytest.mark.parametrize(
    "family", ["bijective_1x1", "injective_dropout", "injective_twice"]
)
def test_fit_evaluate_and_predict(family):
    model = cases.compile(cases.build(family))
    x, y = cases.digits(32)
    history = model.fit(x, y, batch_size=8, epochs=6, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.evaluate(x, y, verbose=0)[0] < 3
    predictions = model.predict(x, batch_size=16, verbose=0)
    np.testing.assert_allclose(predictions.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("family", ["bijective_1x1", "injective_dropout"])
def test_double_precision_is_kept(family):
    keras.config.set_dtype_policy("float64")
    model = cases.compile(cases.build(family))
    images, labels = cases.digits(16)
    images = images.astype("float64")
    model.fit(images, labels, verbose=0)
    z = irevnet_tf.encoder(model)(images)
    # The inverse goes by its model, not by the policy of the day.
    keras.config.set_dtype_policy("float32")
    restored = irevnet_tf.invert(model)(z)
    assert restored.dtype == z.dtype == tf.float64
    assert cases.relative_error(restored, images) < 1e-14
