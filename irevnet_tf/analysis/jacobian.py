"""Jacobian, the derivative of representations by the pixels of an image."""

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import LinearOperator

from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.network import batches

_PYTHON = ("EagerPyFunc", "PyFunc", "PyFuncStateless")


class Jacobian:
    """The Jacobian of a network at images, column by column or as products.

    Forward mode computes products with vectors of pixels, and so whole
    columns, at the cost of a few passes each; reverse mode computes products
    with vectors of representations. Only `columns` forms a matrix.

    Args:
        network: `Network`. The Jacobian is that of its encoder.
        names: iterable of strs. The points at which the representations are
            taken.
        window: tuple (top, left, height, width). The pixels that vary. All
            others stay as they are.
        batch_size: positive int. How many columns are computed at a time.
        image_shape: tuple (height, width, channels). The shape of the images.

    Raises:
        ValueError: if TensorFlow cannot differentiate the network, or would
            silently leave out parts of it.

    Reference:
        Section 3.3 of https://arxiv.org/abs/1802.07088, whose windows are of
        100x100 pixels.
    """

    def __init__(
        self, network: Network, names, window, batch_size, image_shape
    ):
        self.names = tuple(names)
        self._model = network.features(self.names)
        self._dtype = network.dtype
        self._window = window
        self._batch_size = batch_size
        one, some = (
            tf.TensorSpec((count, *image_shape), self._dtype)
            for count in (1, None)
        )
        push = tf.function(self._pushed, input_signature=[one, some])
        try:
            self._push = push.get_concrete_function()
        # TensorFlow raises these where forward mode stops.
        except (LookupError, NotImplementedError, TypeError) as error:
            raise ValueError(
                "`model` must be made of operations that TensorFlow's forward "
                "mode passes; tf.map_fn, tf.py_function and tf.recompute_grad "
                f"are none. Received: model={network.model.name}"
            ) from error
        _refuse_python(self._push, network.model)
        self._pull = tf.function(self._pulled)

    def columns(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return {point: float array (representation, pixels of the window)}.

        Args:
            image: float array (height, width, channels). Where to take the
                derivative.
        """
        basis = np.eye(self.pixel_count(image))
        products = self._products(image, basis)
        return {name: rows.T for name, rows in products.items()}

    def operator(self, image: np.ndarray, name: str) -> LinearOperator:
        """Return the Jacobian at an image as a SciPy operator.

        Args:
            image: float array (height, width, channels). Where to take the
                derivative.
            name: str. One of the points.
        """
        output = self._model(image[None], training=False)[name][0]
        pixels = self.pixel_count(image)
        size = int(tf.size(output))

        def matmat(directions):
            return self._products(image, directions.T)[name].T

        def rmatmat(cotangents):
            return np.concatenate(
                [
                    self._window_of(
                        self._pull(image[None], self._cast(part), name)
                    )
                    for part in batches(
                        cotangents.T.reshape(-1, *output.shape),
                        self._batch_size,
                    )
                ]
            ).T

        return LinearOperator(
            (size, pixels),
            matvec=lambda v: matmat(v.reshape(-1, 1))[:, 0],
            rmatvec=lambda v: rmatmat(v.reshape(-1, 1))[:, 0],
            matmat=matmat,
            rmatmat=rmatmat,
            # SciPy iterates in this dtype.
            dtype="float64",
        )

    def pixel_count(self, image) -> int:
        """Return how many values of the image vary."""
        return self._window[2] * self._window[3] * image.shape[-1]

    def _products(self, image, directions):
        """Return {point: products (directions, representation)}."""
        parts = []
        for part in batches(directions, self._batch_size):
            tangents = self._tangents(self._cast(part), image.shape)
            found = self._push(self._cast(image[None]), tangents)
            parts.append({k: y.numpy() for k, y in found.items()})
        return {
            name: np.concatenate(
                [part[name].reshape(len(part[name]), -1) for part in parts]
            )
            for name in parts[0]
        }

    def _cast(self, array):
        return tf.constant(array, self._dtype)

    def _tangents(self, directions, shape):
        """Put vectors of a window's pixels into images of zeros."""
        top, left, height, width = self._window
        inside = tf.reshape(directions, (-1, height, width, shape[-1]))
        below = shape[0] - top - height
        right = shape[1] - left - width
        margins = [[0, 0], [top, below], [left, right], [0, 0]]
        return tf.pad(inside, margins)

    def _window_of(self, images):
        top, left, height, width = self._window
        inside = images[:, top : top + height, left : left + width]
        return inside.numpy().reshape(len(images), -1)

    def _pushed(self, image, tangents):
        x = tf.repeat(image, tf.shape(tangents)[0], axis=0)
        with tf.autodiff.ForwardAccumulator(x, tangents) as accumulator:
            found = self._model(x, training=False)
        return accumulator.jvp(
            found, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    def _pulled(self, image, cotangents, name):
        x = tf.repeat(image, tf.shape(cotangents)[0], axis=0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = self._model(x, training=False)[name]
        return tape.gradient(
            found,
            x,
            cotangents,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )


def _refuse_python(function, model):
    """Raise ValueError if a graph calls Python, which has no derivative."""
    graph = function.graph.as_graph_def()
    nodes = [
        *graph.node,
        *(n for f in graph.library.function for n in f.node_def),
    ]
    if any(node.op in _PYTHON for node in nodes):
        raise ValueError(
            "`model` must be made of TensorFlow's operations, since nothing "
            "is known of the derivative of others, such as those in "
            f"tf.numpy_function. Received: model={model.name}"
        )
