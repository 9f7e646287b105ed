"""The table of all named networks, by their names."""

import inspect
from collections.abc import Callable

import keras

from irevnet_tf.models import resnet_variants
from irevnet_tf.models import transformer_variants
from irevnet_tf.models import variants
from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS

# {name: constructor}
CONSTRUCTORS: dict[str, Callable[..., keras.Model]] = {
    **variants.CONSTRUCTORS,
    **{
        constructor.__name__: constructor
        for constructor in (
            resnet_variants.RevNet38,
            resnet_variants.RevNet56,
            resnet_variants.RevNet104,
            resnet_variants.RevNet110,
            resnet_variants.RevNet164,
            resnet_variants.ResNet32,
            resnet_variants.ResNet101,
            resnet_variants.ResNet110,
            resnet_variants.ResNet164,
            transformer_variants.RevViTMini,
            transformer_variants.RevViTS,
            transformer_variants.RevViTB,
            transformer_variants.ViTMini,
            transformer_variants.ViTS,
            transformer_variants.ViTB,
        )
    },
}


def options_of(name: str) -> set[str]:
    """Return the names of the arguments that a network's constructor takes.

    Args:
        name: str. A key of `CONSTRUCTORS`.
    """
    return set(inspect.signature(CONSTRUCTORS[name]).parameters)


def without_options(name: str) -> dict[str, bool | int | float]:
    """Return the options that a network does not have, switched off.

    Args:
        name: str. A key of `CONSTRUCTORS`.
    """
    off = {
        "memory_saving": False,
        "lossless": False,
        "fraction_bits": DEFAULT_FRACTION_BITS,
        "stochastic_depth_rate": 0.0,
    }
    return {key: off[key] for key in off if key not in options_of(name)}
