"""The flags of irevnet-convert."""

import dataclasses

from absl import flags

from irevnet_tf.conversion.architecture import INITIAL_DOWNSAMPLINGS
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.zoo.registry import SUFFIX
from irevnet_tf.zoo.registry import weights_records

# What is converted has this name where it is of the published architecture.
WEIGHTS_NAME = "imagenet"


@dataclasses.dataclass(frozen=True)
class Request:
    """The flags, by their names."""

    checkpoint: str | None
    pytorchcv: bool
    output: str | None
    model: str | None
    image_channels: int
    initial_downsampling: int | None
    image_size: int | None
    tolerance: float

    @classmethod
    def from_flags(cls, values: flags.FlagValues) -> "Request":
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: values[name].value for name in names})


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags.

    Not on import: other applications have flags of the same names.
    """
    flags.DEFINE_string(
        "checkpoint",
        None,
        "The .pth.tar or .pth file: a checkpoint of the authors' code, or a "
        "state dict of theirs or of pytorchcv's network.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "pytorchcv",
        False,
        "Instead of --checkpoint: fetch irevnet301 through pytorchcv's model "
        "store, which needs a network.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        f"The {SUFFIX} file to write. If not given: for {published_models()} "
        "with its classes, where the constructor looks for it.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "model",
        None,
        sorted(VARIANTS),
        "Which network it must be; any if not given.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_channels",
        3,
        "Channels of the images that the network takes.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "initial_downsampling",
        None,
        list(map(str, INITIAL_DOWNSAMPLINGS)),
        "The psi at the entrance, 1 for none. Only needed where the first "
        "stage has stride 1, and it is not the usual one.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width of the images to compare the networks on.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "tolerance",
        1e-4,
        "By how much logits and features may differ; beyond 1, as a part of "
        "the largest.",
        lower_bound=0.0,
        flag_values=values,
    )


def published_models() -> str:
    """Return the networks whose weights are converted ones, in words."""
    return " or ".join(
        record.model
        for record in weights_records()
        if record.name == WEIGHTS_NAME
    )
