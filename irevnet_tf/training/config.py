"""RunConfig: what defines a run."""

import dataclasses
import math
from typing import Any

from irevnet_tf.data.augmentation import MAX_SHIFT
from irevnet_tf.data.augmentation import Augmentation
from irevnet_tf.layers.fixed_point import check_fraction_bits
from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS
from irevnet_tf.models.checks import check_lossless
from irevnet_tf.models.constructors import CONSTRUCTORS
from irevnet_tf.models.constructors import without_options
from irevnet_tf.preprocessing import NORMALIZATIONS
from irevnet_tf.settings import describe_settings
from irevnet_tf.settings import setting

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
WARMUP_EPOCHS = 3
SCHEDULES = ("cosine", "step", "constant")
OPTIMIZERS = ("sgd", "adamw")


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Augmentation):
    """All that is needed to rebuild a run's model and to repeat the run.

    The defaults train `IRevNet28` on the digits: about 99 % test accuracy in
    less than two minutes on two CPU cores. Devices, folders and logs are not a
    part of it: a run may be continued elsewhere. `Augmentation` has the
    attributes that are not listed here. A `--flag` in the list stands for the
    attribute of its name.

    Example:

    >>> config = irevnet_tf.training.RunConfig(dataset="cifar10", epochs=200)

    Raises:
        ValueError: if a value is out of its range, or if two contradict each
            other.
    """

    # Network
    model: str = setting("IRevNet28", "The network.", CONSTRUCTORS)
    dropout_rate: float = setting(
        0.0,
        "Fraction of features dropped inside the blocks, less than 1.",
        least=0,
        below=1,
    )
    stochastic_depth_rate: float = setting(
        0.0,
        "Of transformers: fraction of images that skip the last block, less "
        "than 1.",
        least=0,
        below=1,
    )
    memory_saving: bool = setting(
        True,
        "Rebuild activations by inversion in the backward pass instead of "
        "storing them.",
    )
    lossless: bool = setting(
        True, "Train a network whose inverse is exact to the last bit."
    )
    fraction_bits: int = setting(
        DEFAULT_FRACTION_BITS,
        "With --lossless: values are multiples of 2**-fraction_bits, and an "
        "error beyond 2**(24 - fraction_bits).",
    )
    mixed_precision: str = setting("float32", "Keras dtype policy.", PRECISIONS)
    jit: bool = setting(
        False, "Compile steps with XLA. Needs --nolossless and one device."
    )
    sync_batch_norm: bool = setting(
        False,
        "Take BatchNorm's statistics over the global batch instead of each "
        "replica's part of it.",
    )

    # Data
    dataset: str = setting(
        "digits",
        "The data: digits, a TFDS name such as cifar10, the folder of a "
        "prepared TFDS set, or a folder of images, split/label/*.jpg.",
    )
    train_split: str | None = setting(
        None, "Split to train on, as TFDS writes it; train if not given."
    )
    test_split: str | None = setting(
        None, "Split to test on; test or else validation if not given."
    )
    validation_fraction: float = setting(
        0.0,
        "Part of the training split that is kept for validation, less than "
        "1. The best weights are chosen by it; by the test data never.",
        least=0,
        below=1,
    )
    image_size: int | None = setting(
        None,
        "Height and width that images are resized to; needed for those of many "
        "sizes.",
        least=1,
    )
    image_channels: int | None = setting(
        None, "Demand images with this many channels, 1 or 3.", choices=(1, 3)
    )
    normalization: str | None = setting(
        None,
        "Scaling of pixel values; what the data set is known for if not given.",
        NORMALIZATIONS,
    )

    max_shift: int = setting(1, MAX_SHIFT, least=0)

    # Length and batches
    epochs: int = setting(60, "Passes over the training data.", least=1)
    steps: int | None = setting(
        None, "Optimizer steps in all, instead of --epochs.", least=1
    )
    steps_per_epoch: int | None = setting(
        None,
        "Optimizer steps that make an epoch; all data if not given.",
        least=1,
    )
    batch_size: int = setting(
        64,
        "Examples per optimizer step, over all devices and machines.",
        least=1,
    )
    accumulation_steps: int = setting(
        1,
        "Parts that every batch is computed in, one after the other.",
        least=1,
    )

    # Optimizer
    optimizer: str = setting(
        "sgd",
        "SGD with momentum, or Adam with decoupled weight decay.",
        OPTIMIZERS,
    )
    learning_rate: float = setting(
        0.1,
        "Peak learning rate, reached after the warm-up.",
        above=0,
        below=math.inf,
    )
    schedule: str = setting(
        "cosine",
        "How the learning rate falls: to zero along a cosine, by "
        "--decay_factor at each of --decay_epochs, or not at all.",
        SCHEDULES,
    )
    warmup_epochs: int | None = setting(
        None,
        "Epochs in which the learning rate rises from zero; "
        f"{WARMUP_EPOCHS} if not given, or what --epochs leaves room for.",
        least=0,
    )
    decay_epochs: tuple[int, ...] = setting(
        (), "With --schedule=step: epochs at whose start it falls."
    )
    decay_factor: float = setting(
        0.1,
        "With --schedule=step: what it is multiplied by.",
        above=0,
        below=math.inf,
    )
    momentum: float = setting(
        0.9, "Momentum of SGD, less than 1.", least=0, below=1
    )
    nesterov: bool = setting(True, "Nesterov's form of SGD's momentum.")
    weight_decay: float = setting(
        5e-4,
        "L2 penalty: the gradient gets this times the weight, as in PyTorch's "
        "SGD. Of Adam: the weight loses this times the learning rate.",
        least=0,
        below=math.inf,
    )
    weight_decay_all: bool = setting(
        False, "Decay BatchNorm's weights and biases too."
    )
    label_smoothing: float = setting(
        0.0,
        "Probability that labels give to all classes alike.",
        least=0,
        below=1,
    )
    clip_norm: float = setting(
        0.0,
        "Largest norm of the whole gradient, 0 for no limit.",
        least=0,
        below=math.inf,
    )
    ema_decay: float = setting(
        0.0,
        "Evaluate and save an average of the weights that keeps this much of "
        "itself in every step, such as 0.9999; 0 for none.",
        least=0,
        below=1,
    )

    # Repeatability
    seed: int = setting(
        0,
        "Seed of weights, data order, augmentation and dropout.",
        least=0,
        below=2**31,
    )
    deterministic: bool = setting(
        False, "Make every operation repeatable to the last bit, if slower."
    )

    def __post_init__(self):
        if self.warmup_epochs is None:
            room = 0 if self.steps is not None else self.epochs - 1
            room = min(WARMUP_EPOCHS, max(0, room))
            object.__setattr__(self, "warmup_epochs", room)
        super().__post_init__()
        fits = self.steps is not None or self.warmup_epochs < self.epochs
        expected = f"less than `epochs` (={self.epochs})"
        self._require("warmup_epochs", fits, expected)
        self._require("dataset", self.dataset, "the name of a data set")
        self._check_network()
        check_fraction_bits(self.fraction_bits, "float32")
        check_lossless(self.lossless, self.fraction_bits)
        self._require(
            "batch_size",
            self.batch_size % self.accumulation_steps == 0,
            f"divisible by `accumulation_steps` (={self.accumulation_steps})",
        )
        self._require(
            "decay_epochs",
            list(self.decay_epochs) == sorted(set(self.decay_epochs))
            and all(epoch >= 1 for epoch in self.decay_epochs)
            and bool(self.decay_epochs) == (self.schedule == "step"),
            "rising numbers of epochs, and given with schedule='step' only",
        )
        fits = not self.nesterov or self.momentum > 0
        self._require("nesterov", fits, "False without momentum")
        self._require(
            "jit",
            not (self.jit and (self.lossless or self.deterministic)),
            "False for lossless networks, which Keras' XLA would compile in "
            "`fit` and not elsewhere, and for deterministic runs",
        )

    def _check_network(self):
        """Refuse what the network does not have, which would change nothing."""
        off = without_options(self.model)
        wrong = {
            name: getattr(self, name)
            for name, value in off.items()
            if getattr(self, name) != value
        }
        if wrong:
            words = [f"`{name}` must be {off[name]}" for name in wrong]
            received = [f"{name}={value}" for name, value in wrong.items()]
            raise ValueError(
                f"{' and '.join(words)} for {self.model}, which cannot have "
                f"it. Received: {', '.join(received)}"
            )

    def _require(self, name: str, satisfied: Any, expected: str) -> None:
        if not satisfied:
            raise ValueError(
                f"`{name}` must be {expected}. "
                f"Received: {name}={getattr(self, name)!r}"
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunConfig":
        """Make the configuration that `dataclasses.asdict` was given.

        What an earlier version did not know has its default, which therefore
        must repeat earlier runs.

        Args:
            values: dict. The values of the attributes.

        Raises:
            ValueError: if one is unknown or out of its range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise ValueError(
                "A run's configuration must have keys of this version only. "
                f"Received: {', '.join(unknown)}"
            )
        # JSON has no tuples.
        decay_epochs = tuple(values.get("decay_epochs", ()))
        values = {**values, "decay_epochs": decay_epochs}
        if not values.get("lossless", cls.lossless):  # Once, any did nothing.
            values["fraction_bits"] = DEFAULT_FRACTION_BITS
        return cls(**values)
