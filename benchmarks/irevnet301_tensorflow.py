"""`IRevNet301` as contestant of `irevnet301_pytorch`."""

import images
import keras
import numpy as np
import tensorflow as tf

import irevnet_tf
from irevnet_tf.training import SGD


def warm_up():
    """Start TensorFlow."""
    keras.layers.Dense(1)(np.zeros((1, 1)))


def start(
    task,
    weights,
    size=8,
    pixels=224,
    policy="float32",
    lossless=False,
    memory_saving=True,
):
    """Return what does a task once.

    Args:
        task: "forward", "inverse" or "train".
        weights: path of pytorchcv's weights.
        size: int, images in a batch.
        pixels: int, height and width.
        policy: name of a dtype policy.
        lossless: bool.
        memory_saving: bool.

    Returns:
        A function that returns logits, pixels or the loss of a step, a list of
        floats.
    """
    keras.config.set_dtype_policy(policy)
    model = irevnet_tf.IRevNet301(
        input_shape=(pixels, pixels, 3),
        classifier_activation=None,
        lossless=lossless,
        memory_saving=memory_saving,
    )
    irevnet_tf.load_pytorch_checkpoint(model, weights)
    x, labels = map(tf.constant, images.batch(size, pixels))
    if task == "train":
        model.compile(
            SGD(0.01, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        model.optimizer.build(model.trainable_variables)
        return lambda: [float(model.train_on_batch(x, labels))]
    if task == "forward":
        run = tf.function(lambda: model(x, training=False))
        return lambda: run()[0, : images.COMPARED].numpy().tolist()
    encoder = irevnet_tf.encoder(model)
    decoder = irevnet_tf.invert(encoder)
    representation = encoder(x, training=False)
    run = tf.function(lambda: decoder(representation, training=False))
    return lambda: run()[0, 0, : images.COMPARED].numpy().flatten().tolist()
