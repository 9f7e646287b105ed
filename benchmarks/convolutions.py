"""Algorithms of 3x3 convolutions in NumPy, which round as runtimes' do.

All take images `(batch, height, width, inputs)` and a kernel
`(3, 3, inputs, outputs)`, float32, pad with zeros, and return
`(batch, height, width, outputs)`, float32. `bits` are the explicit bits of the
mantissas of what is multiplied: 23 for float32, 10 for TF32, 7 for bfloat16.
What is added up is always float32.
"""

import functools

import numpy as np
import scipy.fft

# In this order; F(m x m, 3x3) takes the first m + 1, and infinity.
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


def rounded(x: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 to mantissas of some bits, ties to even."""
    drop = 23 - bits
    if not drop:
        return x
    integers = x.view("uint32")
    half = np.uint32((1 << (drop - 1)) - 1) + ((integers >> drop) & 1)
    mask = np.uint32(2**32 - (1 << drop))
    return ((integers + half) & mask).view("float32")


def direct(x, kernel, bits=23, stride=1):
    """Add up products, tap by tap.

    Args:
        x: float array. float64 is added up in float64, too.
        kernel: float array of the same dtype. Of any odd side.
        bits: int. Bits of the mantissas of float32.
        stride: positive int. As in the layers, from the first pixel on.
    """
    if x.dtype == "float32":
        x, kernel = rounded(x, bits), rounded(kernel, bits)
    side, (height, width) = kernel.shape[0], x.shape[1:3]
    x = np.pad(x, [(0, 0), (side // 2,) * 2, (side // 2,) * 2, (0, 0)])
    sums = 0
    for i, j in np.ndindex(side, side):
        part = x[:, i : i + height : stride, j : j + width : stride]
        # As one matrix, which is faster.
        flat = part.reshape(-1, part.shape[-1])
        sums = sums + flat @ kernel[i, j]
    return sums.reshape(*part.shape[:3], -1)


def shuffled(x, kernel, bits=23):
    """Do the same in another order of channels and taps."""
    order = np.random.default_rng(0).permutation(x.shape[-1])
    flipped = kernel[::-1, ::-1, order]
    found = direct(x[:, ::-1, ::-1, order], flipped, bits)
    return found[:, ::-1, ::-1]


@functools.cache
def winograd_matrices(tile: int) -> tuple[np.ndarray, ...]:
    """Return A', G and B' of F(tile x tile, 3x3), float64.

    Lavin and Gray: Fast Algorithms for Convolutional Neural Networks, 2016
    (arXiv:1509.09308), up to the signs of rows.
    """
    points = POINTS[: tile + 1]
    others = [[q for q in points if q != p] for p in points]
    norms = np.prod(
        np.subtract.outer(points, points) + np.eye(tile + 1), axis=1
    )
    a = [[p**j for p in points] + [float(j == tile - 1)] for j in range(tile)]
    g = np.vander(points, 3, increasing=True) / norms[:, None]
    b = [[*np.poly(q)[::-1], 0.0] for q in others] + [np.poly(points)[::-1]]
    return np.array(a), np.array([*g, [0.0, 0.0, 1.0]]), np.array(b)


def winograd(tile, x, kernel, bits=23):
    """Convolve in tiles: Winograd's F(tile x tile, 3x3), not fused."""
    a, g, b = (y.astype("float32") for y in winograd_matrices(tile))
    batch, height, width, _ = x.shape
    counts = [-(-side // tile) for side in (height, width)]
    around = [(1, -side % tile + 1) for side in (height, width)]
    x = np.pad(x, [(0, 0), *around, (0, 0)])
    tiles = np.lib.stride_tricks.sliding_window_view(
        x, (tile + 2, tile + 2), axis=(1, 2)
    )[:, ::tile, ::tile]
    # (tile + 2, tile + 2, batch, rows, columns, channels)
    tiles = _transformed(b, tiles.transpose(4, 5, 0, 1, 2, 3))
    tiles = tiles.reshape(tile + 2, tile + 2, -1, x.shape[-1])
    weights = _transformed(g, kernel)
    product = rounded(tiles, bits) @ rounded(weights, bits)
    y = _transformed(a, product).transpose(2, 3, 0, 1)
    y = y.reshape(batch, *counts, -1, tile, tile).transpose(0, 1, 4, 2, 5, 3)
    y = y.reshape(batch, counts[0] * tile, counts[1] * tile, -1)
    return y[:, :height, :width]


def _transformed(matrix, x):
    """Multiply the first two axes of an array by a matrix."""
    for _ in range(2):
        # Of the second axis, which becomes the first.
        x = np.tensordot(matrix, x, (1, 1))
    return x


def fourier(x, kernel, bits=23):
    """Multiply spectra of whole images."""
    height, width = x.shape[1:3]
    size = [scipy.fft.next_fast_len(side + 2, True) for side in x.shape[1:3]]
    spectra = scipy.fft.rfft2(x, size, axes=(1, 2)).transpose(1, 2, 0, 3)
    weights = scipy.fft.rfft2(kernel[::-1, ::-1], size, axes=(0, 1))
    product = _rounded_complex(spectra, bits) @ _rounded_complex(weights, bits)
    y = scipy.fft.irfft2(product, size, axes=(0, 1)).transpose(2, 0, 1, 3)
    return y[:, 1 : height + 1, 1 : width + 1]


def _rounded_complex(x, bits):
    pairs = np.ascontiguousarray(x).view("float32")
    return rounded(pairs, bits).view("complex64")


def winograd_bound(kernel, low: float, high: float) -> np.ndarray:
    """Return what no sum of F(2x2, 3x3) exceeds, of any image.

    Products are added up over the channels, and then in the two passes of the
    transformation of outputs, whichever is first; each in any order.

    Args:
        kernel: float array (3, 3, inputs, outputs). The weights.
        low: float. The least input, 0 or less.
        high: float. The largest input, 0 or more.

    Returns:
        float64 array (outputs,).
    """
    _, g, b = winograd_matrices(2)
    weights = _transformed(g, kernel.astype("float64"))
    found = np.zeros(kernel.shape[-1])
    for form in _partial_sums():
        # A sum of products is a linear form of a tile's pixels.
        factors = _transformed(b.T, form[..., None, None] * weights)
        positive = np.maximum(factors, 0).sum((0, 1, 2))
        negative = np.maximum(-factors, 0).sum((0, 1, 2))
        found = np.maximum(found, high * positive - low * negative)
        found = np.maximum(found, high * negative - low * positive)
    return found


def _partial_sums():
    """Return which products F(2x2, 3x3) adds up, arrays (4, 4) of signs."""
    a, _, _ = winograd_matrices(2)
    terms = {tuple(row * mask) for row in a for mask in np.ndindex(2, 2, 2, 2)}
    # Some terms of one pass, with one of the other's, or with all of them.
    forms = {
        tuple(np.outer(part, other).flat)
        for part in terms
        for other in (*np.eye(4), *a)
    }
    forms |= {tuple(np.reshape(x, (4, 4)).T.flat) for x in forms}
    return [np.reshape(x, (4, 4)) for x in forms]


ALGORITHMS = {
    "direct": shuffled,
    "F(2x2)": functools.partial(winograd, 2),
    "F(4x4)": functools.partial(winograd, 4),
    "F(6x6)": functools.partial(winograd, 6),
    "FFT": fourier,
}
