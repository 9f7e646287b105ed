"""MetamerSearch: finds images with the logits of other images."""

import numpy as np
import tensorflow as tf

from irevnet_tf.analysis.matching import centred
from irevnet_tf.analysis.matching import match_logits
from irevnet_tf.analysis.pooled_head import least_change

# Number of attempts if moving does not lead to the logits: each with another
# order of positions, or with more noise.
_TRIALS = 10
_NOISE = 0.01


class MetamerSearch:
    """Finds images with the logits of others.

    Args:
        network: `Network`. It classifies.
        image: float array (height, width, channels). Any image.
        tolerance: float. The largest difference of logits.
        batch_size: positive int. Rows of a derivative at a time.
        seed: int. The seed of positions' orders and of noise.

    Attributes:
        bijective: bool. Whether every representation has an image.
    """

    def __init__(self, network, image, tolerance, batch_size, seed):
        self._network = network
        self._head = network.head
        self._point = network.points()[-1].name
        self._tolerance = tolerance
        self._batch_size = batch_size
        self._generator = np.random.default_rng(seed)
        self._pooling = self._head.pooling
        self.bijective = self._encoded(image).size == image.size

    def there_and_back(self, images):
        """Return the images after encoding and decoding."""
        point = self._point
        return np.concatenate(
            [
                self._decoded(self._network.encode(image[None], point)[0])[None]
                for image in images
            ]
        )

    def exchanged(self, target):
        """Return an image of the target's positions in another order."""
        z = self._encoded(target)
        flat = z.reshape(-1, z.shape[-1])

        def begin(trial):
            # A cycle through all positions, so that each of them changes.
            order = self._generator.permutation(len(flat))
            moved = np.empty_like(flat)
            moved[order] = flat[np.roll(order, 1)]
            if trial:
                # Closer to the target each time, and so to its logits.
                moved += (trial / _TRIALS * (flat - moved)).astype(z.dtype)
            return self._decoded(moved.reshape(z.shape))

        return self._first_that_matches(begin, target)

    def moved(self, start, target):
        """Return the start, moved until the head sees the target."""
        if self.bijective and self._pooling is not None:
            factor, shift = self._pooling
            seen = np.maximum(self._encoded(target) * factor + shift, 0.0)
            wanted = np.mean(seen, axis=(0, 1), dtype="float64")
            z = least_change(self._encoded(start), factor, shift, wanted)
            start = self._decoded(z.astype(start.dtype))

        def begin(trial):
            noise = self._generator.normal(size=start.shape) * np.std(start)
            return (start + _NOISE * trial * noise).astype(start.dtype)

        return self._first_that_matches(begin, target)

    def _first_that_matches(self, begin, target):
        """Return the image that was closest to the logits, or close enough."""
        best, least = target, np.inf
        for trial in range(_TRIALS):
            image, missing = self._matched(begin(trial), target)
            if missing < least:
                best, least = image, missing
            if least <= self._tolerance:
                break
        return best

    def _matched(self, image, target):
        """Return the image, moved to the target's logits, and their distance.

        The distance is infinity if the image is NaN, or if lossless streams
        leave their range.
        """
        if not np.all(np.isfinite(image)):
            return image, np.inf
        wanted = centred(self._head.logits(target[None]))[0]
        moved = match_logits(
            self._head,
            image,
            wanted,
            tolerance=self._tolerance / 2,
            batch_size=self._batch_size,
        )
        try:
            moved = self._network.on_grid(moved[None])
            logits = self._head.logits(moved)
        except tf.errors.InvalidArgumentError:
            return image, np.inf
        return moved[0], np.max(np.abs(wanted - centred(logits)))

    def _encoded(self, image):
        return self._network.encode(image[None], self._point)[0]

    def _decoded(self, z):
        """Return the image, NaN if lossless streams leave their range."""
        try:
            return self._network.decode(z[None], self._point)[0]
        except tf.errors.InvalidArgumentError:
            shape = self._network.decode(0 * z[None], self._point)[0].shape
            return np.full(shape, np.nan, z.dtype)
