"""MemCNN's RevNet rebuilt of this package's layers."""

import keras
import numpy as np
import revnet
import tensorflow as tf

from irevnet_tf import layers
from irevnet_tf.training import SGD


def warm_up():
    """Start TensorFlow."""
    keras.layers.Dense(1)(np.zeros((1, 1)))


def start(mode, depth=9, size=64):
    """Build the network and return what trains it one step.

    Args:
        mode: "memory saving" or "plain".
        depth: int, units in each stage, 3 or 9.
        size: int, images in a batch.

    Returns:
        A function that trains one step and returns its loss.
    """
    images, labels = map(tf.constant, revnet.batch(size))
    model = network(mode == "memory saving", depth)
    model.compile(
        SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.optimizer.build(model.trainable_variables)
    return lambda: [float(model.train_on_batch(images, labels))]


def network(memory_saving, depth):
    """Return the Keras model with the weights of `revnet`."""
    image = keras.Input((32, 32, 3))
    x = _convolution(revnet.CHANNELS[depth][0], 3, "stem", image)
    x = keras.layers.ReLU()(_norm(x))
    blocks, settings = [], []
    for stage, unit, channels, is_transition in revnet.units(depth):
        place = f"{stage}.{unit}"
        if is_transition:
            x = _reversible(x, blocks, memory_saving)
            blocks = []
            residual = layers.BasicResidual(channels, stride=2)
            shortcut = _convolution(channels, 1, f"{place}.shortcut", x, 2)
            x = keras.layers.Add()([residual(x), _norm(shortcut)])
            settings.append((residual, f"{place}."))
            continue
        pair = [
            layers.BasicResidual(
                channels // 2, preactivation=(stage, unit) != (1, 0)
            )
            for _ in range(2)
        ]
        blocks.append(layers.reversible_block(*pair))
        settings += zip(pair, (f"{place}.f", f"{place}.g"), strict=True)
    x = _reversible(x, blocks, memory_saving)
    x = keras.layers.ReLU()(_norm(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    classifier = keras.layers.Dense(revnet.CLASSES)
    model = keras.Model(image, classifier(x))
    _set(classifier.kernel, "classifier")
    for residual, place in settings:
        convolutions = [
            layer
            for layer in residual.layers
            if isinstance(layer, keras.layers.Conv2D)
        ]
        for number, convolution in enumerate(convolutions, start=1):
            _set(convolution.kernel, f"{place}{number}")
    return model


def _reversible(x, blocks, memory_saving):
    streams = layers.ReversibleSequence(blocks, memory_saving=memory_saving)(
        layers.ChannelSplit()(x)
    )
    return layers.ChannelMerge()(streams)


def _norm(x):
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(x)


def _convolution(channels, side, name, x, stride=1):
    layer = keras.layers.Conv2D(
        channels, side, strides=stride, padding="same", use_bias=False
    )
    outputs = layer(x)
    _set(layer.kernel, name)
    return outputs


def _set(variable, name):
    variable.assign(revnet.kernel(name, tuple(variable.shape)))
