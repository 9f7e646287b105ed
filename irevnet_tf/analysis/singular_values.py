"""Singular values of a Jacobian: all of them, or the largest."""

import numpy as np
from scipy.linalg import qr
from scipy.linalg import solve_triangular
from scipy.linalg import svdvals
from scipy.sparse.linalg import svds

# Random directions to estimate the energy of a Jacobian from.
DIRECTIONS = 64


class SpectraAlong:
    """Singular values of the Jacobians along a network, in float64.

    They are computed from the R of each Jacobian's QR decomposition, which has
    the same singular values. A Gram matrix would lose the small ones.

    Args:
        pixels: int. How many pixels vary.

    Attributes:
        values: list of float64 arrays (pixels,). Falling singular values, for
            each point.
        gains: list of pairs of floats. The least and largest stretch from one
            point to the next. J_k is B J_{k-1} for the layers' own B, and R_k
            R_{k-1}^-1 has the singular values of B on the range of J_{k-1},
            that is, on the changes that images can cause there.
    """

    def __init__(self, pixels: int):
        self.values = []
        self.gains = []
        self._before = np.eye(pixels)

    def add(self, jacobian: np.ndarray) -> None:
        """Take the next point's Jacobian, (m, pixels) with m >= pixels."""
        wide = jacobian.astype("float64")
        (factor,) = qr(wide, mode="r", overwrite_a=True, check_finite=False)
        factor = factor[: len(self._before)]
        self.values.append(svdvals(factor))
        own = solve_triangular(self._before, factor.T, trans="T").T
        stretches = svdvals(own)
        self.gains.append((stretches[-1], stretches[0]))
        self._before = factor


def largest(operator, count: int, generator: np.random.Generator):
    """Return the largest singular values, and an estimate of the energy.

    Args:
        operator: SciPy `LinearOperator`. The Jacobian.
        count: positive int. How many values.
        generator: NumPy random generator. Draws the start of the iteration and
            the directions of the estimate.

    Returns:
        float array (count,), falling, of at most one less than all values; and
        the sum of the squares of all: the sum for these, plus Hutchinson's
        estimate for the rest, the mean of `||J v||**2` over random signs v
        without their part along these (Hutch++, arXiv 2010.09649).
    """
    rank = min(operator.shape)
    _, values, rows = svds(
        operator,
        k=min(count, rank - 1),
        v0=generator.normal(size=rank),
        return_singular_vectors="vh",
    )
    signs = generator.choice([-1.0, 1.0], size=(operator.shape[1], DIRECTIONS))
    signs -= rows.T @ (rows @ signs)
    rest = np.sum(operator.matmat(signs) ** 2) / DIRECTIONS
    return np.sort(values)[::-1], np.sum(values**2) + rest
