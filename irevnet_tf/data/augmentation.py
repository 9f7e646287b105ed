"""Random changes of training images, by the layers of Keras.

The layers keep the state of their random generators, so that what they do to
an image would depend on which images they have seen before. Here every call
is given the state (`_pure`), which makes it a function of the image
and a seed.
"""

import contextlib
import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

# Shifts are drawn from a continuous range and rounded to pixels. With nearly
# half a pixel more, the largest shifts are as frequent as the others.
_ROUNDING = 0.4999


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training images are changed. By default, not at all.

    Attributes:
        max_shift: int. Each image is moved by up to so many whole pixels,
            vertically and horizontally, and black is shifted in.
        flip: bool. Whether half of the images are mirrored, left to right.
        random_resized_crop: bool. Whether a random part of each image is
            resized to the size of the images.
        color_jitter: float, 0 to 1. The largest relative change of
            brightness, contrast and saturation. RGB images only.
        rand_augment: float, 0 to 1. The strength of `keras.layers.
            RandAugment`, two operations per image. RGB images only.
        random_erasing: float, 0 to 1. The part of the images in which a
            random rectangle is replaced by noise.
        mixup_alpha: float, at least 0. The parameter of the Beta distribution
            that images and labels are mixed with.
        cutmix_alpha: float, 0 to 1. The same, for rectangles of other images
            that are pasted in. With `mixup_alpha` as well, every batch is
            treated with one of the two, chosen at random.
    """

    max_shift: int = 0
    flip: bool = False
    random_resized_crop: bool = False
    color_jitter: float = 0.0
    rand_augment: float = 0.0
    random_erasing: float = 0.0
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0

    def __post_init__(self):
        for name in ("max_shift", "mixup_alpha"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(
                    f"`{name}` must be at least 0. Received: {name}={value}"
                )
        for name in (
            "color_jitter",
            "rand_augment",
            "random_erasing",
            "cutmix_alpha",
        ):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(
                    f"`{name}` must be between 0 and 1. "
                    f"Received: {name}={value}"
                )

    def for_images(
        self, image_shape: tuple[int, int, int], maximum: float
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Return the function that changes one image.

        The random resized crop is not a part of it, because it comes with
        decoding: see `decoding.random_resized_crop`.

        Args:
            image_shape: Height, width and channels.
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
                # `RandomColorJitter` does not hand its dtype on to these.
                keras.layers.RandomBrightness(strength, **ranged),
                # Two numbers: with one, Keras only increases contrast.
                keras.layers.RandomContrast((strength, strength), **ranged),
                # 0.5 leaves an image as it is. What Keras clips to the range
                # is the saturation itself, never more than 1.
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
    """Let what the layers draw depend on the seed only."""
    states = [state for layer in layers for state in layer.variables]
    if not states:
        return contextlib.nullcontext()
    seeds = tf.unstack(tf.random.split(seed, len(states)))
    return keras.StatelessScope(list(zip(states, seeds, strict=True)))
