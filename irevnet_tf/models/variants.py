"""The named i-RevNets: a table of variants, and a constructor for each."""

import math

from irevnet_tf.models.checks import check_image_shape
from irevnet_tf.models.checks import check_input_tensor
from irevnet_tf.models.irevnet import IRevNet
from irevnet_tf.models.named import REVERSIBLE
from irevnet_tf.models.named import build_unpretrained
from irevnet_tf.models.named import named
from irevnet_tf.zoo.registry import find_record
from irevnet_tf.zoo.registry import verified_file

# The two ImageNet networks of the paper are 56 and 300. The authors' published
# code has 3x3 kernels only: 163 for CIFAR and 301 for ImageNet. `input_size`
# and `classes` are those of the data that each was made for; images have three
# channels where there are no `image_channels`.
VARIANTS = {
    "IRevNet19": {
        "description": "a smaller injective network for small images",
        "blocks": (2, 2, 2),
        "strides": (1, 2, 2),
        "channels": (14, 56, 224),
        "initial_downsampling": 1,
        "kernel_sizes": (3, 3, 3),
        "dropout_rate": 0.0,
        "input_size": 32,
        "classes": 10,
    },
    "IRevNet28": {
        "description": "a small injective network for small images",
        "blocks": (3, 3, 3),
        "strides": (1, 2, 2),
        "channels": (16, 64, 256),
        "initial_downsampling": 1,
        "kernel_sizes": (3, 3, 3),
        "dropout_rate": 0.0,
        "input_size": 32,
        "classes": 10,
    },
    "IRevNet34": {
        "description": "a small bijective network for gray images",
        "blocks": (2, 4, 4, 1),
        "strides": (1, 2, 2, 2),
        "channels": (2, 8, 32, 128),
        "initial_downsampling": 2,
        "kernel_sizes": (3, 3, 3),
        "bottleneck_ratio": 1,
        "dropout_rate": 0.0,
        "input_size": 32,
        "image_channels": 1,
        "classes": 10,
    },
    "IRevNet56": {
        "description": "the paper's injective ImageNet network (a)",
        "blocks": (4, 4, 6, 4),
        "strides": (1, 2, 2, 2),
        "channels": (96, 384, 1536, 6144),
        "initial_downsampling": 4,
        "kernel_sizes": (1, 3, 1),
        "dropout_rate": 0.0,
        "input_size": 224,
        "classes": 1000,
    },
    "IRevNet163": {
        "description": "the authors' injective CIFAR network",
        "blocks": (18, 18, 18),
        "strides": (1, 2, 2),
        "channels": (16, 64, 256),
        "initial_downsampling": 1,
        "kernel_sizes": (3, 3, 3),
        "dropout_rate": 0.1,
        "input_size": 32,
        "classes": 10,
    },
    "IRevNet300": {
        "description": "the paper's bijective ImageNet network (b)",
        "blocks": (6, 16, 72, 6),
        "strides": (2, 2, 2, 2),
        "channels": (24, 96, 384, 1536),
        "initial_downsampling": 2,
        "kernel_sizes": (1, 3, 1),
        "dropout_rate": 0.0,
        "input_size": 224,
        "classes": 1000,
    },
    "IRevNet301": {
        "description": "the authors' released bijective ImageNet network",
        "blocks": (6, 16, 72, 6),
        "strides": (2, 2, 2, 2),
        "channels": (24, 96, 384, 1536),
        "initial_downsampling": 2,
        "kernel_sizes": (3, 3, 3),
        "dropout_rate": 0.0,
        "input_size": 224,
        "classes": 1000,
    },
}

DOCSTRING = """Build the {name} architecture, {description}.

    {blocks} blocks per stage, strides {strides}, {channels} channels per
    stream, initial downsampling {initial_downsampling}, kernels {kernel_sizes}.

    Example:

    >>> model = irevnet_tf.{name}()
    >>> x = keras.random.uniform({images})
    >>> representation = irevnet_tf.encoder(model)(x)
    >>> x_again = irevnet_tf.invert(model)(representation)

    Args:
        include_top: bool. Whether to end in the classifier. Defaults to
            `True`.
        weights: None, str or path. `None` for random initialization (default),
            a name that `irevnet_tf.list_weights()` has for this network, or
            the path of a `.weights.h5` file.
        input_tensor: None or Keras tensor. The tensor to take as the image.
        input_shape: None or tuple (height, width, channels). Height and width
            must be divisible by {divisor}, or None. Defaults to
            `({input_size}, {input_size}, {image_channels})` with the classifier
            and to `(None, None, {image_channels})` without it. With named
            weights it defaults to the training images' size and channels; the
            channels must then be these, and with the classifier the size too.
        pooling: None or str. Without the classifier: `None` returns the
            invertible representation (4D), `"avg"` and `"max"` pooled features
            (2D).
        classes: positive int. The number of classes. Defaults to `{classes}`.
        classifier_activation: None, str or callable. Activation of the top
            layer; `None` returns logits. Defaults to `"softmax"`. With
            `weights` it must be one of these two.
        name: str. Name of the model.
        dropout_rate: float in [0, 1). Defaults to `{dropout_rate}`.
        memory_saving: bool. Whether training rebuilds activations instead of
            keeping them. Defaults to `True`.
        lossless: bool. Whether the inverse is exact to the last bit. Defaults
            to `False`.
        fraction_bits: int. How fine the grid of a lossless or portable
            network's values is; for those only. Defaults to `{fraction_bits}`.
        portable: bool. Whether to take the `weights` of integers, with which
            the inverse is exact from any runtime into any other; see
            `irevnet_tf.portable`, which makes them. Defaults to `False`.

    Returns:
        A Keras Functional model, see `irevnet_tf.IRevNet`.

    Raises:
        ValueError: as `irevnet_tf.IRevNet`; if the weights of this name are
            for other classes or images, are not on this machine, or do not
            have the SHA-256 on record.

    Note: scale images with `irevnet_tf.preprocess_input(x, mode)` first, with
    the name of the weights as the mode. A model with named weights has this
    mode as the attribute `preprocessing`, and keeps it when it is saved,
    cloned or made a part of another model.

    Reference:
        https://arxiv.org/abs/1802.07088
    """


def _constructor(variant):
    spec = {"image_channels": 3, **VARIANTS[variant]}
    words = dict(spec)
    del spec["description"]
    input_size, channels, default_classes, default_dropout = map(
        spec.pop, ("input_size", "image_channels", "classes", "dropout_rate")
    )

    def build(**arguments):
        record = find_record(
            variant, arguments["weights"], arguments["portable"]
        )
        if record is None:
            side = input_size if arguments["include_top"] else None
            return build_unpretrained(
                variant, IRevNet, {**spec, **arguments}, (side, side, channels)
            )
        arguments["input_shape"] = _pretrained_shape(record, arguments)
        arguments["weights"] = verified_file(record)
        model = IRevNet(**spec, **arguments)
        model.preprocessing = record.preprocessing
        return model

    divisor = spec["initial_downsampling"] * math.prod(spec["strides"])
    return named(
        variant,
        build,
        builder=IRevNet,
        classes=default_classes,
        options={
            "dropout_rate": default_dropout,
            **REVERSIBLE,
            "portable": False,
        },
        docstring=DOCSTRING.format(
            name=variant,
            images=(1, input_size, input_size, channels),
            divisor=divisor,
            **REVERSIBLE,
            **words,
        ),
        module=__name__,
    )


def _pretrained_shape(record, arguments):
    """Return the `input_shape` to build for the weights of a name.

    Args:
        record: `WeightsRecord`. What is known of the weights.
        arguments: dict. Those of the constructor.

    Raises:
        ValueError: if the weights are not for these images or classes.
    """
    weights = f"weights={record.name!r}"
    include_top, input_tensor, input_shape, classes = map(
        arguments.get, ("include_top", "input_tensor", "input_shape", "classes")
    )
    if include_top and classes != record.classes:
        raise ValueError(
            f"With {weights} and the classifier, `classes` must be "
            f"{record.classes}. Received: classes={classes}"
        )
    if input_tensor is not None:
        check_input_tensor(input_tensor)
        channels = input_tensor.shape[-1]
    elif input_shape is None:
        height, width, channels = record.input_shape
        return record.input_shape if include_top else (None, None, channels)
    else:
        check_image_shape(input_shape)
        channels = input_shape[-1]
    if channels != record.input_shape[-1]:
        raise ValueError(
            f"With {weights}, images must have {record.input_shape[-1]} "
            f"channel(s). Received: input_shape={input_shape}, "
            f"input_tensor={input_tensor}"
        )
    if (
        include_top
        and input_tensor is None
        and tuple(input_shape) != record.input_shape
    ):
        raise ValueError(
            f"With {weights} and the classifier, `input_shape` must be "
            f"{record.input_shape}, for which its accuracy is known. For "
            "other sizes, load the file by its path. "
            f"Received: input_shape={input_shape}"
        )
    return input_shape


IRevNet19 = _constructor("IRevNet19")
IRevNet28 = _constructor("IRevNet28")
IRevNet34 = _constructor("IRevNet34")
IRevNet56 = _constructor("IRevNet56")
IRevNet163 = _constructor("IRevNet163")
IRevNet300 = _constructor("IRevNet300")
IRevNet301 = _constructor("IRevNet301")

# {name: constructor}, those of `models.constructors` that are i-RevNets.
CONSTRUCTORS = {
    variant.__name__: variant
    for variant in (
        IRevNet19,
        IRevNet28,
        IRevNet34,
        IRevNet56,
        IRevNet163,
        IRevNet300,
        IRevNet301,
    )
}
