"""Files that an earlier version wrote load, and compute what they did then.

They were written at commit 8cc69ac, before layers and modules were renamed.
"""

import pathlib

import keras
import numpy as np
import pytest

import irevnet_tf
from irevnet_tf import layers

FOLDER = pathlib.Path(__file__).parents[1] / "fixtures" / "earlier_files"


def tiny(**kwargs):
    return irevnet_tf.IRevNet(
        (2, 1), (1, 2), (4, 16), input_shape=(8, 8, 1), **kwargs
    )


def nested():
    body = tiny(include_top=False, pooling="avg")
    return keras.Sequential([body, keras.layers.Dense(3, "softmax")])


def by_hand():
    image = keras.Input((8, 8, 1))
    streams = layers.ChannelSplit()(layers.InvertibleDownsampling(2)(image))
    convolutions = [
        keras.layers.Conv2D(2, 3, padding="same", activation="tanh")
        for _ in range(2)
    ]
    blocks = [layers.AdditiveCoupling(x) for x in convolutions]
    streams = layers.ReversibleSequence(blocks)(streams)
    return keras.Model(image, layers.ChannelMerge()(streams))


BUILDERS = {
    "ordinary": lambda: tiny(classes=10),
    "lossless": lambda: tiny(classes=10, lossless=True),
    "nested": nested,
    "by_hand": by_hand,
}


def load_model(name):
    return keras.saving.load_model(FOLDER / f"{name}.keras")


def load_weights(name):
    model = BUILDERS[name]()
    model.load_weights(FOLDER / f"{name}.weights.h5")
    return model


@pytest.mark.parametrize("load", [load_model, load_weights])
@pytest.mark.parametrize("name", BUILDERS)
def test_earlier_files_compute_what_they_did(name, load):
    then = np.load(FOLDER / "outputs.npz")
    model = load(name)
    images = then["images"]
    encoder = irevnet_tf.encoder(model)
    features = encoder.predict(images, verbose=0)
    back = irevnet_tf.invert(model).predict(features, verbose=0)
    outputs = model.predict(images, verbose=0)
    for found, expected, tolerance in (
        (outputs, then[name], 1e-5),
        (features, then[f"{name}_features"], 1e-5),
        # In lossless mode, half a step of the grid.
        (back, images, 2.0**-15 + 1e-6),
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_what_was_frozen_still_is():
    body, _ = load_model("nested").layers
    assert not body.trainable_variables and body.trainable_weights == []
