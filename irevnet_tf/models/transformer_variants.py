"""The named RevViTs and ViTs: a table of sizes, and their constructors."""

import keras

from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS
from irevnet_tf.models.named import check_weights
from irevnet_tf.models.named import named
from irevnet_tf.models.revvit import RevViT
from irevnet_tf.models.vit import ViT

# S and B are sizes of DeiT, for ImageNet, with the published initial values.
# Mini is for small images, and has half a million parameters, as the smallest
# ResNet and RevNet. With the published initial values it learns slowly.
SIZES = {
    "Mini": {
        "depth": 4,
        "width": 96,
        "heads": 3,
        "kernel_initializer": "lecun_normal",
    },
    "S": {"depth": 12, "width": 384, "heads": 6},
    "B": {"depth": 12, "width": 768, "heads": 12},
}
# What each size is for, and RevViT's rate of stochastic depth in the published
# recipes.
FACTS = {
    "Mini": {"patch_size": 4, "input_size": 32, "classes": 10, "rate": 0.0},
    "S": {"patch_size": 16, "input_size": 224, "classes": 1000, "rate": 0.1},
    "B": {"patch_size": 16, "input_size": 224, "classes": 1000, "rate": 0.2},
}

OF_REVVIT = """Build {variant}, a reversible vision transformer.

    {depth} blocks, tokens of {width} values, {heads} heads of attention. The
    constructor `irevnet_tf.RevViT` explains all arguments.

    Args:
        include_top: bool. Whether to end in the classifier. Defaults to
            `True`.
        weights: None or path. `None` for random initialization (default), or
            the path of a `.weights.h5` file.
        input_tensor: None or Keras tensor. The tensor to take as the image.
        input_shape: None or tuple (height, width, channels), all known. Height
            and width must be divisible by `patch_size`. Defaults to
            `({input_size}, {input_size}, 3)`.
        pooling: None or str. Without the classifier: `None` returns the
            invertible representation (3D), `"avg"` and `"max"` pooled features
            (2D).
        classes: positive int. The number of classes. Defaults to `{classes}`.
        classifier_activation: None, str or callable. Activation of the top
            layer; `None` returns logits. Defaults to `"softmax"`. With
            `weights` it must be one of these two.
        name: str. Name of the model.
        patch_size: positive int. Side of the patches. Defaults to
            `{patch_size}`.
        dropout_rate: float in [0, 1). Defaults to `0.0`.
        stochastic_depth_rate: float in [0, 1). Of the last block. Defaults to
            `{rate}`, as in the published recipe.
        memory_saving: bool. Whether training rebuilds activations instead of
            keeping them. Defaults to `True`.
        lossless: bool. Whether the inverse is exact to the last bit. Defaults
            to `False`.
        fraction_bits: int. How fine the grid of a lossless network's values
            is; for those only. Defaults to `{fraction_bits}`.

    Returns:
        A Keras Functional model.

    Raises:
        ValueError: if an argument is out of range or does not fit the others.

    Reference:
        https://arxiv.org/abs/2302.04869
    """

OF_VIT = """Build {variant}, a vision transformer.

    {depth} blocks, tokens of {width} values, {heads} heads of attention. It is
    the baseline of `RevViT{size}`; the constructor `irevnet_tf.baselines.ViT`
    explains all arguments.

    Args:
        include_top: bool. Whether to end in the classifier. Defaults to
            `True`.
        weights: None or path. `None` for random initialization (default), or
            the path of a `.weights.h5` file.
        input_tensor: None or Keras tensor. The tensor to take as the image.
        input_shape: None or tuple (height, width, channels), all known. Height
            and width must be divisible by `patch_size`. Defaults to
            `({input_size}, {input_size}, 3)`.
        pooling: None or str. Without the classifier: `None` returns the tokens
            (3D), `"avg"` and `"max"` pooled features (2D).
        classes: positive int. The number of classes. Defaults to `{classes}`.
        classifier_activation: None, str or callable. Activation of the top
            layer; `None` returns logits. Defaults to `"softmax"`. With
            `weights` it must be one of these two.
        name: str. Name of the model.
        patch_size: positive int. Side of the patches. Defaults to
            `{patch_size}`.
        dropout_rate: float in [0, 1). Defaults to `0.0`.
        stochastic_depth_rate: float in [0, 1). Of the last block. Defaults to
            `{rate}`.

    Returns:
        A Keras Functional model.

    Raises:
        ValueError: if an argument is out of range or does not fit the others.

    Reference:
        https://arxiv.org/abs/2010.11929
    """


def _facts(variant, size):
    """Return what a constructor is made with: defaults, and a docstring's."""
    return (
        FACTS[size],
        variant.lower(),
        {
            "variant": variant,
            "size": size,
            "fraction_bits": DEFAULT_FRACTION_BITS,
            **SIZES[size],
            **FACTS[size],
        },
    )


def _image_shape(facts, input_tensor, input_shape):
    if input_shape is None and input_tensor is None:
        return (facts["input_size"], facts["input_size"], 3)
    return input_shape


def _revvit(size):
    variant = f"RevViT{size}"
    facts, default_name, words = _facts(variant, size)

    def constructor(
        include_top=True,
        weights=None,
        input_tensor=None,
        input_shape=None,
        pooling=None,
        classes=facts["classes"],
        classifier_activation="softmax",
        name=default_name,
        *,
        patch_size=facts["patch_size"],
        dropout_rate=0.0,
        stochastic_depth_rate=facts["rate"],
        memory_saving=True,
        lossless=False,
        fraction_bits=DEFAULT_FRACTION_BITS,
    ) -> keras.Model:
        check_weights(variant, weights)
        return RevViT(
            **SIZES[size],
            patch_size=patch_size,
            dropout_rate=dropout_rate,
            stochastic_depth_rate=stochastic_depth_rate,
            memory_saving=memory_saving,
            lossless=lossless,
            fraction_bits=fraction_bits,
            include_top=include_top,
            weights=weights,
            input_tensor=input_tensor,
            input_shape=_image_shape(facts, input_tensor, input_shape),
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
        )

    return named(constructor, variant, OF_REVVIT.format(**words))


def _vit(size):
    variant = f"ViT{size}"
    facts, default_name, words = _facts(variant, size)

    def constructor(
        include_top=True,
        weights=None,
        input_tensor=None,
        input_shape=None,
        pooling=None,
        classes=facts["classes"],
        classifier_activation="softmax",
        name=default_name,
        *,
        patch_size=facts["patch_size"],
        dropout_rate=0.0,
        stochastic_depth_rate=facts["rate"],
    ) -> keras.Model:
        check_weights(variant, weights)
        return ViT(
            **SIZES[size],
            patch_size=patch_size,
            dropout_rate=dropout_rate,
            stochastic_depth_rate=stochastic_depth_rate,
            include_top=include_top,
            weights=weights,
            input_tensor=input_tensor,
            input_shape=_image_shape(facts, input_tensor, input_shape),
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
        )

    return named(constructor, variant, OF_VIT.format(**words))


RevViTMini = _revvit("Mini")
RevViTS = _revvit("S")
RevViTB = _revvit("B")
ViTMini = _vit("Mini")
ViTS = _vit("S")
ViTB = _vit("B")
