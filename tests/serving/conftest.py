"""An exported model, a server that has it, and servers that misbehave."""

import contextlib
import io
import socket
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import grpc
import keras
import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
from doubles import MODEL
from doubles import Replying
from doubles import address_of
from sklearn.datasets import load_digits

import irevnet_tf
from irevnet_tf.export import export_saved_model
from irevnet_tf.serving import Client
from irevnet_tf.serving import LocalServer


@pytest.fixture(scope="session")
def images():
    """Raw values of digits, float32 (6, 8, 8, 1)."""
    digits = load_digits().images[:6, ..., None]
    return (digits * (255 / 16)).astype("float32")


@pytest.fixture(scope="session")
def files(images):
    """The images as PNG files, rounded to 8 bits."""
    encoded = []
    for image in np.rint(images[..., 0]).astype("uint8"):
        file = io.BytesIO()
        matplotlib.image.imsave(file, np.stack([image] * 3, -1), format="png")
        encoded.append(file.getvalue())
    return encoded


@pytest.fixture(scope="session")
def model():
    return irevnet_tf.IRevNet28(weights="digits", lossless=True)


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """The directory of an export with all signatures, and with names."""
    directory = tmp_path_factory.mktemp("exported") / MODEL
    export_saved_model(
        model,
        directory,
        class_names=[f"digit {index}" for index in range(10)],
        image_bytes=True,
        reconstruct_from="stage1",
    )
    return directory


def _tiny(**arguments):
    return irevnet_tf.IRevNet(
        [1, 1],
        [1, 2],
        [4, 16],
        input_shape=(8, 8, 1),
        lossless=True,
        **arguments,
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The directory of an export of a tiny network without a classifier."""
    directory = tmp_path_factory.mktemp("exported") / "tiny"
    export_saved_model(_tiny(include_top=False), directory)
    return directory


@pytest.fixture(scope="session")
def headless(tiny):
    """A server of a tiny network without a classifier."""
    with LocalServer(tiny, MODEL) as server:
        yield server


@pytest.fixture(scope="session")
def nameless(tmp_path_factory):
    """A server of a tiny classifier without names, without more signatures."""
    directory = tmp_path_factory.mktemp("exported") / "nameless"
    export_saved_model(_tiny(classes=3), directory)
    with LocalServer(directory, MODEL) as server:
        yield server


@pytest.fixture(scope="session")
def maps(tmp_path_factory):
    """A server of a tiny network with another head than a classifier's."""
    directory = tmp_path_factory.mktemp("exported") / "maps"
    body = _tiny(include_top=False)
    outputs = keras.layers.Conv2D(3, 1)(body.output)
    export_saved_model(keras.Model(body.input, outputs), directory)
    with LocalServer(directory, MODEL) as server:
        yield server


@pytest.fixture(scope="session")
def signatures(exported):
    """The functions of the export, called without a server."""
    loaded = tf.saved_model.load(str(exported / "1"))
    yield loaded.signatures
    del loaded  # Until here it had to live.


@pytest.fixture(scope="session")
def server(exported):
    with LocalServer(exported, MODEL) as server:
        yield server


@pytest.fixture(params=["rest", "grpc"])
def protocol(request):
    return request.param


@pytest.fixture
def address(server, protocol):
    return address_of(server, protocol)


@pytest.fixture
def client(address):
    with Client(address, MODEL, timeout=30) as client:
        yield client


@pytest.fixture
def replying():
    """Return a function that starts an HTTP server with given replies.

    It takes bytes for every connection it is to accept, which it sends when
    the request is there, and then closes the connection. The last one serves
    all further connections. None says nothing until the test is over; with
    `hold`, connections stay open until then.
    """
    with contextlib.ExitStack() as stack:

        def start(*replies, hold=False):
            server = Replying(replies, hold)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def free_port():
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def grpc_replying():
    """Return a function that starts a gRPC server with given replies.

    It takes a `PredictResponse`, bytes, or the name of a status code for
    every request; the last one serves all further requests. A number is the
    seconds to wait before an empty reply.
    """
    with contextlib.ExitStack() as stack:

        def start(*replies):
            state = types.SimpleNamespace(attempts=0, sizes=[])
            over = threading.Event()

            def predict(request, context):
                index = min(state.attempts, len(replies) - 1)
                state.attempts += 1
                state.sizes.append(len(request))
                reply = replies[index]
                if isinstance(reply, str):
                    context.abort(getattr(grpc.StatusCode, reply), "as told")
                if isinstance(reply, int):
                    over.wait(reply)
                    return b""
                if isinstance(reply, bytes):
                    return reply
                return reply.SerializeToString()

            server = grpc.server(
                ThreadPoolExecutor(4),
                options=[("grpc.max_receive_message_length", -1)],
            )
            handler = grpc.unary_unary_rpc_method_handler(predict)
            service = "tensorflow.serving.PredictionService"
            server.add_generic_rpc_handlers(
                [
                    grpc.method_handlers_generic_handler(
                        service, {"Predict": handler}
                    )
                ]
            )
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            stack.callback(lambda: server.stop(5).wait())
            stack.callback(over.set)
            state.address = f"grpc://127.0.0.1:{port}"
            return state

        yield start
