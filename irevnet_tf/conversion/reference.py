"""The i-RevNet in PyTorch, to compare a converted network with.

Plain functions of `torch.nn.functional` on the entries of a state dict, so
that any configuration of the authors' network runs without their code. It
needs PyTorch; nothing else in the package imports it.
"""

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F

from irevnet_tf.conversion.architecture import Architecture
from irevnet_tf.conversion.residual_shapes import CONVOLUTIONS
from irevnet_tf.conversion.residual_shapes import CONVOLUTIONS_OF_FIRST_BLOCK


@dataclasses.dataclass(frozen=True)
class _Block:
    """One block: its number, stride, and zeros to append before it."""

    number: int
    stride: int
    padding: int
    width: int

    @property
    def zero_channels(self):
        return min(self.padding, self.width)


class PyTorchNetwork:
    """An i-RevNet with the given weights, in evaluation mode.

    The inverse resets channels that padding set to zero before a residual reads
    them, as `irevnet_tf.invert` does and the authors' code does not.

    Args:
        entries: dict from str to array. Parameters under the authors' names,
            as `irevnet_tf.conversion.pytorch.authors_entries` returns.
        architecture: `Architecture`. That of these entries.
    """

    def __init__(
        self, entries: dict[str, np.ndarray], architecture: Architecture
    ):
        self.entries = {
            name: torch.from_numpy(np.array(array, np.float32))
            for name, array in entries.items()
        }
        self.psi = architecture.initial_downsampling
        self.blocks = _blocks(architecture)

    def forward(
        self, images: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (N, classes) and representation of (N, C, H, W)."""
        x = psi(images, self.psi)
        for block in self.blocks:
            x1, x2 = F.pad(x, (0, 0, 0, 0, 0, block.padding)).chunk(2, 1)
            residual = self._residual(block, x2)
            x1, x2 = (psi(part, block.stride) for part in (x1, x2))
            x = torch.cat((x2, x1 + residual), 1)
        pooled = self._norm_relu("bn1", x).mean((2, 3))
        logits = F.linear(
            pooled, self.entries["linear.weight"], self.entries["linear.bias"]
        )
        return logits, x

    def inverse(self, representation: torch.Tensor) -> torch.Tensor:
        """Return the images (N, C, H, W) of a representation."""
        x = representation
        for block in reversed(self.blocks):
            x2, x1 = x.chunk(2, 1)
            x2 = psi_inverse(x2, block.stride)
            if block.zero_channels:
                x2 = x2.clone()
                x2[:, -block.zero_channels :] = 0
            x1 = psi_inverse(x1 - self._residual(block, x2), block.stride)
            x = torch.cat((x1, x2), 1)
            x = x[:, : x.shape[1] - block.padding]
        return psi_inverse(x, self.psi)

    def _residual(self, block, x):
        positions = (
            CONVOLUTIONS if block.number else CONVOLUTIONS_OF_FIRST_BLOCK
        )
        prefix = f"stack.{block.number}.bottleneck_block"
        for index, position in enumerate(positions):
            if position:
                # In front of each convolution but the very first are a
                # BatchNorm and a ReLU.
                x = self._norm_relu(f"{prefix}.{position - 2}", x)
            kernel = self.entries[f"{prefix}.{position}.weight"]
            x = F.conv2d(
                x,
                kernel,
                stride=1 if index else block.stride,
                padding=kernel.shape[-1] // 2,
            )
        return x

    def _norm_relu(self, name, x):
        return F.relu(
            F.batch_norm(
                x,
                self.entries[f"{name}.running_mean"],
                self.entries[f"{name}.running_var"],
                self.entries.get(f"{name}.weight"),
                self.entries.get(f"{name}.bias"),
            )
        )


def psi(x: torch.Tensor, size: int) -> torch.Tensor:
    """Move patches into channels: (N, C, H, W) to (N, s*s*C, H/s, W/s)."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // size, size, w // size, size)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, h // size, w // size)


def psi_inverse(y: torch.Tensor, size: int) -> torch.Tensor:
    """Undo `psi`."""
    n, c, h, w = y.shape
    y = y.reshape(n, size, size, c // size**2, h, w)
    return y.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, h * size, w * size)


def _blocks(architecture):
    blocks = []
    merged = architecture.image_channels * architecture.initial_downsampling**2
    for depth, stride, width in zip(
        architecture.blocks,
        architecture.strides,
        architecture.channels,
        strict=True,
    ):
        padding = 2 * width - merged if stride == 1 else 0
        for position in range(depth):
            block = _Block(len(blocks), 1, 0, width)
            if position == 0:
                block = _Block(len(blocks), stride, padding, width)
            blocks.append(block)
        merged = 2 * width
    return blocks
