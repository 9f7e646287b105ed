"""The flags of irevnet-portable."""

import dataclasses

from irevnet_tf.apps.class_matching import CLASS_NAMES
from irevnet_tf.apps.image_data import DataRequest
from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS
from irevnet_tf.quantization.bits import OVERFLOW
from irevnet_tf.quantization.conversion import portable
from irevnet_tf.quantization.pixels import LEAST_IMAGES
from irevnet_tf.settings import setting

# Flags that say how many bits there are, and what they are if not given.
BIT_FLAGS = (
    "weight_bits",
    "activation_bits",
    "sum_bits",
    "fraction_bits",
    "overflow",
)
DEFAULTS = {name: portable.__kwdefaults__[name] for name in BIT_FLAGS} | {
    "fraction_bits": DEFAULT_FRACTION_BITS
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(DataRequest):
    """The flags, by their names."""

    output: str | None = setting(
        None,
        "The file to write: .keras, or .weights.h5 for the usual numbers of "
        "bits.",
    )
    certificate: str | None = setting(
        None, "A JSON file for the certificate, too."
    )
    images: int = setting(
        512, "Training images of the calibration.", least=LEAST_IMAGES
    )
    weight_bits: int | None = setting(
        None,
        f"Bits of a weight, with the sign; {DEFAULTS['weight_bits']} if not "
        "given.",
        least=2,
        most=16,
    )
    activation_bits: int | None = setting(
        None,
        f"Bits of an activation; {DEFAULTS['activation_bits']} if not given.",
        least=2,
        most=12,
    )
    sum_bits: int | None = setting(
        None,
        "Partial sums stay below 2**sum_bits units; "
        f"{DEFAULTS['sum_bits']} if not given. 21 leaves room for algorithms "
        "that round on the way, such as Winograd's.",
        least=2,
        most=23,
    )
    fraction_bits: int | None = setting(
        None,
        "Streams are multiples of 2**-fraction_bits; as of a lossless "
        f"network, or {DEFAULTS['fraction_bits']}, if not given.",
        least=0,
        most=23,
    )
    overflow: str | None = setting(
        None,
        "Where sums would get too large: scale weights down, or split inputs "
        f"into groups; {DEFAULTS['overflow']} if not given.",
        OVERFLOW,
    )
    class_names: str | None = setting(None, CLASS_NAMES)


def given_bits(request: Request) -> dict[str, int | str]:
    """Return {name: value} of the flags about bits that were given."""
    values = {name: getattr(request, name) for name in BIT_FLAGS}
    return {name: x for name, x in values.items() if x is not None}
