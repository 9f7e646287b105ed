"""The images on which `portable_matrix.py` compares runtimes."""

import numpy as np
from portable_report import OFF_GRID

from irevnet_tf.models.chains import find_chain
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


def made_images(model, mode, count) -> dict[str, np.ndarray]:
    """Return images from 0 to 255 that no camera has seen.

    Args:
        model: Keras model. The network, with a fixed size.
        mode: str. How images are scaled.
        count: int. How many of each kind of noise there are to be.

    Returns:
        {name: float32 array (N, height, width, channels)}.
    """
    shape = model.input_shape[1:]
    steps = 2 ** entrance(model).fraction_bits
    low, high = ends_of_range(model, mode)
    rng = np.random.default_rng(0)
    signs = rng.random((4, *shape)) < 0.5
    sets = {
        "noise, 8 bits": rng.integers(0, 256, (count, *shape)),
        "noise, on the grid": rng.integers(0, steps + 1, (count, *shape))
        * (WHITE / steps),
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
        OFF_GRID: rng.random((count, *shape)) * WHITE,
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
    scale, layer = normalization(mode), entrance(model)
    bounds = getattr(layer, "bounds", None)
    if bounds is None:
        return 0.0, WHITE
    # Within, as the division by 255 may be off by a bit.
    within = np.array([1, -1]) / 4 * 2.0**-layer.fraction_bits
    low, high = np.asarray(bounds) + within
    mean, std = scale.mean[0], scale.std[0]
    return tuple((x * std + mean) * WHITE for x in (float(low), float(high)))


def expected_images(model, normalised):
    """Return what must come back: images on the grid of the entrance.

    Args:
        model: Keras model. A lossless or portable network.
        normalised: float32 array (N, height, width, channels). The images.
    """
    name = entrance(model).name
    on_grid = encoder(model, name)(normalised)
    return invert(model, name)(on_grid).numpy()


def entrance(model):
    """Return the layer that rounds images to the grid."""
    layer = find_chain(model).layers[0]
    if not hasattr(layer, "fraction_bits"):
        raise ValueError(
            "The network must be lossless or portable. Received: a network "
            f"whose first layer is {layer.name} of {type(layer)}"
        )
    return layer
