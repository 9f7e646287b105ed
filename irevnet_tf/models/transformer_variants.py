"""The named RevViTs and ViTs: a table of sizes, and their constructors."""

from irevnet_tf.models.named import REVERSIBLE
from irevnet_tf.models.named import build_unpretrained
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

DOCSTRING = """Build {variant}, a {description}.

    {depth} blocks, tokens of {width} values, {heads} heads of attention.
    {baseline}`{home}.{kind}` explains all arguments.

    Example:

    >>> model = {home}.{variant}()
    >>> x = keras.random.uniform((1, {input_size}, {input_size}, 3)){example}

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
            {output} (3D),
            `"avg"` and `"max"` pooled features (2D).
        classes: positive int. The number of classes. Defaults to `{classes}`.
        classifier_activation: None, str or callable. Activation of the top
            layer; `None` returns logits. Defaults to `"softmax"`. With
            `weights` it must be one of these two.
        name: str. Name of the model.
        patch_size: positive int. Side of a patch. Defaults to `{patch_size}`.
        dropout_rate: float in [0, 1). Defaults to `0.0`.
        stochastic_depth_rate: float in [0, 1). Of the last block. Defaults to
            `{rate}`{source}.{more}

    Returns:
        A Keras Functional model.

    Raises:
        ValueError: if an argument is out of range or does not fit the others.

    Reference:
        https://arxiv.org/abs/{paper}
    """

EXAMPLE_OF_REVVITS = """
    >>> representation = irevnet_tf.encoder(model)(x)
    >>> tokens = irevnet_tf.invert(model)(representation)"""

OF_REVVITS = """
        memory_saving: bool. Whether training rebuilds activations instead of
            keeping them. Defaults to `True`.
        lossless: bool. Whether the inverse is exact to the last bit. Defaults
            to `False`.
        fraction_bits: int. How fine the grid of a lossless network's values
            is; for those only. Defaults to `{fraction_bits}`."""


def _constructor(variant, size, builder, options, **words):
    facts, spec = FACTS[size], SIZES[size]
    side = facts["input_size"]

    def build(**arguments):
        return build_unpretrained(
            variant, builder, {**spec, **arguments}, (side, side, 3)
        )

    return named(
        variant,
        build,
        builder=builder,
        classes=facts["classes"],
        options={
            "patch_size": facts["patch_size"],
            "dropout_rate": 0.0,
            "stochastic_depth_rate": facts["rate"],
            **options,
        },
        docstring=DOCSTRING.format(variant=variant, **spec, **facts, **words),
        module=__name__,
    )


def _revvit(size):
    return _constructor(
        f"RevViT{size}",
        size,
        RevViT,
        REVERSIBLE,
        kind="RevViT",
        description="reversible vision transformer",
        home="irevnet_tf",
        example=EXAMPLE_OF_REVVITS,
        baseline="",
        output="invertible representation",
        source="" if size == "Mini" else ", as in the published recipe",
        more=OF_REVVITS.format(**REVERSIBLE),
        paper="2302.04869",
    )


def _vit(size):
    return _constructor(
        f"ViT{size}",
        size,
        ViT,
        {},
        kind="ViT",
        description="vision transformer",
        home="irevnet_tf.baselines",
        example="""
    >>> probabilities = model(x)""",
        baseline=f"It is the baseline of `RevViT{size}`.\n    ",
        output="tokens",
        source="",
        more="",
        paper="2010.11929",
    )


RevViTMini = _revvit("Mini")
RevViTS = _revvit("S")
RevViTB = _revvit("B")
ViTMini = _vit("Mini")
ViTS = _vit("S")
ViTB = _vit("B")
