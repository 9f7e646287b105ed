"""Small RevNets and ResNets for ten classes of 16 x 16 RGB images."""

import cases
import keras

from irevnet_tf.models.resnet import ResNet
from irevnet_tf.models.revnet import RevNet

# Without bottlenecks, the first stage keeps the shape; with them, none does.
KINDS = {
    "basic": {"channels": (8, 12), "stem_channels": 8},
    "bottleneck": {
        "channels": (8, 16),
        "stem_channels": 8,
        "bottleneck": True,
    },
}


def arguments(kind, overrides):
    return {
        "blocks": (2, 3),
        "strides": (1, 2),
        "input_shape": cases.IMAGE_SHAPE,
        "classes": cases.CLASSES,
        **KINDS[kind],
        **overrides,
    }


def revnet(kind="basic", **overrides):
    return RevNet(**arguments(kind, overrides))


def resnet(kind="basic", **overrides):
    return ResNet(**arguments(kind, overrides))


def fit(model, epochs=1):
    """Train a network on digits for two steps an epoch; return the losses."""
    images, labels = cases.digits(32)
    history = cases.compile(model).fit(
        images, labels, batch_size=16, epochs=epochs, shuffle=False, verbose=0
    )
    return history.history["loss"]


def reload(model, folder):
    """Return what is in a file of the model."""
    path = folder / f"{model.name}.keras"
    model.save(path)
    return keras.saving.load_model(path)
