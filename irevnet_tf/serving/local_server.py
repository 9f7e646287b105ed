"""TensorFlow Serving's two APIs in this process, to try things out."""

import os

from irevnet_tf.serving.local_model import LocalModel
from irevnet_tf.serving.local_rest import RestServer


class LocalServer:
    """Serves the newest version of an exported model in this process.

    It lets one try a client and test an export where TensorFlow Serving's
    image is not at hand. It is not made for production: no batching, no
    reloading, no access control, one Python process. What it answers,
    refuses and says follows TensorFlow Serving, over REST (predict in rows
    and columns, status, metadata) and, if the extra `serving` is installed,
    over gRPC (Predict, GetModelMetadata, GetModelStatus). A request may have
    256 MB.

    ```python
    with LocalServer("exported/digits", "digits") as server:
        with Client(server.rest_address, "digits") as client:
            client.classify(images)
    ```

    Args:
        directory: the directory with the versions.
        name: the name under which the model is served.
        rest_port: int, the port of REST. 0 for any that is free.
        grpc_port: int, the port of gRPC. 0 for any that is free.
        host: the IPv4 address or the host name to listen at. By default the
            server can be reached only from the machine that it runs on;
            "0.0.0.0" lets all others in.

    Attributes:
        version: int, the version that is served.
        rest_address: string, for `Client`.
        grpc_address: string, for `Client`, or None without the extra.

    Raises:
        OSError: if a port is not free.
        ValueError: if there is no version in `directory`, or `host` is
            another address.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        name: str,
        *,
        rest_port: int = 0,
        grpc_port: int = 0,
        host: str = "127.0.0.1",
    ):
        if not host or ":" in host:
            raise ValueError(
                "`host` must be an IPv4 address or a host name. "
                f"Received: host={host!r}"
            )
        model = LocalModel(directory, name)
        self.version = model.version
        self._servers = [RestServer(model, host, rest_port)]
        self.rest_address = f"http://{host}:{self._servers[0].server_port}"
        self.grpc_address = None
        try:
            self._start_grpc(model, host, grpc_port)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Finish the requests under way and stop."""
        while self._servers:
            self._servers.pop().close()

    def __enter__(self) -> "LocalServer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _start_grpc(self, model, host, port):
        try:
            from irevnet_tf.serving.local_grpc import GrpcServer
        except ImportError:
            return
        server = GrpcServer(model, host, port)
        self._servers.append(server)
        self.grpc_address = f"grpc://{host}:{server.port}"
