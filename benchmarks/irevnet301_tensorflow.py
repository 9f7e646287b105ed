"""`IRevNet301` as contestant of `irevnet301_pytorch`."""

import functools
import tempfile

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
    exported=False,
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
        exported: whether to infer with the SavedModel.

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
    if exported:
        return _exported(model, task, x)
    if task == "forward":
        run = tf.function(lambda: model(x, training=False))
        return lambda: run()[0, : images.COMPARED].numpy().tolist()
    encoder = irevnet_tf.encoder(model)
    decoder = irevnet_tf.invert(encoder)
    representation = encoder(x, training=False)
    run = tf.function(lambda: decoder(representation, training=False))
    return lambda: run()[0, 0, : images.COMPARED].numpy().flatten().tolist()


def _exported(model, task, x):
    with tempfile.TemporaryDirectory() as directory:
        signatures = tf.saved_model.load(
            irevnet_tf.export_saved_model(
                model, directory, preprocessing="unit", from_logits=False
            )
        ).signatures
    # What "unit" makes of these are the images.
    raw = 255 * x
    if task == "forward":
        run = functools.partial(signatures["forward"], images=raw)
        logits = "probabilities"  # As the model returns them.
        return lambda: run()[logits][0, : images.COMPARED].numpy().tolist()
    features = signatures["forward"](images=raw)["features"]
    run = functools.partial(signatures["inverse"], features=features)
    shown = np.s_[0, 0, : images.COMPARED]
    return lambda: (run()["images"][shown].numpy() / 255).flatten().tolist()
