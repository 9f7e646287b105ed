"""The input pipeline of training: shuffle, batch, shift."""

import keras
import numpy as np
import tensorflow as tf


def training_batches(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    *,
    max_shift: int = 0,
    fill_value: float = 0.0,
    seed: int = 0,
) -> tf.data.Dataset:
    """Make the batches of an epoch of training, in a new order every time.

    Images are moved by up to `max_shift` pixels vertically and horizontally,
    each by its own random distance, and never mirrored: a mirrored digit is
    not a digit. Distances are not whole pixels, values are interpolated.
    What does not fill a batch is left out of that epoch.

    Args:
        images: float array (N, height, width, channels).
        labels: integer array (N,).
        batch_size: int. Examples per batch, at most N.
        max_shift: int. Largest shift in pixels, 0 for none.
        fill_value: float. The value of pixels that are shifted in.
        seed: int. Two pipelines made with the same arguments yield the same
            batches in every epoch.

    Returns:
        A `tf.data.Dataset` of N // batch_size pairs: images
        (batch_size, height, width, channels), labels (batch_size,).

    Raises:
        ValueError: if the arguments do not fit each other.
    """
    if len(images) != len(labels):
        raise ValueError(
            "`images` and `labels` must be of equal length. Received: "
            f"len(images)={len(images)}, len(labels)={len(labels)}"
        )
    if not 1 <= batch_size <= len(images):
        raise ValueError(
            "`batch_size` must be between 1 and the number of training "
            f"examples (={len(images)}). Received: batch_size={batch_size}"
        )
    height, width = images.shape[1:3]
    if not 0 <= max_shift < min(height, width):
        raise ValueError(
            "`max_shift` must be at least 0 and smaller than the images "
            f"(={height}x{width}). Received: max_shift={max_shift}"
        )
    batches = (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(len(images), seed=seed, reshuffle_each_iteration=True)
        .batch(batch_size, drop_remainder=True)
    )
    if max_shift:
        shift = keras.layers.RandomTranslation(
            height_factor=max_shift / height,
            width_factor=max_shift / width,
            fill_mode="constant",
            fill_value=fill_value,
            interpolation="bilinear",
            seed=seed,
            # Under a mixed policy the layer would round images to 8 bits.
            dtype="float32",
        )
        # One call after the other: parallel ones would race for the layer's
        # random state, and the seed would not determine the batches.
        batches = batches.map(lambda x, y: (shift(x, training=True), y))
    return batches.prefetch(tf.data.AUTOTUNE)
