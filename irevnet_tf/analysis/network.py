"""Network, a model as the studies use it: encode, decode, classify."""

import functools
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.analysis.head import Head
from irevnet_tf.analysis.points import Point
from irevnet_tf.analysis.points import all_points
from irevnet_tf.analysis.points import find_points
from irevnet_tf.export.checks import check_normalization
from irevnet_tf.export.inference import refuse_layers_in_front
from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.chain import entrance
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.features import features
from irevnet_tf.models.inversion import invert
from irevnet_tf.models.model import find_preprocessing


class Network:
    """An i-RevNet, or a model that extends or holds one, in inference.

    Everything runs eagerly: encoder and decoder then have the same kernels,
    which lossless networks need, and nothing is traced for a single use.

    Args:
        model: Keras model. Any model that `irevnet_tf.encoder` takes.
        preprocessing: None, str or `Normalization`. How its images were scaled;
            a str is a mode of `irevnet_tf.preprocess_input`. Defaults to what
            the model says itself, and to "unit" if it says nothing.

    Raises:
        ValueError: if `model` is no such model or does not take images, or
            if `preprocessing` does not fit it.
    """

    def __init__(self, model, preprocessing=None):
        self.model = model
        self.chain = find_chain(model)
        inputs = keras.tree.flatten(self.chain.model.input)
        received = self.chain.steps[0].inputs
        if len(inputs) != 1 or len(received) != 1 or received[0].ndim != 4:
            raise ValueError(
                "`model` must take one batch of images (batch, height, width, "
                f"channels). Received: model={model.name} with inputs "
                f"{[tuple(x.shape) for x in inputs]}, of which the first "
                f"invertible layer takes {[tuple(x.shape) for x in received]}"
            )
        self.input_shape = tuple(inputs[0].shape[1:])
        self.dtype = inputs[0].dtype
        self.normalization = check_normalization(
            preprocessing or find_preprocessing(self.chain) or "unit",
            received[0].shape[-1],
        )
        self._cuts, self._decoders = {}, {}
        self._entrance = None
        if received[0] is not inputs[0]:
            self._entrance = keras.Model(
                *entrance(self.chain.model, self.chain.steps)
            )
            self.chain = _without_entrance(self.chain)
        refuse_layers_in_front(model, self.chain)

    @functools.cached_property
    def head(self) -> Head:
        """The classifier of the model.

        Raises:
            ValueError: if the model does not end in a classifier.
        """
        if self._entrance is not None:
            raise ValueError(
                "`model` must have no layers in front of its invertible part "
                "where decoded images are classified, since they are what "
                f"comes behind these. Received: model={self.model.name}"
            )
        return Head(self.model)

    def optional_head(self) -> Head | None:
        """Return the classifier, or None if the model has none."""
        try:
            return self.head
        except ValueError:
            return None

    @property
    def fraction_bits(self) -> int | None:
        """The grid of a lossless network; None for others."""
        grids = [
            x for x in self.chain.layers if isinstance(x, FixedPointRounding)
        ]
        return grids[0].fraction_bits if grids else None

    def points(self, points=None, default=all_points) -> tuple[Point, ...]:
        """Return the points that a user names, see `find_points`."""
        return find_points(self.chain, points, default)

    def entered(self, images: np.ndarray) -> np.ndarray:
        """Return the outputs of the layers in front of the invertible part.

        All other methods take these: they are what can be reconstructed.
        """
        if self._entrance is None:
            return images
        return np.concatenate(
            [self._entrance(x, training=False) for x in batches(images, 64)]
        )

    def on_grid(self, images: np.ndarray) -> np.ndarray:
        """Return images as a lossless network rounds them."""
        for layer in self.chain.layers:
            if isinstance(layer, FixedPointRounding):
                images = layer(images)
        return np.asarray(images)

    def walk(self, images, names) -> Iterator[tuple[str, tf.Tensor]]:
        """Run the images through the network, and yield representations.

        Only the last one is kept: those of a hundred blocks would not fit.

        Args:
            images: float array (N, height, width, channels). One batch.
            names: iterable of strs. The points, in order of depth.

        Yields:
            Each point with its representations (N, ...).
        """
        x = tf.convert_to_tensor(images)
        for layer, points in self._parts(tuple(names)):
            x = layer(x, training=False)
            for name in points:
                merged = x if tf.is_tensor(x) else tf.concat(x, axis=-1)
                yield name, merged

    def averages(
        self, images, names, batch_size, progress=None
    ) -> dict[str, np.ndarray]:
        """Return {point: means over the positions, (N, channels)}.

        Args:
            images: float array (N, height, width, channels). All images.
            names: iterable of strs. The points, in order of depth.
            batch_size: positive int. Images at a time.
            progress: None or function. Called after each batch with its number
                of images.
        """
        found = {name: [] for name in names}
        for batch in batches(images, batch_size):
            for name, x in self.walk(batch, names):
                axes = range(1, x.shape.rank - 1)
                found[name].append(tf.reduce_mean(x, axis=axes).numpy())
            if progress is not None:
                progress(len(batch))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def encode(self, images, name) -> np.ndarray:
        """Return the representations (N, ...) at a point, of one batch."""
        ((_, representations),) = self.walk(images, [name])
        return representations.numpy()

    def decode(self, representations, name) -> np.ndarray:
        """Return the images (N, height, width, channels) of representations."""
        if name not in self._decoders:
            self._decoders[name] = invert(self.chain.model, name)
        decoder = self._decoders[name]
        return decoder(representations, training=False).numpy()

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """Return images with 0 for black and 1 for white, not clipped."""
        return to_pixels(self.normalization, images)

    def features(self, names) -> keras.Model:
        """Return the model of `irevnet_tf.features`."""
        return features(self.chain.model, list(names))

    def _parts(self, names):
        """Return the layers up to the last point, with sequences cut at points.

        Each layer comes with the names of the points behind it.
        """
        if names in self._cuts:
            return self._cuts[names]
        layers, blocks = self.chain.points(), self.chain.block_points()
        parts, left = [], set(map(self.chain.point_name, names))
        for index, layer in enumerate(self.chain.layers):
            start = 0
            for name in names:
                place, stop = blocks.get(name, (None, None))
                if place == index:
                    parts.append((layer.part(start, stop), [name]))
                    start = stop
            if not start:
                here = [name for name in names if layers.get(name) == index]
                parts.append((layer, here))
            elif start < len(layer.blocks):
                parts.append((layer.part(start, None), []))
            left = left.difference(*(here for _, here in parts))
            if not left:
                break
        self._cuts[names] = parts
        return parts


def _without_entrance(chain):
    """Return a chain in a model that begins with its first layer."""
    (received,) = chain.steps[0].inputs
    image = x = keras.Input(received.shape[1:], dtype=received.dtype)
    for layer in chain.layers:
        x = share_layer(layer)(x)
    return find_chain(keras.Model(image, x, name=chain.model.name))


def to_pixels(normalization, images) -> np.ndarray:
    """Return normalised images with 0 for black and 1 for white."""
    pixels = normalization.undo(images) / normalization.maximum
    return np.asarray(pixels)


def batches(images, batch_size):
    """Yield parts of an array, of at most `batch_size` entries."""
    for start in range(0, len(images), batch_size):
        yield images[start : start + batch_size]
