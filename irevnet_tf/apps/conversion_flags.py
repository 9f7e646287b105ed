"""The flags of irevnet-convert."""

import dataclasses

from irevnet_tf.conversion.architecture import INITIAL_DOWNSAMPLINGS
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.settings import setting
from irevnet_tf.zoo.registry import SUFFIX
from irevnet_tf.zoo.registry import weights_records

# What is converted has this name where it is of the published architecture.
WEIGHTS_NAME = "imagenet"


def published_models() -> str:
    """Return the networks whose weights are converted ones, in words."""
    return " or ".join(
        record.model
        for record in weights_records()
        if record.name == WEIGHTS_NAME
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The flags, by their names."""

    checkpoint: str | None = setting(
        None,
        "The .pth.tar or .pth file: a checkpoint of the authors' code, or a "
        "state dict of theirs or of pytorchcv's network.",
    )
    pytorchcv: bool = setting(
        False,
        "Instead of --checkpoint: fetch irevnet301 through pytorchcv's model "
        "store, which needs a network.",
    )
    output: str | None = setting(
        None,
        f"The {SUFFIX} file to write. If not given: for {published_models()} "
        "with its classes, where the constructor looks for it.",
    )
    model: str | None = setting(
        None, "Which network it must be; any if not given.", sorted(VARIANTS)
    )
    image_channels: int = setting(
        3, "Channels of the images that the network takes.", least=1
    )
    initial_downsampling: int | None = setting(
        None,
        "The psi at the entrance, 1 for none. Only needed where the first "
        "stage has stride 1, and it is not the usual one.",
        INITIAL_DOWNSAMPLINGS,
    )
    image_size: int | None = setting(
        None,
        "Height and width of the images to compare the networks on.",
        least=1,
    )
    tolerance: float = setting(
        1e-4,
        "By how much logits and features may differ; beyond 1, as a part of "
        "the largest.",
        least=0.0,
    )
