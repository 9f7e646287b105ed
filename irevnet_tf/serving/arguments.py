"""Checks of the arguments of `Client`."""

import numbers
import urllib.parse

# gRPC makes no more than 5 attempts, whatever it is told
# (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
MAX_RETRIES = 4

MAX_TIMEOUT = 86_400  # A day. Far larger numbers overflow in the sockets.


def split_address(address: str) -> urllib.parse.SplitResult:
    """Return the parts of a server's address.

    Args:
        address: str. As in `Client`.

    Raises:
        ValueError: if it is no such address.
    """
    expected = (
        "`address` must be like http://host:8501, https://host/prefix, "
        f"grpc://host:8500 or grpcs://host:8500. Received: address={address!r}"
    )
    try:
        parts = urllib.parse.urlsplit(address)
        # gRPC has no default port, no password in the address and no path.
        bare = parts.port and "@" not in parts.netloc and not parts.path[1:]
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(expected) from error
    schemes = ("http", "https", "grpc", "grpcs") if bare else ("http", "https")
    is_whole = parts.hostname and parts.scheme in schemes
    if not is_whole or parts.query or parts.fragment:
        raise ValueError(expected)
    return parts


def check_options(
    model: str,
    version: int | None,
    label: str | None,
    timeout: float,
    retries: int,
) -> None:
    """Refuse options of `Client` that no server takes.

    Raises:
        ValueError: if one is out of its range.
    """
    if not isinstance(model, str) or not model:
        raise ValueError(
            "`model` must be the name of the model on the server. "
            f"Received: model={model!r}"
        )
    if version is not None and not _is_natural(version):
        raise ValueError(
            "`version` must be None, which is the newest, or an integer from "
            f"0 on. Received: version={version!r}"
        )
    if label is not None and (not isinstance(label, str) or not label):
        raise ValueError(
            "`label` must be None or the label of a version. "
            f"Received: label={label!r}"
        )
    if version is not None and label is not None:
        raise ValueError(
            "Expected at most one of `version` and `label`. "
            f"Received: version={version!r}, label={label!r}"
        )
    is_number = isinstance(timeout, numbers.Real) and timeout is not True
    if not is_number or not 0 < timeout <= MAX_TIMEOUT:
        raise ValueError(
            "`timeout` must be a positive number of seconds, at most "
            f"{MAX_TIMEOUT}. Received: timeout={timeout!r}"
        )
    if not _is_natural(retries) or retries > MAX_RETRIES:
        raise ValueError(
            f"`retries` must be an integer from 0 to {MAX_RETRIES}. "
            f"Received: retries={retries!r}"
        )


def _is_natural(value):
    is_integer = isinstance(value, numbers.Integral)
    return is_integer and not isinstance(value, bool) and value >= 0
