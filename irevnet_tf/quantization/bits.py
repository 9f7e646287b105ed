"""Bits, how many of them numbers have in a portable network."""

import dataclasses

from irevnet_tf.layers.fixed_point import check_fraction_bits
from irevnet_tf.layers.integer_arithmetic import check_bits

OVERFLOW = ("scale", "split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bits:
    """How many bits numbers have, and what gives way where they do not fit.

    Attributes:
        weight_bits: int. Bits of the weights, with the sign.
        activation_bits: int. Bits of the activations, without a sign.
        sum_bits: int. Partial sums are below 2**sum_bits.
        fraction_bits: int. Streams are multiples of 2**-fraction_bits.
        overflow: str. "scale" to make the weights of a channel smaller, "split"
            to add up its inputs in groups.
    """

    weight_bits: int
    activation_bits: int
    sum_bits: int
    fraction_bits: int
    overflow: str

    def __post_init__(self):
        check_bits("weight_bits", self.weight_bits)
        check_bits("activation_bits", self.activation_bits, 12)
        check_bits("sum_bits", self.sum_bits, 23)
        check_fraction_bits(self.fraction_bits, "float32")
        if self.sum_bits <= self.activation_bits + 2:
            raise ValueError(
                "`sum_bits` must leave room for more than single activations. "
                f"Received: sum_bits={self.sum_bits}, activation_bits="
                f"{self.activation_bits}"
            )
        if self.overflow not in OVERFLOW:
            raise ValueError(
                "`overflow` must be 'scale', to shrink the weights of a "
                "channel whose sums are too large, or 'split', to add its "
                f"inputs in groups. Received: overflow={self.overflow!r}"
            )

    @property
    def largest_weight(self) -> int:
        return 2 ** (self.weight_bits - 1) - 1

    @property
    def largest_activation(self) -> int:
        return 2**self.activation_bits - 1

    @property
    def slack(self) -> float:
        """What sums may grow by, when shifts are corrected."""
        return 2.0**self.sum_bits / 64

    @property
    def room(self) -> float:
        """What sums may reach before."""
        return 2.0**self.sum_bits - self.slack - 2

    @property
    def room_of_integers(self) -> float:
        """The same, in integers, which must be exact to a half."""
        return 2.0**23 * (1 - 1 / 32)
