"""What contestants with a chain of additive couplings have in common.

F is BatchNorm, ReLU, 3x3 convolution, twice: the residual of most reversible
networks. All contestants get the same weights and images.
"""

import numpy as np

CLASSES = 10


def weights(depth, channels) -> list[list[np.ndarray]]:
    """Return the two kernels (height, width, in, out) of each block.

    A block adds the less, the more there are: streams keep their size.
    """
    rng = np.random.default_rng(0)
    bounds = np.array([1, depth**-0.5]) * (9 * channels) ** -0.5
    shape = (3, 3, channels, channels)
    return [
        [rng.uniform(-b, b, shape).astype("float32") for b in bounds]
        for _ in range(depth)
    ]


def classifier(channels) -> np.ndarray:
    """Return the weights (features, classes) of the last layer."""
    rng = np.random.default_rng(1)
    values = rng.uniform(-0.1, 0.1, (2 * channels, CLASSES))
    return values.astype("float32")


def batch(size, pixels, channels):
    """Return images (batch, height, width, channels) and their labels."""
    rng = np.random.default_rng(2)
    images = rng.random((size, pixels, pixels, 2 * channels)) - 0.5
    return images.astype("float32"), rng.integers(0, CLASSES, size)


def operations(depth, channels, pixels, size) -> int:
    """Return the operations of the convolutions of one forward pass."""
    return depth * 2 * 2 * 9 * channels**2 * pixels**2 * size
