"""Exported models, servers that have them, and servers that misbehave."""

import contextlib
import functools
import io
import socket

import keras
import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
from doubles import MODEL
from doubles import Replying
from doubles import serving
from sklearn.datasets import load_digits

import irevnet_tf
from irevnet_tf.export import export_saved_model
from irevnet_tf.serving import Client


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
def nameless(tmp_path_factory):
    """The directory of a tiny classifier without names or more signatures."""
    directory = tmp_path_factory.mktemp("exported") / "nameless"
    export_saved_model(_tiny(classes=3), directory)
    return directory


@pytest.fixture(scope="session")
def maps(tmp_path_factory):
    """The directory of a tiny network with another head than a classifier's."""
    directory = tmp_path_factory.mktemp("exported") / "maps"
    body = _tiny(include_top=False)
    outputs = keras.layers.Conv2D(3, 1)(body.output)
    export_saved_model(keras.Model(body.input, outputs), directory)
    return directory


@pytest.fixture(scope="session")
def signatures(exported):
    """The functions of the export, called without a server."""
    loaded = tf.saved_model.load(str(exported / "1"))
    yield loaded.signatures
    del loaded  # Until here it had to live.


@pytest.fixture(scope="session")
def served():
    """Return a function: the address of a server of an export."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def address(directory, protocol):
            return stack.enter_context(serving(directory, protocol))

        yield address


@pytest.fixture(scope="session")
def needs_grpc():
    pytest.importorskip(
        "tensorflow_serving", reason="tensorflow-serving-api is not installed"
    )


@pytest.fixture(params=["rest", "grpc"])
def protocol(request):
    if request.param == "grpc":
        request.getfixturevalue("needs_grpc")
    return request.param


@pytest.fixture
def address(served, exported, protocol):
    return served(exported, protocol)


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
    `hold`, connections stay open until then. Each reply comes after `delay`
    seconds.
    """
    with contextlib.ExitStack() as stack:

        def start(*replies, hold=False, delay=0):
            server = Replying(replies, hold, delay)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def free_port():
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def grpc_replying(needs_grpc):
    """Return a function that starts a gRPC server with given replies.

    It takes a `PredictResponse`, bytes, or the name of a status code for
    every request; the last one serves all further requests. A number is the
    seconds to wait before an empty reply.
    """
    from grpc_doubles import GrpcReplying

    with contextlib.ExitStack() as stack:

        def start(*replies):
            server = GrpcReplying(replies)
            stack.callback(server.close)
            return server

        yield start
