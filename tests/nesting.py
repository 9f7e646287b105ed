"""The ways in which people put a new head on a network."""

import keras

CLASSES = 10
WAYS = ("nested", "sequential", "extended")


def nest(base, how):
    """Return a classifier on a network with pooled features.

    Args:
        base: i-RevNet with `include_top=False` and `pooling`.
        how: one of `WAYS`.
    """
    head = keras.layers.Dense(CLASSES, activation="softmax", name="predictions")
    if how == "sequential":
        return keras.Sequential([base, head])
    if how == "extended":
        return keras.Model(base.input, head(base.output))
    image = keras.Input(base.input.shape[1:])
    return keras.Model(image, head(base(image)))
