"""Random changes of training images, with the layers of Keras.

The layers keep the state of their random generators, so their effect on an
image would depend on the images that they have seen before. Here every call
gets the state (`_pure`), and is a function of the image and a seed.
"""

import contextlib
import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from irevnet_tf.settings import check_settings
from irevnet_tf.settings import describe_settings
from irevnet_tf.settings import setting

# Shifts are drawn from a continuous range and rounded to pixels. With nearly
# half a pixel more, the largest shifts are as frequent as the others.
_ROUNDING = 0.4999

MAX_SHIFT = "Move images by up to this many pixels in each direction."


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training images are changed. By default, not at all.

    With both mixup and CutMix, every batch gets one of the two, chosen at
    random.

    Example:

    >>> changes = irevnet_tf.data.Augmentation(max_shift=1, flip=True)

    Raises:
        ValueError: if a value is out of its range.
    """

    max_shift: int = setting(0, MAX_SHIFT, least=0)
    flip: bool = setting(False, "Mirror images horizontally at random.")
    random_resized_crop: bool = setting(
        False, "Crop 8 to 100 % of the area at random and resize it."
    )
    color_jitter: float = setting(
        0.0,
        "Largest relative change of brightness and colours, 0 to 1. RGB images "
        "only.",
        least=0,
        most=1,
    )
    rand_augment: float = setting(
        0.0,
        "Magnitude of RandAugment, 0 (none) to 1. RGB images only.",
        least=0,
        most=1,
    )
    random_erasing: float = setting(
        0.0,
        "Probability with which a part of an image is erased.",
        least=0,
        most=1,
    )
    mixup_alpha: float = setting(0.0, "Strength of mixup, 0 for none.", least=0)
    cutmix_alpha: float = setting(
        0.0, "Strength of CutMix, 0 for none.", least=0, most=1
    )

    def __post_init__(self):
        check_settings(self)

    def for_images(
        self, image_shape: tuple[int, int, int], maximum: float
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Return the function that changes one image.

        It does not include the random resized crop, which is part of decoding:
        see `decoding.random_resized_crop`.

        Args:
            image_shape: tuple of ints. Height, width and channels.
            maximum: float. The value of white; that of black is 0.

        Returns:
            A function from a float32 image and a seed, an int64 tensor (2,),
            to a float32 image.

        Raises:
            ValueError: if such images cannot be changed like this.
        """
        height, width, channels = image_shape
        if self.max_shift >= min(height, width):
            raise ValueError(
                "`max_shift` must be smaller than the images "
                f"(={height}x{width}). Received: max_shift={self.max_shift}"
            )
        for name in ("color_jitter", "rand_augment"):
            if getattr(self, name) and channels != 3:
                raise ValueError(
                    f"`{name}` must be 0 for images with {channels} "
                    f"channel(s). Received: {name}={getattr(self, name)}"
                )
        layers = self._image_layers(height, width, maximum)

        def change(image, seed):
            with _pure(layers, seed):
                for layer in layers:
                    image = layer(image, training=True)
            return image

        return change

    def _image_layers(self, height, width, maximum):
        # Under a mixed policy the layers would round images to 8 bits.
        common = {"dtype": "float32", "data_format": "channels_last"}
        ranged = {"value_range": (0.0, maximum), **common}
        layers = []
        if self.max_shift:
            distance = self.max_shift + _ROUNDING
            layers.append(
                keras.layers.RandomTranslation(
                    height_factor=min(1.0, distance / height),
                    width_factor=min(1.0, distance / width),
                    fill_mode="constant",
                    interpolation="nearest",
                    **common,
                )
            )
        if self.flip:
            layers.append(keras.layers.RandomFlip("horizontal", **common))
        if self.color_jitter:
            strength = self.color_jitter
            layers += [
                # `RandomColorJitter` does not pass its dtype on to these.
                keras.layers.RandomBrightness(strength, **ranged),
                # Two numbers: with one, Keras only increases contrast.
                keras.layers.RandomContrast((strength, strength), **ranged),
                # 0.5 leaves an image as it is. Keras clips the saturation
                # itself to the range; it is never more than 1.
                keras.layers.RandomSaturation(
                    ((1 - strength) / 2, (1 + strength) / 2),
                    value_range=(0.0, 1.0),
                    **common,
                ),
            ]
        if self.rand_augment:
            layers.append(
                keras.layers.RandAugment(factor=self.rand_augment, **ranged)
            )
        if self.random_erasing:
            layers.append(
                keras.layers.RandomErasing(
                    # Two numbers: with one, Keras draws the probability too.
                    (self.random_erasing, self.random_erasing),
                    **ranged,
                )
            )
        return layers

    def for_batches(
        self,
    ) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple]:
        """Return the function that mixes the images of a batch.

        Returns:
            A function from float32 images (N, height, width, channels),
            one-hot float32 labels (N, classes), and a seed, an int64 tensor
            (2,), to images and labels.
        """
        common = {"dtype": "float32", "data_format": "channels_last"}
        layers = []
        if self.mixup_alpha:
            layers.append(keras.layers.MixUp(self.mixup_alpha, **common))
        if self.cutmix_alpha:
            alpha = self.cutmix_alpha
            # Two numbers: with one, Keras draws the parameter too.
            layers.append(keras.layers.CutMix((alpha, alpha), **common))

        def mix(images, labels, seed):
            if not layers:
                return images, labels
            choice_seed, layer_seed = tf.unstack(tf.random.split(seed))
            choice = tf.random.stateless_uniform(
                (), choice_seed, 0, len(layers), dtype="int32"
            )
            batch = {"images": images, "labels": labels}
            with _pure(layers, layer_seed):
                mixed = tf.switch_case(
                    choice,
                    [
                        lambda layer=layer: layer(batch, training=True)
                        for layer in layers
                    ],
                )
            return mixed["images"], mixed["labels"]

        return mix


def _pure(layers, seed):
    """Make the random numbers of the layers depend on the seed only."""
    states = [state for layer in layers for state in layer.variables]
    if not states:
        return contextlib.nullcontext()
    seeds = tf.unstack(tf.random.split(seed, len(states)))
    return keras.StatelessScope(list(zip(states, seeds, strict=True)))
