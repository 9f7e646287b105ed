"""The images on which `portable_matrix.py` compares runtimes."""

import numpy as np

from irevnet_tf.models.chain import find_chain
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.preprocessing import Normalization

WHITE = 255.0
# Of 8 bits, and of scikit-learn's digits, whose 17 shades are no 8-bit ones.
RAW_STEP = 1 / 16


def normalization(mode) -> Normalization:
    """Return what exports do to images from 0 to 255.

    Args:
        mode: str. A mode of `irevnet_tf.preprocess_input`.
    """
    found = PREPROCESSING[mode]
    return Normalization(WHITE, found.mean, found.std)


def raw_images(normalised, mode):
    """Return images from 0 to 255, given those of a data set.

    Args:
        normalised: float32 array (N, height, width, channels). The images.
        mode: str. How they were scaled.
    """
    raw = normalization(mode).undo(normalised).numpy()
    return (np.rint(raw / RAW_STEP) * RAW_STEP).astype("float32")


def made_images(shape, count, bounds) -> dict[str, np.ndarray]:
    """Return images from 0 to 255 that no camera has seen.

    Args:
        shape: tuple. Height, width and channels.
        count: int. How many images of noise there are to be.
        bounds: pair of floats. Raw values of the ends of the range.

    Returns:
        {name: float32 array (N, height, width, channels)}.
    """
    rng = np.random.default_rng(0)
    low, high = bounds
    integers = rng.integers(0, 256, (count, *shape))
    signs = rng.random((4, *shape)) < 0.5
    sets = {
        "noise, 8 bits": integers,
        "noise, any floats": rng.random((count, *shape)) * WHITE,
        "black, white, gray": [np.full(shape, x) for x in (0, WHITE, 128)],
        "checkerboards": [
            WHITE * checkerboard(shape, period, first)
            for period in (1, 2)
            for first in (0, 1)
        ],
        "ends of the range": [
            np.full(shape, low),
            np.full(shape, high),
            *np.where(signs[:2], low, high),
        ],
        # Tiny values round to zeros with their sign.
        "zeros with signs": [
            np.full(shape, -0.0),
            np.full(shape, -1e-6),
            *np.where(signs[2:], -1e-6, WHITE * signs[:2]),
        ],
    }
    return {name: np.asarray(x, "float32") for name, x in sets.items()}


def checkerboard(shape, period, first):
    """Return a board of 0 and 1, with fields of `period` pixels."""
    rows, columns = np.indices(shape[:2]) // period
    return np.broadcast_to(((rows + columns + first) % 2)[..., None], shape)


def ends_of_range(model, mode) -> tuple[float, float]:
    """Return raw values that are rounded to the ends of a network's range.

    A portable network knows its range; of others, black and white are taken.
    """
    scale = normalization(mode)
    entrance = find_chain(model).layers[0]
    bounds = getattr(entrance, "bounds", None)
    if bounds is None:
        return 0.0, WHITE
    # Within, as the division by 255 may be off by a bit.
    within = np.array([1, -1]) / 4 * 2.0**-entrance.fraction_bits
    low, high = np.asarray(bounds) + within
    mean, std = scale.mean[0], scale.std[0]
    return tuple((x * std + mean) * WHITE for x in (float(low), float(high)))


def expected_images(model, normalised):
    """Return what must come back: images on the grid of the entrance.

    Args:
        model: Keras model. A lossless or portable network.
        normalised: float32 array (N, height, width, channels). The images.
    """
    entrance = find_chain(model).layers[0].name
    on_grid = encoder(model, entrance)(normalised)
    return invert(model, entrance)(on_grid).numpy()
