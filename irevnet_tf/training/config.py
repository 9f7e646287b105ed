"""What defines a training run."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from irevnet_tf.data import dataset_names
from irevnet_tf.layers.fixed_point import check_fraction_bits
from irevnet_tf.models.irevnet import DEFAULT_FRACTION_BITS
from irevnet_tf.models.variants import VARIANTS

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All that is needed to rebuild a run's model and to repeat the run.

    The defaults train `IRevNet28` on the digits: above 99 % test accuracy in
    less than two minutes on two CPU cores.

    Attributes:
        model: Name of the network's constructor, such as `"IRevNet28"`.
        dataset: Name of the data set, such as `"digits"`.
        epochs: Passes over the training data.
        batch_size: Examples per step.
        learning_rate: The peak, reached after the warm-up; from there it
            falls to zero along a cosine.
        warmup_epochs: Epochs in which the learning rate rises from zero.
        weight_decay: Decoupled: every step shrinks convolution and dense
            kernels by `learning_rate * weight_decay`.
        dropout_rate: Fraction of features dropped inside the blocks.
        memory_saving: Whether training rebuilds activations by inversion
            instead of storing them.
        lossless: Whether the network's inverse is exact to the last bit.
        fraction_bits: Counts if `lossless`: its values are multiples of
            `2**-fraction_bits`, below `2**(24 - fraction_bits)`.
        mixed_precision: Name of the Keras dtype policy.
        seed: Seed of the initial weights, the data order, the shifts and
            the dropout.

    Raises:
        ValueError: if a value is out of its range.
    """

    model: str = "IRevNet28"
    dataset: str = "digits"
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 0.1
    warmup_epochs: int = 3
    weight_decay: float = 5e-3
    dropout_rate: float = 0.0
    memory_saving: bool = True
    lossless: bool = True
    fraction_bits: int = DEFAULT_FRACTION_BITS
    mixed_precision: str = "float32"
    seed: int = 0

    def __post_init__(self):
        self._require("model", self.model in VARIANTS, _one_of(VARIANTS))
        self._require(
            "dataset",
            self.dataset in dataset_names(),
            _one_of(dataset_names()),
        )
        self._require("epochs", self.epochs >= 1, "at least 1")
        self._require("batch_size", self.batch_size >= 1, "at least 1")
        self._require(
            "learning_rate",
            0 < self.learning_rate < math.inf,
            "positive and finite",
        )
        self._require(
            "warmup_epochs",
            0 <= self.warmup_epochs < self.epochs,
            f"at least 0 and less than `epochs` (={self.epochs})",
        )
        self._require(
            "weight_decay",
            0 <= self.weight_decay < math.inf,
            "at least 0 and finite",
        )
        self._require(
            "dropout_rate",
            0 <= self.dropout_rate < 1,
            "at least 0 and less than 1",
        )
        check_fraction_bits(self.fraction_bits, "float32")
        self._require(
            "mixed_precision",
            self.mixed_precision in PRECISIONS,
            _one_of(PRECISIONS),
        )
        self._require("seed", 0 <= self.seed < 2**31, "in [0, 2**31)")

    def _require(self, name: str, satisfied: bool, expected: str) -> None:
        if not satisfied:
            raise ValueError(
                f"`{name}` must be {expected}. "
                f"Received: {name}={getattr(self, name)!r}"
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunConfig":
        """Make the configuration that `dataclasses.asdict` was given.

        Args:
            values: The value of every attribute.

        Raises:
            ValueError: if one is missing, unknown or out of its range.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if values.keys() != names:
            raise ValueError(
                "A run's configuration must have exactly the keys "
                f"{', '.join(sorted(names))}. Missing: "
                f"{', '.join(sorted(names - values.keys())) or 'none'}. "
                "Unknown: "
                f"{', '.join(sorted(values.keys() - names)) or 'none'}."
            )
        return cls(**values)


def _one_of(names: Iterable[str]) -> str:
    return f"one of {', '.join(names)}"
