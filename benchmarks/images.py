"""Images and labels for contestants with an ImageNet network."""

import numpy as np

CLASSES = 1000

# How many numbers of a result are compared.
COMPARED = 100


def batch(size, pixels):
    """Return random images (batch, height, width, 3), and their labels."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (size, pixels, pixels, 3)).astype("float32")
    return x, rng.integers(0, CLASSES, size)


def operations(pixels, size) -> int:
    """Return the operations of `IRevNet301`'s convolutions, one forward pass.

    Multiplications and additions of all 3x3 kernels.
    """
    total, side = 0, pixels // 2
    for depth, channels in zip(
        (6, 16, 72, 6), (24, 96, 384, 1536), strict=True
    ):
        side //= 2
        width = channels // 4
        others = width**2 + width * channels
        # A stage's first block reads a quarter of the channels.
        kernels = depth * others + (depth - 1) * channels * width + width**2
        total += 2 * 9 * kernels * side**2
    return total * size
