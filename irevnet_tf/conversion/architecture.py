"""Recognising a network from the shapes in its state dict."""

import dataclasses
import math

import keras

from irevnet_tf.conversion.pytorch import authors_entries
from irevnet_tf.conversion.residual_shapes import entry_shape
from irevnet_tf.conversion.residual_shapes import read_residuals
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.models.irevnet import IRevNet
from irevnet_tf.models.variants import CONSTRUCTORS
from irevnet_tf.models.variants import VARIANTS

INITIAL_DOWNSAMPLINGS = (1, 2, 4)
USUAL_BOTTLENECK_RATIO = 4

# The arguments of IRevNet that tell one variant from another.
_RECOGNISED_BY = ("blocks", "strides", "channels", "kernel_sizes")


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The arguments of `IRevNet` for a state dict.

    Attributes:
        blocks, strides, channels, kernel_sizes: tuple of ints. As in
            `irevnet_tf.IRevNet`.
        bottleneck_ratio, initial_downsampling, classes: int. As there.
        image_channels: int. Channels of the images that the network takes.
        assumed: bool. Whether `initial_downsampling` is the usual one rather
            than known: where the first stage has stride 1, zeros may fill up
            the channels that the image leaves, whatever its psi.
    """

    blocks: tuple[int, ...]
    strides: tuple[int, ...]
    channels: tuple[int, ...]
    kernel_sizes: tuple[int, int, int]
    bottleneck_ratio: int
    initial_downsampling: int
    classes: int
    image_channels: int
    assumed: bool

    @property
    def divisor(self) -> int:
        """What must divide height and width of the images."""
        return self.initial_downsampling * math.prod(self.strides)

    @property
    def variant(self) -> str | None:
        """Name of the constructor in `irevnet_tf`, if there is one."""
        for name, spec in VARIANTS.items():
            if (
                _fits(dataclasses.asdict(self), spec)
                and self.initial_downsampling == spec["initial_downsampling"]
            ):
                return name
        return None

    def build(self, image_size: int | None = None, **kwargs) -> keras.Model:
        """Return a network of this architecture with random weights.

        Args:
            image_size: None or int. Height and width of the images; None for
                any.
            **kwargs: keyword arguments. Further arguments of the constructor.
        """
        kwargs = {
            "input_shape": (image_size, image_size, self.image_channels),
            "classes": self.classes,
            **kwargs,
        }
        if self.variant:
            return CONSTRUCTORS[self.variant](**kwargs)
        return IRevNet(
            self.blocks,
            self.strides,
            self.channels,
            kernel_sizes=self.kernel_sizes,
            bottleneck_ratio=self.bottleneck_ratio,
            initial_downsampling=self.initial_downsampling,
            **kwargs,
        )


def infer_architecture(
    state_dict, image_channels: int = 3, initial_downsampling: int | None = None
) -> Architecture:
    """Find out which i-RevNet a state dict belongs to.

    A block has stride 2 exactly if it has four times as many channels as its
    residual's input. Stages of the same width that follow each other with
    stride 1 are one stage here: they compute the same.

    Args:
        state_dict: dict from str to array or tensor. As for
            `irevnet_tf.convert_state_dict`.
        image_channels: int. Channels of the images that the network takes.
        initial_downsampling: None, 1, 2 or 4. If None, what fits the shapes.
            Where the first stage has stride 1, several may fit; then it is
            that of the named variant with these stages, or what makes the
            network bijective, or 1.

    Returns:
        The architecture, as the shapes show it.

    Raises:
        ValueError: if `state_dict` is not of an i-RevNet with a classifier,
            or its shapes contradict each other or the arguments.
    """
    check_positive_int("image_channels", image_channels)
    if initial_downsampling not in (None, *INITIAL_DOWNSAMPLINGS):
        raise ValueError(
            "`initial_downsampling` must be 1, 2 or 4. "
            f"Received: initial_downsampling={initial_downsampling}"
        )
    entries = authors_entries(state_dict)
    residuals = read_residuals(entries)
    stages = _stages(residuals)
    found = {
        "blocks": tuple(depth for depth, _, _ in stages),
        "strides": tuple(stride for _, stride, _ in stages),
        "channels": tuple(width for _, _, width in stages),
        "kernel_sizes": _kernel_sizes(residuals),
        "bottleneck_ratio": _bottleneck_ratio(residuals),
        "classes": _classes(entries, 2 * stages[-1][2]),
    }
    possible, usual = _downsamplings(found, residuals[0], image_channels)
    if initial_downsampling not in (None, *possible):
        raise ValueError(
            "`initial_downsampling` must be one of "
            f"{', '.join(map(str, possible))} for this state dict and images "
            f"with {image_channels} channels. "
            f"Received: initial_downsampling={initial_downsampling}"
        )
    return Architecture(
        **found,
        initial_downsampling=initial_downsampling or usual,
        image_channels=image_channels,
        assumed=initial_downsampling is None and found["strides"][0] == 1,
    )


def _stages(residuals):
    """Return (blocks, stride, channels) of each stage."""
    stages = []
    for residual in residuals:
        if stages:
            before = stages[-1][2]
            arriving = before * residual.stride**2
            if residual.outputs < arriving or (
                residual.stride == 2 and residual.outputs > arriving
            ):
                raise ValueError(
                    "A block must take all channels of the one before it, and "
                    "may have more only with stride 1. Received: "
                    f"{residual.name} with {residual.inputs} input and "
                    f"{residual.outputs} output channels behind {before}"
                )
        if (
            not stages
            or residual.stride == 2
            or residual.outputs != stages[-1][2]
        ):
            stages.append([0, residual.stride, residual.outputs])
        stages[-1][0] += 1
    return stages


def _kernel_sizes(residuals):
    first = residuals[0]
    for residual in residuals:
        if residual.kernel_sizes != first.kernel_sizes:
            raise ValueError(
                "All blocks must have the same kernel sizes. Received: "
                f"{first.name} with {first.kernel_sizes}, {residual.name} "
                f"with {residual.kernel_sizes}"
            )
    return first.kernel_sizes


def _bottleneck_ratio(residuals):
    ratios = [
        ratio
        for ratio in range(1, min(r.outputs for r in residuals) + 1)
        if all(r.outputs // ratio == r.width for r in residuals)
    ]
    if not ratios:
        widths = sorted({(r.outputs, r.width) for r in residuals})
        raise ValueError(
            "All residuals must be narrower inside by the same whole "
            f"`bottleneck_ratio`. Received: (channels, inside) of {widths}"
        )
    if USUAL_BOTTLENECK_RATIO in ratios:
        return USUAL_BOTTLENECK_RATIO
    return ratios[0]


def _classes(entries, channels):
    classes, inputs = entry_shape(entries, "linear.weight", 2)
    if inputs != channels:
        raise ValueError(
            "The classifier must take both streams of the last block, "
            f"{channels} channels. "
            f"Received: linear.weight with {inputs} inputs"
        )
    return classes


def _downsamplings(found, first, image_channels):
    """Return the possible sizes of psi, and the one to assume."""
    merged = 2 * first.inputs
    exact = [
        size
        for size in INITIAL_DOWNSAMPLINGS
        if image_channels * size**2 == merged
    ]
    if first.stride == 2:
        possible = exact
    else:
        possible = [
            size
            for size in INITIAL_DOWNSAMPLINGS
            if image_channels * size**2 <= merged
        ]
    if not possible:
        fitting = [
            f"{merged // size**2} (with an initial downsampling of {size})"
            for size in INITIAL_DOWNSAMPLINGS
            if merged % size**2 == 0
        ]
        raise ValueError(
            f"The first block takes {merged} channels, which must come from "
            f"images with {', '.join(fitting)} channels"
            f"{' or fewer' if first.stride == 1 else ''}. "
            f"Received: image_channels={image_channels}"
        )
    by_variant = [
        spec["initial_downsampling"]
        for spec in VARIANTS.values()
        if _fits(found, spec) and spec["initial_downsampling"] in possible
    ]
    return possible, (by_variant + exact + possible)[0]


def _fits(found, spec):
    """Return whether a dict of the architecture is that of a variant."""
    ratio = spec.get("bottleneck_ratio", USUAL_BOTTLENECK_RATIO)
    return found["bottleneck_ratio"] == ratio and all(
        found[key] == spec[key] for key in _RECOGNISED_BY
    )
