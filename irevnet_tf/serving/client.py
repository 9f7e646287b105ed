"""Client: both directions of a network on a server."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from irevnet_tf.serving import payload
from irevnet_tf.serving.arguments import check_options
from irevnet_tf.serving.arguments import split_address
from irevnet_tf.serving.errors import InvalidRequestError


@dataclasses.dataclass(frozen=True)
class Classification:
    """The classes of images.

    Attributes:
        probabilities: float32 array (batch, classes). Those of all classes.
        classes: None or list of str. The name of the most probable class of
            each image, if the export knew names.
    """

    probabilities: np.ndarray
    classes: list[str] | None


class Client:
    """Asks a model on TensorFlow Serving, over REST or gRPC.

    The model is one of `irevnet_tf.export.export_saved_model`. Images are raw
    values, as in files: 0 to 255. Features are what `forward` returns, and
    `decode` turns them back into images.

    A client may be used by several threads at once. A request is sent again,
    after at most 0.8 seconds, only if the server could not be reached or said
    that it is busy (HTTP 429, 502, 503 and 504; UNAVAILABLE and
    RESOURCE_EXHAUSTED). Over REST, a request that got no reply is not sent
    again: the server may be computing it. Every float32 travels bit for bit.
    Over gRPC only the outputs asked for are sent, over REST all of a signature.

    Networks whose streams are float64 are not supported: their `features` are
    float64, and the server refuses those of a client, which are float32.

    Example:

    >>> from irevnet_tf.serving import Client, LocalServer
    >>> model = irevnet_tf.IRevNet(
    ...     (1,), (1,), (8,), initial_downsampling=4, input_shape=(8, 8, 1)
    ... )
    >>> saved = irevnet_tf.export_saved_model(model, "models/digits")
    >>> with LocalServer("models/digits", "digits") as server:
    ...     with Client(server.rest_address, "digits") as client:
    ...         features = client.encode(np.zeros((1, 8, 8, 1)))
    ...         again = np.rint(client.decode(features))

    Args:
        address: str. `http://host:8501` or `https://host` for REST, where a
            path, such as that of a reverse proxy, is kept; `grpc://host:8500`
            or, with TLS, `grpcs://host:8500`.
        model: str. The model's name on the server.
        version: None or int. The version to ask, None for the newest.
        label: None or str. The label of the version, instead of `version`.
        timeout: float. Seconds, at most 86400. Over gRPC for a whole call. Over
            REST for each attempt, and anew for each piece of the reply: a call
            may last `1 + retries` times as long, or longer.
        retries: int from 0 to 4. How often a request is sent again.

    Raises:
        ImportError: if a library of the extra `serving` is missing.
        ValueError: if an argument is not as above.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
        retries: int = 3,
    ):
        server = split_address(address)
        check_options(model, version, label, timeout, retries)
        # Imported here, because each needs libraries that the other does not.
        if server.scheme in ("http", "https"):
            from irevnet_tf.serving.rest import RestTransport as Transport
        else:
            from irevnet_tf.serving.grpc_transport import (
                GrpcTransport as Transport,
            )
        self._transport = Transport(
            server, model, version, label, float(timeout), int(retries)
        )
        self._version_is_fixed = version is not None
        self._asked_for = ("probabilities", "classes")
        self._closed = False

    def classify(self, images: ArrayLike | Sequence[bytes]) -> Classification:
        """Classify images.

        Args:
            images: array-like (batch, height, width, channels). Raw values;
                or JPEG or PNG files, a list of bytes or a tensor of strings
                (batch,), for which the model must have been exported with
                `image_bytes=True`.

        Returns:
            A `Classification`.

        Raises:
            InvalidRequestError: if the model is not a classifier.
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `images` are neither of the two.
        """
        request = payload.check_images(images)
        try:
            outputs = self._predict(*request, self._asked_for)
        except InvalidRequestError as error:
            # TensorFlow Serving's words.
            missing = str(error).partition("alias not found in signature: ")[2]
            if missing.startswith("probabilities"):
                raise _no_classifier(error) from error
            if not missing.startswith("classes"):
                raise
            # The model has no class names. Another version may have some.
            wanted = ("probabilities",)
            if self._version_is_fixed:
                self._asked_for = wanted
            outputs = self._predict(*request, wanted)
        if "probabilities" not in outputs:
            raise _no_classifier(f"outputs={sorted(outputs)}")
        batch = len(request[-1])
        probabilities = payload.numbers_of(outputs, "probabilities", batch, 2)
        classes = None
        if "classes" in outputs:
            classes = payload.strings_of(outputs, "classes", batch)
        return Classification(probabilities, classes)

    def predict(
        self, images: ArrayLike | Sequence[bytes]
    ) -> dict[str, np.ndarray | list[str]]:
        """Return all outputs of the network for images.

        Args:
            images: array-like or list. As for `classify`.

        Returns:
            The outputs of `forward`, or of `forward_bytes` for files, by
            name: numbers as float32 arrays (batch, ...), strings as lists. A
            classifier has `probabilities` and `features`, and `classes` if
            the export knew names; another head has `outputs` and `features`;
            a network without any, `features` alone.

        Raises:
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `images` are neither of the two.
        """
        request = payload.check_images(images)
        outputs = self._predict(*request, ())
        batch = len(request[-1])
        return {
            name: payload.values_of(outputs, name, batch)
            for name in sorted(outputs)
        }

    def encode(self, images: ArrayLike | Sequence[bytes]) -> np.ndarray:
        """Return the features of images, their invertible representation.

        Args:
            images: array-like or list. As for `classify`.

        Returns:
            A float32 array (batch, height, width, channels), lower and with
            more channels than the images.

        Raises:
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `images` are neither of the two.
        """
        return self._map(*payload.check_images(images), "features")

    def decode(self, features: ArrayLike) -> np.ndarray:
        """Return the images that features were computed from.

        Args:
            features: array-like (batch, height, width, channels). What `encode`
                returned.

        Returns:
            A float32 array (batch, height, width, channels) of raw values,
            neither rounded nor clipped.

        Raises:
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `features` have another rank or no numbers.
        """
        array = payload.check_array("features", features)
        return self._map("inverse", "features", array, "images")

    def reconstruct(self, images: ArrayLike) -> np.ndarray:
        """Send images through the network and back, on the server.

        Needs a model exported with `reconstruct_from`.

        Args:
            images: array-like (batch, height, width, channels). Raw values.

        Returns:
            A float32 array of the same shape.

        Raises:
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `images` have another shape or no numbers.
        """
        array = payload.check_array("images", images)
        return self._map("reconstruct", "images", array, "images")

    def close(self) -> None:
        """Close the connections. A closed client cannot be used again."""
        self._closed = True
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _map(self, signature, name, value, wanted):
        outputs = self._predict(signature, name, value, (wanted,))
        return payload.numbers_of(outputs, wanted, len(value), 4)

    def _predict(self, signature, name, value, wanted):
        if self._closed:
            raise ValueError("The client is closed. Make a new one.")
        return self._transport.predict(signature, name, value, wanted)


def _no_classifier(received):
    return InvalidRequestError(
        "`classify` needs a model with the output `probabilities`; `predict` "
        f"and `encode` do not. Received: {received}"
    )
