"""Reading each block's residual from the shapes in a state dict."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

# Where the authors' Sequential has its three convolutions.
CONVOLUTIONS = (2, 5, 9)
CONVOLUTIONS_OF_FIRST_BLOCK = (0, 3, 7)
_BLOCK_NAME = re.compile(r"stack\.(\d+)\.bottleneck_block\.\d+\.\w+")


@dataclasses.dataclass(frozen=True)
class Residual:
    """A block's residual, as the shapes of its three convolutions show it."""

    name: str
    inputs: int
    width: int
    outputs: int
    kernel_sizes: tuple[int, ...]

    @property
    def stride(self):
        return 1 if self.inputs == self.outputs else 2


def read_residuals(entries: Mapping[str, np.ndarray]) -> list[Residual]:
    """Return the residual of each block, from the first to the last.

    Args:
        entries: dict from str to array. Parameters under the authors' names.

    Raises:
        ValueError: if blocks or convolutions are missing, or do not fit each
            other.
    """
    numbers = {int(m[1]) for m in map(_BLOCK_NAME.fullmatch, entries) if m}
    if not numbers:
        raise ValueError(
            "`state_dict` must be that of an i-RevNet, with entries like "
            "stack.0.bottleneck_block.0.weight of the authors' network or "
            "features.stage1.unit1.bottleneck.conv1.weight of pytorchcv's. "
            f"Received: {len(entries)} entries, {list(entries)[:3]}"
        )
    return [
        _residual(entries, number, positions=CONVOLUTIONS)
        if number
        else _residual(entries, 0, positions=CONVOLUTIONS_OF_FIRST_BLOCK)
        for number in range(max(numbers) + 1)
    ]


def _residual(entries, number, positions):
    prefix = f"stack.{number}.bottleneck_block"
    names = [f"{prefix}.{position}.weight" for position in positions]
    shapes = [entry_shape(entries, name, 4) for name in names]
    for name, (*_, height, width) in zip(names, shapes, strict=True):
        if height != width or height % 2 == 0:
            raise ValueError(
                "Kernels must be square with an odd side. "
                f"Received: {name} with {height} x {width}"
            )
    first, second, third = shapes
    result = Residual(
        prefix,
        inputs=first[1],
        width=first[0],
        outputs=third[0],
        kernel_sizes=tuple(shape[-1] for shape in shapes),
    )
    if (
        {second[0], second[1], third[1]} != {result.width}
        or result.outputs not in (result.inputs, 4 * result.inputs)
        or not 0 < result.width <= result.outputs
    ):
        raise ValueError(
            "The convolutions of a block must fit each other, and the last "
            "have as many output channels as the first has inputs, or four "
            f"times as many. Received: {prefix} with the shapes {shapes}"
        )
    return result


def entry_shape(entries, name: str, rank: int) -> tuple[int, ...]:
    """Return the shape of the entry `name`, which must have `rank` axes."""
    if name not in entries:
        raise ValueError(
            "`state_dict` must be complete and hold the classifier. "
            f"Received: {len(entries)} entries without {name}"
        )
    shape = entries[name].shape
    if len(shape) != rank or 0 in shape:
        raise ValueError(
            f"{name} must have {rank} axes and not be empty. "
            f"Received: shape {shape}"
        )
    return shape
