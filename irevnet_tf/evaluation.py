"""Evaluation of classifiers and of their inverses."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from collections.abc import Iterable

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from irevnet_tf.data import Dataset
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data.dataset import Examples
from irevnet_tf.data.decoding import naming_unreadable_files
from irevnet_tf.distribution.workers import gather_from_workers
from irevnet_tf.reconstruction import inverted
from irevnet_tf.reconstruction import relative_errors
from irevnet_tf.reconstruction import round_trips

# What is added up over the images, and of what the largest value is kept.
_SUMS = (
    "images",
    "correct",
    "top_5_correct",
    "cross_entropy",
    "inversion_error",
)
_LARGEST = ("inversion_error_max", "absolute_error_max")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Measurements on a set of images.

    Attributes:
        images: int. Number of images.
        correct: int. Number of images whose class has the highest output.
        top_5_correct: int. Number of images whose class is among the five
            highest.
        cross_entropy: float. Mean over the images of the cross-entropy between
            the label and the softmax of the outputs. It is meaningful for
            logits only.
        inversion_error_mean: float. Mean over the images of the relative error
            `||x - x'||_2 / ||x||_2` of the reconstruction x'. In a lossless
            network x is the image as rounded to its grid. In a network that can
            be inverted in parts only, x is what enters a part, of which the
            worst counts. This and the next two are NaN without an inverse.
        inversion_error_max: float. The largest relative error of an image.
        absolute_error_max: float. The largest `|x - x'|` of any pixel, in the
            units of the normalised images.
        inverted: str. What the inverse leads back to, in words: `"the image"`,
            `"3 stages, each to its entrance"`, ``"to what `stem` returns"``;
            `"nothing"`, or `"not measured"`.
    """

    images: int
    correct: int
    top_5_correct: int
    cross_entropy: float
    inversion_error_mean: float
    inversion_error_max: float
    absolute_error_max: float
    inverted: str

    @property
    def accuracy(self) -> float:
        """Fraction of images that are classified correctly."""
        return self.correct / self.images

    @property
    def top_5_accuracy(self) -> float:
        """Fraction of images whose class is among the five highest."""
        return self.top_5_correct / self.images


class Evaluator:
    """Measures a classifier and its inverse, on all devices of the model.

    Args:
        model: Keras model. A classifier, whose current weights count. For its
            inverse one that changes no image before the model that its
            invertible layers are in.
        inverse: bool. Whether to measure the inverse too.
    """

    def __init__(self, model: keras.Model, *, inverse: bool = True):
        self._strategy = model.distribute_strategy
        trips = round_trips(model) if inverse else []
        self._inverted = inverted(model) if inverse else "not measured"
        self._inverts = bool(trips)
        compute = _computation(model, trips)
        # Traced once, however many sets of images are measured.
        self._compute = tf.function(
            lambda images: self._strategy.run(compute, (images,)),
            reduce_retracing=True,
        )

    def on(
        self,
        dataset: Dataset,
        examples: Examples,
        batch_size: int,
        classes: np.ndarray | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Evaluation:
        """Measure on a part of a data set.

        Args:
            dataset: `Dataset`. The data set.
            examples: `Examples`. Its part, such as `dataset.test`.
            batch_size: int. Images at a time, over all devices.
            classes: None or int array. As of `measure`.
            progress: None or callable. Called with the part that is done, in
                front of each batch.

        Raises:
            ValueError: if there are no images.
            UnreadableImageError: if a file of the data is no whole image.
        """
        batches = self._strategy.distribute_datasets_from_function(
            lambda context: evaluation_batches(
                dataset, examples, batch_size, context=context
            )
        )
        # TensorFlow adds an empty step at the end of a distributed data set.
        steps = -(-examples.count // batch_size)
        with naming_unreadable_files(examples, dataset.image_shape):
            return self.measure(_counted(batches, steps, progress), classes)

    def measure(
        self,
        batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
        classes: np.ndarray | None = None,
    ) -> Evaluation:
        """Measure on batches of images.

        Args:
            batches: iterable of triples of arrays. Normalised images (batch,
                height, width, channels), one-hot labels (batch, classes), and
                weights (batch,): an example with the weight 0 only fills its
                batch. As `irevnet_tf.data.evaluation_batches` makes them.
            classes: None or int array. The model's class for each class of the
                labels, if they do not count alike.

        Raises:
            ValueError: if there are no images, or labels of classes that the
                model does not have.
        """
        sums, largest = np.zeros(len(_SUMS)), np.zeros(len(_LARGEST))
        for images, labels, weights in batches:
            parts = [labels, weights, *self._compute(images)]
            local = map(self._strategy.experimental_local_results, parts)
            # Of plain arrays, all devices make the same: the first counts.
            for part in zip(*local, strict=False):
                values = self._compare(classes, *map(np.asarray, part))
                sums += [values[name] for name in _SUMS]
                largest = np.maximum(
                    largest, [values[name] for name in _LARGEST]
                )
        sums = np.sum(gather_from_workers(self._strategy, sums), axis=0)
        largest = np.max(gather_from_workers(self._strategy, largest), axis=0)
        found = {
            **dict(zip(_SUMS, sums, strict=True)),
            **dict(zip(_LARGEST, largest, strict=True)),
        }
        if not found["images"]:
            raise ValueError(
                "`batches` must hold images. "
                "Received: none with a weight above 0"
            )
        if not self._inverts:
            found |= dict.fromkeys(("inversion_error", *_LARGEST), math.nan)
        images = int(found["images"])
        return Evaluation(
            images=images,
            correct=int(found["correct"]),
            top_5_correct=int(found["top_5_correct"]),
            cross_entropy=float(found["cross_entropy"] / images),
            inversion_error_mean=float(found["inversion_error"] / images),
            inversion_error_max=float(found["inversion_error_max"]),
            absolute_error_max=float(found["absolute_error_max"]),
            inverted=self._inverted,
        )

    def _compare(self, classes, labels, weights, outputs, *rest):
        """Return the values that a device's batch adds to `_SUMS`, and others.

        Those of the inverse are 0 without images to compare.
        """
        counts = weights > 0
        expected = np.argmax(labels, axis=-1)[counts]
        if classes is not None:
            expected = classes[expected]
        outputs = outputs[counts].astype("float64")
        if np.any(expected >= outputs.shape[-1]):
            raise ValueError(
                f"Labels must be of the model's {outputs.shape[-1]} classes. "
                f"Received: class {np.max(expected)}, from 0"
            )
        highest = np.argsort(-outputs, axis=-1, kind="stable")[:, :5]
        hits = highest == expected[:, None]
        likelihoods = scipy.special.log_softmax(outputs, axis=-1)
        values = {
            "images": len(expected),
            "correct": np.sum(hits[:, :1]),
            "top_5_correct": np.sum(hits),
            "cross_entropy": -np.sum(
                likelihoods[np.arange(len(expected)), expected]
            ),
            **dict.fromkeys(("inversion_error", *_LARGEST), 0.0),
        }
        if rest and len(expected):
            pairs = [
                (entering[counts], rebuilt[counts])
                for entering, rebuilt in zip(rest[::2], rest[1::2], strict=True)
            ]
            errors = [relative_errors(*pair) for pair in pairs]
            worst = np.max(errors, axis=0)
            values["inversion_error"] = np.sum(worst)
            values["inversion_error_max"] = np.max(worst)
            values["absolute_error_max"] = max(
                np.max(np.abs(entering - rebuilt))
                for entering, rebuilt in pairs
            )
        return values


def _counted(batches, steps, progress):
    for done, batch in enumerate(itertools.islice(batches, steps)):
        if progress is not None:
            progress(done / steps)
        yield batch


def _computation(model, trips):
    """Return a function from images to outputs, and to what is compared.

    The latter is a flat list: what enters each part that has an inverse, and
    what comes back.
    """
    (output,) = model.outputs
    if trips and all(
        trip.encode.inputs[0] is model.inputs[0] for trip in trips
    ):
        # The layers up to the representations are computed once.
        joined = keras.Model(
            model.inputs[0], [output, *(x.encode.output for x in trips)]
        )
        run = functools.partial(joined, training=False)
    else:

        def run(images):
            outputs = keras.tree.flatten(model(images, training=False))
            return outputs[:1] + [
                trip.encode(images, training=False) for trip in trips
            ]

    def compute(images):
        outputs, *encoded = run(images)
        values = [outputs]
        for trip, (entering, features) in zip(trips, encoded, strict=True):
            values += [entering, trip.decode(features, training=False)]
        return values

    return compute
