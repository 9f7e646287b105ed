"""Inverting a network by its Jacobian, to compare with its inverse."""

import dataclasses

import numpy as np
from scipy.linalg import lstsq

from irevnet_tf.analysis.network import Network
from irevnet_tf.reconstruction import relative_errors

METHODS = (
    "known image",
    "least squares, float32",
    "least squares, float64",
    "inverse",
)


@dataclasses.dataclass(frozen=True, eq=False)
class LocalInversion:
    """Images near a known one, rebuilt from their representations.

    The local inverse knows an image x, the Jacobian J there, and the
    representation of a neighbour x'. Its guess is the least squares solution
    of `J (x' - x) = Phi(x') - Phi(x)`.

    Attributes:
        methods: tuple of strs. They are `METHODS`.
        distances: float array (images, sizes). `||x' - x|| / ||x||` of the
            neighbours as the network keeps them.
        errors: float array (images, methods, sizes). Relative errors of the
            rebuilt neighbours. The first is the guess that they are x itself.
        known: float array (images, height, width, channels). Images as the
            network takes them.
        neighbours: float array (images, sizes, height, width, channels). Images
            near the known ones.
        rebuilt: float array (images, methods, sizes, height, width, channels).
            The rebuilt neighbours.
    """

    methods: tuple[str, ...]
    distances: np.ndarray
    errors: np.ndarray
    known: np.ndarray
    neighbours: np.ndarray
    rebuilt: np.ndarray


def invert_locally(
    network: Network,
    image: np.ndarray,
    jacobian: np.ndarray,
    name: str,
    *,
    window: tuple[int, int, int, int],
    distances: np.ndarray,
    generator: np.random.Generator,
) -> LocalInversion:
    """Rebuild random neighbours of an image, which vary inside a window.

    Args:
        network: `Network`. It encodes.
        image: float array (height, width, channels). The known image.
        jacobian: float array (representation, pixels of the window). The
            derivative at the image.
        name: str. The point whose representation this is.
        window: tuple (top, left, height, width). The pixels that vary.
        distances: float array (sizes,). Those of the neighbours, relative to
            the image's norm.
        generator: NumPy random generator. Draws the directions.

    Returns:
        A `LocalInversion` of one image.
    """
    top, left, height, width = window
    inside = (slice(top, top + height), slice(left, left + width))
    moves = generator.normal(size=(len(distances), *image[inside].shape))
    norms = np.sqrt(np.sum(moves**2, axis=(1, 2, 3), keepdims=True))
    norm = np.linalg.norm(image) or 1.0
    moves *= distances[:, None, None, None] * norm / norms
    neighbours = np.repeat(image[None], len(distances), axis=0)
    neighbours[:, *inside] += moves
    neighbours = network.on_grid(neighbours.astype(image.dtype))
    known_again = np.repeat(image[None], len(distances), axis=0)
    representations = network.encode(neighbours, name)
    known = network.encode(image[None], name)
    right = (representations - known).reshape(len(distances), -1).T
    rebuilt = [known_again]
    for dtype in ("float32", "float64"):
        solution, *_ = lstsq(
            jacobian.astype(dtype),
            right.astype(dtype),
            lapack_driver="gelsy",
            check_finite=False,
        )
        guess = np.repeat(image[None].astype(dtype), len(distances), axis=0)
        guess[:, *inside] += solution.T.reshape(moves.shape)
        rebuilt.append(guess)
    rebuilt.append(network.decode(representations, name))
    errors = [relative_errors(neighbours, guess) for guess in rebuilt]
    return LocalInversion(
        METHODS,
        relative_errors(known_again, neighbours)[None],
        np.array(errors)[None],
        image[None],
        neighbours[None],
        np.array(rebuilt)[None],
    )


def joined(parts: list[LocalInversion]) -> LocalInversion:
    """Return the results of several images as one."""
    arrays = ("distances", "errors", "known", "neighbours", "rebuilt")
    return dataclasses.replace(
        parts[0],
        **{a: np.concatenate([getattr(x, a) for x in parts]) for a in arrays},
    )
