"""The client's exceptions."""


class ServingError(Exception):
    """A request failed. The message quotes the server's, if it sent one.

    Raised itself if no subclass fits: the server failed internally, or its
    reply is not what TensorFlow Serving sends.
    """


class InvalidRequestError(ServingError, ValueError):
    """The server refused the request, and would refuse it again.

    HTTP 400 and 413; gRPC's INVALID_ARGUMENT, FAILED_PRECONDITION and
    OUT_OF_RANGE, for all of which TensorFlow Serving answers 400.
    """


class ModelNotFoundError(ServingError):
    """The server has no such model or version. HTTP 404, gRPC's NOT_FOUND."""


class UnavailableError(ServingError):
    """There is no server, it is overloaded, or it closed the connection.

    No retries are left, or over REST the server took the request. HTTP 429, 502
    and 503; gRPC's UNAVAILABLE and RESOURCE_EXHAUSTED.
    """


class ServingTimeoutError(ServingError, TimeoutError):
    """The request timed out. HTTP 408 and 504, gRPC's DEADLINE_EXCEEDED."""


HTTP_ERRORS = {
    400: InvalidRequestError,
    404: ModelNotFoundError,
    408: ServingTimeoutError,
    413: InvalidRequestError,
    429: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: ServingTimeoutError,
}

GRPC_ERRORS = {
    "DEADLINE_EXCEEDED": ServingTimeoutError,
    "FAILED_PRECONDITION": InvalidRequestError,
    "INVALID_ARGUMENT": InvalidRequestError,
    "NOT_FOUND": ModelNotFoundError,
    "OUT_OF_RANGE": InvalidRequestError,
    "RESOURCE_EXHAUSTED": UnavailableError,
    "UNAVAILABLE": UnavailableError,
}
