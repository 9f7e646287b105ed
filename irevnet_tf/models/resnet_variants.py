"""The named RevNets and ResNets: tables, and a constructor for each."""

from irevnet_tf.models.named import REVERSIBLE
from irevnet_tf.models.named import build_unpretrained
from irevnet_tf.models.named import named
from irevnet_tf.models.resnet import ResNet
from irevnet_tf.models.revnet import RevNet

_CIFAR = {
    "strides": (1, 2, 2),
    "initial_downsampling": 1,
    "input_size": 32,
    "classes": 10,
}
_IMAGENET = {
    "strides": (1, 2, 2, 2),
    "bottleneck": True,
    "initial_downsampling": 4,
    "input_size": 224,
    "classes": 1000,
}

# The configurations of the authors' code, of which table 2 of the paper has all
# but 56. Their parameters are those that the table prints, in millions: 0.46,
# 1.73 and 1.75 for CIFAR-10. It prints 45.2 for 104, whose configuration adds
# up to 45.43; since by the same sum the other networks' numbers come out, those
# of the ResNets included, that one must be of another configuration, or a slip.
# 56 adds up to 27.55; the i-RevNet paper, which compares itself with it, prints
# 28 as it was submitted.
REVNETS = {
    "RevNet38": {
        "description": "the paper's small CIFAR network",
        "blocks": (3, 3, 3),
        "channels": (32, 64, 112),
        "stem_channels": 32,
        "bottleneck": False,
        **_CIFAR,
    },
    "RevNet110": {
        "description": "the paper's CIFAR network without bottlenecks",
        "blocks": (9, 9, 9),
        "channels": (32, 64, 128),
        "stem_channels": 32,
        "bottleneck": False,
        **_CIFAR,
    },
    "RevNet164": {
        "description": "the paper's CIFAR network with bottlenecks",
        "blocks": (9, 9, 9),
        "channels": (32, 64, 128),
        "stem_channels": 32,
        "bottleneck": True,
        **_CIFAR,
    },
    "RevNet56": {
        "description": "the small ImageNet network of the authors' code",
        "blocks": (2, 2, 3, 2),
        "channels": (128, 256, 512, 832),
        "stem_channels": 128,
        **_IMAGENET,
    },
    "RevNet104": {
        "description": "the paper's ImageNet network",
        "blocks": (2, 2, 11, 2),
        "channels": (128, 256, 512, 832),
        "stem_channels": 128,
        **_IMAGENET,
    },
}

# What the paper compares them with: 0.46, 1.73, 1.70 and 44.5 million.
RESNETS = {
    "ResNet32": {
        "description": "of the size of RevNet38",
        "blocks": (5, 5, 5),
        "channels": (16, 32, 64),
        "stem_channels": 16,
        "bottleneck": False,
        **_CIFAR,
    },
    "ResNet110": {
        "description": "of the size of RevNet110",
        "blocks": (18, 18, 18),
        "channels": (16, 32, 64),
        "stem_channels": 16,
        "bottleneck": False,
        **_CIFAR,
    },
    "ResNet164": {
        "description": "of the size of RevNet164",
        "blocks": (18, 18, 18),
        "channels": (16, 32, 64),
        "stem_channels": 16,
        "bottleneck": True,
        **_CIFAR,
    },
    "ResNet101": {
        "description": "of the size of RevNet104",
        "blocks": (3, 4, 23, 3),
        "channels": (64, 128, 256, 512),
        "stem_channels": 64,
        **_IMAGENET,
    },
}

DOCSTRING = """Build the {name} architecture, {description}.

    {blocks} units per stage, strides {strides},
    {channels} channels as the paper counts them, bottleneck={bottleneck}.

    Example:

    >>> model = {home}.{name}()
    >>> x = keras.random.uniform((1, {input_size}, {input_size}, 3)){example}

    Args:
        include_top: bool. Whether to end in the classifier. Defaults to
            `True`.
        weights: None or path. `None` for random initialization (default), or
            the path of a `.weights.h5` file. None are shipped.
        input_tensor: None or Keras tensor. The tensor to take as the image.
        input_shape: None or tuple (height, width, channels). Height and width
            may be anything, or None. Defaults to
            `({input_size}, {input_size}, 3)` with the classifier and to
            `(None, None, 3)` without it.
        pooling: None or str. Without the classifier: `None` returns the
            representation behind the last stage (4D), `"avg"` and `"max"`
            pooled features (2D).
        classes: positive int. The number of classes. Defaults to `{classes}`.
        classifier_activation: None, str or callable. Activation of the top
            layer; `None` returns logits. Defaults to `"softmax"`. With
            `weights` it must be one of these two.
        name: str. Name of the model.
        dropout_rate: float in [0, 1). Defaults to `0.0`.{more}

    Returns:
        A Keras Functional model, see `{builder}`.

    Raises:
        ValueError: as `{builder}`.

    Note: scale images with `irevnet_tf.preprocess_input(x, mode)` first.{note}

    Reference:
        https://arxiv.org/abs/1707.04585
    """

OF_REVNETS = """
        memory_saving: bool. Whether training rebuilds activations within the
            stages instead of keeping them. Defaults to `True`.
        lossless: bool. Whether the inverse of each stage is exact to the last
            bit. Defaults to `False`.
        fraction_bits: int. How fine the grid of a lossless network's values
            is; for those only. Defaults to `{fraction_bits}`."""

EXAMPLE_OF_REVNETS = """
    >>> entrance = irevnet_tf.encoder(model, "stage2_entrance")(x)
    >>> end = irevnet_tf.encoder(model, "stage2")(x)
    >>> entrance_again = irevnet_tf.invert(model, "stage2")(end)"""

NOTE_ON_REVNETS = """ The
    attribute `preprocessing` of the model can be set to the mode, and stays in
    files and copies."""


def _constructor(variant, table, builder, options, docstring):
    spec = dict(table[variant])
    del spec["description"]
    input_size, classes = spec.pop("input_size"), spec.pop("classes")

    def build(**arguments):
        side = input_size if arguments["include_top"] else None
        return build_unpretrained(
            variant, builder, {**spec, **arguments}, (side, side, 3)
        )

    return named(
        variant,
        build,
        builder=builder,
        classes=classes,
        options={"dropout_rate": 0.0, **options},
        docstring=docstring,
        module=__name__,
    )


def _revnet(variant):
    docstring = DOCSTRING.format(
        name=variant,
        home="irevnet_tf",
        example=EXAMPLE_OF_REVNETS,
        builder="irevnet_tf.RevNet",
        more=OF_REVNETS.format(**REVERSIBLE),
        note=NOTE_ON_REVNETS,
        **REVNETS[variant],
    )
    return _constructor(variant, REVNETS, RevNet, REVERSIBLE, docstring)


def _resnet(variant):
    docstring = DOCSTRING.format(
        name=variant,
        home="irevnet_tf.baselines",
        example="""
    >>> probabilities = model(x)""",
        builder="irevnet_tf.baselines.ResNet",
        more="",
        note="",
        **RESNETS[variant],
    )
    return _constructor(variant, RESNETS, ResNet, {}, docstring)


RevNet38 = _revnet("RevNet38")
RevNet56 = _revnet("RevNet56")
RevNet104 = _revnet("RevNet104")
RevNet110 = _revnet("RevNet110")
RevNet164 = _revnet("RevNet164")
ResNet32 = _resnet("ResNet32")
ResNet101 = _resnet("ResNet101")
ResNet110 = _resnet("ResNet110")
ResNet164 = _resnet("ResNet164")
