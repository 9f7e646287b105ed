"""Requests to TensorFlow Serving over REST.

https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import http.cookiejar
import json
import urllib.parse

import numpy as np

from irevnet_tf.optional import optional_import
from irevnet_tf.serving.errors import HTTP_ERRORS
from irevnet_tf.serving.errors import ServingError
from irevnet_tf.serving.errors import ServingTimeoutError
from irevnet_tf.serving.errors import UnavailableError

with optional_import("requests is needed for http addresses", "serving"):
    import requests
    import urllib3

RETRIED_STATUSES = (429, 502, 503, 504)

# The socket's own, and urllib3's.
TIMEOUTS = (TimeoutError, urllib3.exceptions.TimeoutError)

# Connections kept for as many threads; more than these open new ones.
KEPT_CONNECTIONS = 32

# So much of a reply that is no JSON is quoted.
QUOTED_CHARACTERS = 200

# Of a signature with one output the server leaves out the name. These are the
# outputs that every export has.
ONLY_OUTPUTS = {
    "forward": "features",
    "forward_bytes": "features",
    "inverse": "images",
    "reconstruct": "images",
}


class RestTransport:
    """Sends the requests of a `Client` over REST.

    Numbers are sent with all their digits. TensorFlow Serving prints floats
    with 6 digits if these are read back as the same float32, otherwise with 9,
    which always are (`WriteDecimal` in its `json_tensor.cc`).

    Args:
        server: `SplitResult`. The parts of an address whose scheme is http
            or https.
        model: str. As for `Client`, like all arguments after it.
    """

    def __init__(
        self,
        server: urllib.parse.SplitResult,
        model: str,
        version: int | None,
        label: str | None,
        timeout: float,
        retries: int,
    ):
        quote = urllib.parse.quote
        self._url = (
            f"{server.scheme}://{server.netloc}{server.path.rstrip('/')}"
            f"/v1/models/{quote(model, safe='')}"
        )
        if version is not None:
            self._url += f"/versions/{version}"
        if label is not None:
            self._url += f"/labels/{quote(label, safe='')}"
        self._url += ":predict"
        # Of each attempt: urllib3 starts a copy of it.
        self._timeout = urllib3.Timeout(total=timeout)
        self._session = requests.Session()
        # Cookies are the one thing that a session's requests would change.
        self._session.cookies.set_policy(
            http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
        )
        adapter = requests.adapters.HTTPAdapter(
            pool_maxsize=KEPT_CONNECTIONS,
            max_retries=urllib3.Retry(
                total=retries,
                # What was sent, and got no reply, may be computed already: it
                # would come on top of itself.
                read=False,
                allowed_methods=None,  # All, and so POST.
                status_forcelist=RETRIED_STATUSES,
                # The second attempt comes at once, the others after 0.2, 0.4
                # and 0.8 seconds.
                backoff_factor=0.1,
                raise_on_status=False,
                # A server could ask for any time.
                respect_retry_after_header=False,
            ),
        )
        self._session.mount(f"{server.scheme}://", adapter)

    def predict(
        self,
        signature: str,
        name: str,
        value: np.ndarray | list[bytes],
        wanted: tuple[str, ...],
    ) -> dict[str, object]:
        """Send one request.

        Args:
            signature: str. The signature's name.
            name: str. The name of its only input.
            value: float32 array or list of bytes. The value of the input.
            wanted: tuple of str. The outputs to ask for. REST cannot select
                outputs, so all come.

        Returns:
            Nested lists by the names of the outputs.

        Raises:
            ServingError: or one of its subclasses.
        """
        if isinstance(value, np.ndarray):
            value = value.tolist()
        else:
            value = [{"b64": base64.b64encode(v).decode()} for v in value]
        body = {"signature_name": signature, "inputs": {name: value}}
        reply = self._post(json.dumps(body).encode())
        content = _parse(reply)
        if reply.status_code != 200:
            _raise(reply, content)
        if not isinstance(content, dict) or "outputs" not in content:
            raise ServingError(
                "The server's reply must have the key 'outputs'. "
                f"Received: {_quote(reply)}"
            )
        outputs = content["outputs"]
        if isinstance(outputs, dict):
            return outputs
        return {ONLY_OUTPUTS[signature]: outputs}

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _post(self, body):
        try:
            return self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=self._timeout,
                # A redirected POST would arrive as a GET.
                allow_redirects=False,
            )
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise ServingTimeoutError(
                f"No reply from {self._url} within {self._timeout.total:g} s: "
                f"{error}"
            ) from error
        except (
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as error:
            raise ServingError(
                f"The reply from {self._url} broke off: {error}"
            ) from error
        except requests.ConnectionError as error:
            # While a body is sent or read, `requests` reports a timeout so.
            cause = error.args[0] if error.args else None
            causes = (cause, *getattr(cause, "args", ()))
            if any(isinstance(cause, TIMEOUTS) for cause in causes):
                raise ServingTimeoutError(
                    f"{self._url} stopped in the middle: {error}"
                ) from error
            raise UnavailableError(
                f"{self._url} cannot be reached: {error}"
            ) from error
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
        ) as error:
            raise ServingError(f"{self._url}: {error}") from error


def _parse(reply):
    """Return the JSON of a reply, or None."""
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError) as error:
        if reply.status_code == 200:
            raise ServingError(
                f"The server's reply must be JSON. Received: {_quote(reply)}"
            ) from error
        return None


def _raise(reply, content):
    message = _quote(reply)
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        message = content["error"]
    kind = HTTP_ERRORS.get(reply.status_code, ServingError)
    raise kind(f"HTTP {reply.status_code} from {reply.url}: {message}")


def _quote(reply):
    return repr(reply.text[:QUOTED_CHARACTERS])
