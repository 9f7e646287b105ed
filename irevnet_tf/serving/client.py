"""The client: both directions of a network that a server holds."""

import dataclasses

import numpy as np

from irevnet_tf.serving import payload
from irevnet_tf.serving.errors import InvalidRequestError
from irevnet_tf.serving.target import check_target


@dataclasses.dataclass(frozen=True)
class Classification:
    """What a network makes of images.

    Attributes:
        probabilities: float32 array (batch, classes).
        classes: the name of the most probable class of each image, a list of
            strings, or None if the export knew no names.
    """

    probabilities: np.ndarray
    classes: list[str] | None


class Client:
    """Asks a model on TensorFlow Serving, over REST or gRPC.

    The model is one of `irevnet_tf.export.export_saved_model`. Images are raw
    values, as in files: 0 to 255. Features are what `forward` returns, and
    `decode` makes the images of them again.

    ```python
    with Client("grpc://localhost:8500", "digits") as client:
        features = client.encode(images)
        again = np.rint(client.decode(features))
    ```

    A client may be used by several threads at once. A request is sent again
    only if the server could not be reached, hung up, or said that it is busy
    (HTTP 429, 502, 503 and 504; UNAVAILABLE and RESOURCE_EXHAUSTED): requests
    change nothing on a server, so that one too many does no harm. It waits
    longer each time: 0, 0.2, 0.4 and 0.8 seconds over REST, and about 0.1,
    0.2, 0.4 and 0.8 over gRPC.

    Over gRPC every float32 travels bit for bit, and only the outputs asked
    for. Over REST the server sends all outputs of a signature. Numbers are
    sent with all their digits; TensorFlow Serving prints floats with 6 digits
    where these are read back as the same float32, and with 9, which always
    are, where not (`WriteDecimal` in its `json_tensor.cc`).

    Networks whose streams are float64 are not supported: their `features` are
    float64, and the server refuses those of a client, which are float32.

    Args:
        address: `http://host:8501` or `https://host` for REST, where a path,
            such as that of a reverse proxy, is kept; `grpc://host:8500` or,
            with TLS, `grpcs://host:8500`.
        model: the model's name on the server.
        version: int, the version to ask. Default: the newest.
        label: string, the label of the version to ask, instead of `version`.
        timeout: seconds for one call, all attempts and waits together, at
            most 86400. gRPC keeps to it exactly. Over REST it bounds
            connecting, sending and waiting for the reply; but a wait between
            attempts, of at most 0.8 seconds, is not cut short, and a server
            that sends its reply in pieces starts the time left anew with each.
        retries: int from 0 to 4, how often a request is sent again.

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
        target = check_target(address, model, version, label, timeout, retries)
        # Imported here, because each needs libraries that the other does not.
        if target.scheme in ("http", "https"):
            from irevnet_tf.serving.rest import RestTransport as Transport
        else:
            from irevnet_tf.serving.grpc_transport import (
                GrpcTransport as Transport,
            )
        self._transport = Transport(target)
        self._version_is_fixed = version is not None
        self._asked_for = ("probabilities", "classes")
        self._closed = False

    def classify(self, images) -> Classification:
        """Classify images.

        Args:
            images: array-like of raw values (batch, height, width, channels);
                or JPEG or PNG files, a list of bytes or a tensor of strings
                (batch,), for which the model must have been exported with
                `image_bytes=True`.

        Returns:
            A `Classification`.

        Raises:
            InvalidRequestError: if the model is no classifier.
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `images` are neither of the two.
        """
        request = _request(images)
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

    def predict(self, images) -> dict[str, np.ndarray | list[str]]:
        """Return all that the network makes of images.

        Args:
            images: as for `classify`.

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
        request = _request(images)
        outputs = self._predict(*request, ())
        batch = len(request[-1])
        return {
            name: payload.values_of(outputs, name, batch)
            for name in sorted(outputs)
        }

    def encode(self, images) -> np.ndarray:
        """Return the features of images, which hold all of them.

        Args:
            images: as for `classify`.

        Returns:
            A float32 array (batch, height, width, channels), lower and with
            more channels than the images.

        Raises:
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `images` are neither of the two.
        """
        request = _request(images)
        outputs = self._predict(*request, ("features",))
        return payload.numbers_of(outputs, "features", len(request[-1]), 4)

    def decode(self, features) -> np.ndarray:
        """Return the images that features were made of.

        Args:
            features: array-like (batch, height, width, channels), from
                `encode`.

        Returns:
            A float32 array (batch, height, width, channels) of raw values,
            neither rounded nor clipped.

        Raises:
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `features` have another rank or no numbers.
        """
        return self._map("inverse", "features", features, "images")

    def reconstruct(self, images) -> np.ndarray:
        """Send images through the network and back, on the server.

        Needs a model exported with `reconstruct_from`.

        Args:
            images: array-like of raw values (batch, height, width, channels).

        Returns:
            A float32 array of the same shape.

        Raises:
            ServingError: or one of its subclasses, if the request fails.
            ValueError: if `images` have another shape or no numbers.
        """
        return self._map("reconstruct", "images", images, "images")

    def close(self) -> None:
        """Close the connections. A closed client cannot be used again."""
        self._closed = True
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _map(self, signature, name, value, wanted):
        array = payload.check_array(name, value)
        outputs = self._predict(signature, name, array, (wanted,))
        return payload.numbers_of(outputs, wanted, len(array), 4)

    def _predict(self, signature, name, value, wanted):
        if self._closed:
            raise ValueError("The client is closed. Make a new one.")
        return self._transport.predict(signature, name, value, wanted)


def _request(images):
    """Return signature, name and value of the input that fits images."""
    files = payload.check_files(images)
    if files is not None:
        return "forward_bytes", "image_bytes", files
    return "forward", "images", payload.check_array("images", images)


def _no_classifier(received):
    return InvalidRequestError(
        "`classify` needs a model with the output `probabilities`; `predict` "
        f"and `encode` do not. Received: {received}"
    )
