"""Agreement with the published RevViT networks, number by number."""

import cases
import keras
import numpy as np
import published_revvit
import pytest
import tensorflow as tf

import irevnet_tf


@pytest.fixture(params=published_revvit.NAMES, scope="module")
def published(request):
    return published_revvit.Published(request.param)


@pytest.fixture(params=[True, False], ids=["saving", "plain"], scope="module")
def model(request, published):
    return published.load(memory_saving=request.param)


def test_logits(published, model):
    np.testing.assert_allclose(
        model(published.images), published.data["logits"], atol=1e-5
    )
    np.testing.assert_allclose(
        model.predict(published.images, verbose=0),
        published.data["logits"],
        atol=1e-5,
    )


def test_tokens_and_representation(published, model):
    tokens = keras.Model(model.input, model.get_layer("stem").output)
    np.testing.assert_allclose(
        tokens(published.images), published.data["tokens"], atol=1e-5
    )
    representation = irevnet_tf.encoder(model)(published.images)
    expected = published.data["representation"]
    np.testing.assert_allclose(representation, expected, atol=2e-5)
    back = irevnet_tf.invert(model)(expected)
    np.testing.assert_allclose(back, published.data["tokens"], atol=2e-5)


def test_loss_and_gradients(published, model):
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = model(published.images, training=True)
            loss = loss_function(published.data["labels"], logits)
        variables = [v.value for v in model.trainable_variables]
        return loss, tape.gradient(loss, variables)

    loss, gradients = step()
    np.testing.assert_allclose(loss, published.data["loss"], rtol=1e-6)
    # What brings weights to Keras' order and layout brings gradients there.
    target = published.build()
    expected = irevnet_tf.convert_state_dict(published.group("grad/"), target)
    for ours, theirs, variable in zip(
        gradients, expected, target.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(
            ours, theirs, atol=1e-5, err_msg=variable.path
        )
    assert cases.relative_error(gradients, expected) < 1e-5
