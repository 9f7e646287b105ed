"""The client's arguments, checked."""

import dataclasses
import numbers
import urllib.parse

# gRPC makes no more than 5 attempts, whatever it is told
# (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
MAX_RETRIES = 4

# A day. Numbers far larger end in an OverflowError of the sockets.
MAX_TIMEOUT = 86_400


@dataclasses.dataclass(frozen=True)
class Target:
    """The arguments of `Client`, checked.

    Attributes:
        scheme: one of "http", "https", "grpc", "grpcs".
        location: host and port, as in the address.
        path: what comes before `/v1` in the path, without a slash at the end.
        model: the model's name.
        version: int or None.
        label: string or None.
        timeout: seconds for one call.
        retries: how often a request is sent again.
    """

    scheme: str
    location: str
    path: str
    model: str
    version: int | None
    label: str | None
    timeout: float
    retries: int


def check_target(
    address: str,
    model: str,
    version: int | None,
    label: str | None,
    timeout: float,
    retries: int,
) -> Target:
    """Check the arguments of `Client`.

    Raises:
        ValueError: if one of them is not what `Client` says.
    """
    scheme, location, path = _split(address)
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
    is_number = isinstance(timeout, numbers.Real)
    is_number = is_number and not isinstance(timeout, bool)
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
    return Target(
        scheme, location, path, model, version, label, float(timeout), retries
    )


def _split(address):
    expected = (
        "`address` must be like http://host:8501, https://host/prefix, "
        f"grpc://host:8500 or grpcs://host:8500. Received: address={address!r}"
    )
    if not isinstance(address, str):
        raise ValueError(expected)
    try:
        parts = urllib.parse.urlsplit(address)
        has_port = parts.port is not None
    except ValueError as error:
        raise ValueError(expected) from error
    is_rest = parts.scheme in ("http", "https")
    is_grpc = parts.scheme in ("grpc", "grpcs")
    # gRPC has no default port, no password in the address and no path.
    bare = has_port and "@" not in parts.netloc and parts.path in ("", "/")
    if (
        not parts.hostname
        or parts.query
        or parts.fragment
        or not (is_rest or (is_grpc and bare))
    ):
        raise ValueError(expected)
    return parts.scheme, parts.netloc, parts.path.rstrip("/")


def _is_natural(value):
    is_integer = isinstance(value, numbers.Integral)
    return is_integer and not isinstance(value, bool) and value >= 0
