"""Fine-tuning of a network of integers on two mirrored replicas."""

import keras
import numpy as np
import portable_networks
import tensorflow as tf
from portable_networks import bits

import irevnet_tf

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def trained(model, images, labels, scope):
    with scope.scope():
        tuned = irevnet_tf.fine_tunable(model)
        tuned.compile(keras.optimizers.SGD(0.01), LOSS)
        tuned.fit(images, labels, batch_size=16, shuffle=False, verbose=0)
    return tuned


def test_as_on_one_device(strategy):
    model = portable_networks.portable("gray", overflow="split", sum_bits=14)
    images = portable_networks.images(model.input_shape[1:], 32)
    labels = np.arange(32) % portable_networks.CLASSES
    plain = tf.distribute.get_strategy()
    one, two = (trained(model, images, labels, x) for x in (plain, strategy))
    moved = 0
    for start, a, b in zip(
        irevnet_tf.fine_tunable(model).trainable_variables,
        one.trainable_variables,
        two.trainable_variables,
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4)
        moved += bool(np.any(start.numpy() != a.numpy()))
        assert len({bits(x).tobytes() for x in b.value.values}) == 1
    assert moved > 10
    made = irevnet_tf.portable(two)
    irevnet_tf.certify(made)
    z = irevnet_tf.encoder(made)(images)
    found = irevnet_tf.encoder(two).predict(images, verbose=0)
    np.testing.assert_array_equal(bits(found), bits(z))
    restored = irevnet_tf.invert(made)(z)
    expected = made.layers[1](images)
    np.testing.assert_array_equal(bits(restored), bits(expected))
