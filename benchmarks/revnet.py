"""What contestants with MemCNN's example network have in common.

Its RevNets for CIFAR (`revnet38`, `revnet110` in its experiments): stem, three
stages of units of two functions, each of BatchNorm, ReLU, 3x3 convolution,
twice; a stage that changes the shape begins with an ordinary residual unit. All
contestants get the same weights and images.
"""

import zlib

import numpy as np

CLASSES = 10
CHANNELS = {3: (32, 32, 64, 112), 9: (32, 32, 64, 128)}


def kernel(name, shape) -> np.ndarray:
    """Return the kernel (height, width, in, out) or matrix of a name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    bound = np.prod(shape[:-1]) ** -0.5
    return rng.uniform(-bound, bound, shape).astype("float32")


def units(depth):
    """Yield (stage, unit, channels, whether it changes the shape)."""
    before, *stages = CHANNELS[depth]
    for stage, channels in enumerate(stages, start=1):
        for unit in range(depth):
            yield stage, unit, channels, channels != before
            before = channels


def batch(size):
    """Return images (batch, height, width, channels) and their labels."""
    rng = np.random.default_rng(2)
    images = rng.random((size, 32, 32, 3)) - 0.5
    return images.astype("float32"), rng.integers(0, CLASSES, size)


def operations(depth, size) -> int:
    """Return the operations of the convolutions of one forward pass."""
    total = 2 * 9 * 3 * CHANNELS[depth][0] * 32**2
    for stage, _, channels, is_transition in units(depth):
        pixels = (32 >> (stage - 1)) ** 2
        before = CHANNELS[depth][stage - 1]
        if is_transition:
            total += 2 * pixels * channels * (10 * before + 9 * channels)
        else:
            total += 2 * pixels * 4 * 9 * (channels // 2) ** 2
    return total * size
