"""spectrum: singular values of the encoder's Jacobian, local inversion."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np

from irevnet_tf.analysis.arguments import check_count
from irevnet_tf.analysis.arguments import check_images
from irevnet_tf.analysis.arguments import check_seed
from irevnet_tf.analysis.arguments import check_window
from irevnet_tf.analysis.jacobian import Jacobian
from irevnet_tf.analysis.local_inversion import invert_locally
from irevnet_tf.analysis.local_inversion import joined
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.network import batches
from irevnet_tf.analysis.points import all_points
from irevnet_tf.analysis.points import stage_points
from irevnet_tf.analysis.singular_values import SpectraAlong
from irevnet_tf.analysis.singular_values import largest
from irevnet_tf.analysis.spectra import Spectrum
from irevnet_tf.analysis.steps import StepCounter
from irevnet_tf.preprocessing import Normalization

METHODS = ("exact", "svds")
# Values of an image up to which, by default, the whole Jacobian is formed, and
# up to which it is formed at every block.
MOST_COLUMNS = 4096
MOST_FOR_BLOCKS = 1024
# Points whose whole Jacobians are in memory at a time.
_POINTS_AT_ONCE = 8
DISTANCES = 10.0 ** np.arange(-3, 0.5, 0.5)


def spectrum(
    model: keras.Model,
    images: np.ndarray,
    *,
    points: Sequence[int | str] | None = None,
    method: str | None = None,
    count: int = 100,
    window: int | Sequence[int] | None = None,
    batch_size: int = 64,
    preprocessing: str | Normalization | None = None,
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
) -> Spectrum:
    """Compute singular values of the encoder's Jacobian at images.

    Example:

    >>> from irevnet_tf.data import load_dataset
    >>> images, labels = load_dataset("digits").arrays("test", 2)
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> found = irevnet_tf.analysis.spectrum(model, images, points=["stage1"])
    >>> found.singular_values.shape  # (images, points, values)
    (2, 1, 64)

    Args:
        model: Keras model. Any model that `irevnet_tf.encoder` takes.
        images: float array (N, height, width, channels). Images as the model
            takes them.
        points: None or list of points. As in `irevnet_tf.features`. Defaults to
            all blocks, for more than 1,024 values to all stages, and to the end
            if `method` is not exact.
        method: None or str. `"exact"`: all singular values, in float64, from
            the whole matrix, whose size is that of the representation times
            that of the window; `"svds"`: the largest, without the matrix.
            Defaults to `"exact"` for up to 4,096 values that vary.
        count: positive int. How many singular values `"svds"` looks for.
        window: None, int or tuple of ints. The part of the image that varies: a
            side in pixels, for a square in the centre, or (top, left, height,
            width). Defaults to all of the image.
        batch_size: positive int. Columns of the matrix at a time.
        preprocessing: None, str or `Normalization`. How the images were scaled,
            see `irevnet_tf.preprocess_input`. Defaults to what the model says.
        seed: int. The seed of the random directions.
        progress: None or function. Called with the share that is done, from 0
            to 1.

    Returns:
        A `Spectrum`.

    Raises:
        ValueError: if an argument is out of range, if `model` is no i-RevNet,
            or if TensorFlow's forward mode does not pass it. What
            tf.stop_gradient hides has no derivative.

    Reference:
        Section 3.3 of https://arxiv.org/abs/1802.07088. The method's name
        `exact` is that of plenoptic's `Eigendistortion`.
    """
    network = Network(model, preprocessing)
    images = check_images(images, network)
    window = check_window(window, images.shape[1:3])
    batch_size = check_count(batch_size, "batch_size")
    seed = check_seed(seed)
    count = check_count(count, "count")
    pixels = window[2] * window[3] * images.shape[-1]
    if method is None:
        method = "exact" if pixels <= MOST_COLUMNS else "svds"
    if method not in METHODS:
        raise ValueError(
            f"`method` must be None or one of {', '.join(METHODS)}. "
            f"Received: method={method!r}"
        )
    some = all_points if pixels <= MOST_FOR_BLOCKS else stage_points
    found_points = network.points(points, some)
    if points is None and method != "exact":
        found_points = found_points[-1:]
    names = tuple(point.name for point in found_points)
    if method == "svds" and pixels < 2:
        raise ValueError(
            "`window` must have two pixels or more for `method='svds'`. "
            f"Received: window={window}"
        )
    generator = np.random.default_rng(seed)
    steps = StepCounter(progress, len(images) * len(names))
    shape = images.shape[1:]
    jacobians = [
        Jacobian(network, group, window, batch_size, shape)
        for group in batches(names, _POINTS_AT_ONCE)
    ]
    found, local = [], []
    for image in network.on_grid(images):
        if method == "svds":
            found.append(_largest(jacobians, image, count, generator, steps))
            continue
        spectra, matrix = _exact(jacobians, image, pixels, steps)
        found.append(spectra)
        local.append(
            invert_locally(
                network,
                image,
                matrix,
                names[-1],
                window=window,
                distances=DISTANCES,
                generator=generator,
            )
        )
    values, energies, gains = map(np.array, zip(*found, strict=True))
    return Spectrum(
        points=names,
        depths=np.array([point.depth for point in found_points]),
        singular_values=values.astype("float64"),
        energy=energies.astype("float64"),
        pixels=pixels,
        whole_image=pixels == np.prod(shape),
        method=method,
        block_gains=gains.astype("float64"),
        local=joined(local) if local else None,
        normalization=network.normalization,
    )


def _exact(jacobians, image, pixels, steps):
    """Return values, energies and gains at all points, and the last matrix."""
    spectra = SpectraAlong(pixels)
    for jacobian in jacobians:
        matrices = jacobian.columns(image)
        for name in jacobian.names:
            spectra.add(matrices[name])
            steps.done()
    energies = np.sum(np.square(spectra.values), axis=-1)
    return (spectra.values, energies, spectra.gains), matrices[name]


def _largest(jacobians, image, count, generator, steps):
    """Return the largest values at all points, energies, and no gains."""
    values, energies = [], []
    for jacobian in jacobians:
        for name in jacobian.names:
            operator = jacobian.operator(image, name)
            of_point, energy = largest(operator, count, generator)
            values.append(of_point)
            energies.append(energy)
            steps.done()
    return values, energies, np.full((len(values), 2), np.nan)
