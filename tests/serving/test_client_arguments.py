"""What is wrong is said before anything is sent."""

import builtins
import importlib
import pathlib
import sys

import numpy as np
import pytest

from irevnet_tf import serving
from irevnet_tf.serving import Client
from irevnet_tf.serving import payload


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8501",
        "ftp://localhost:8501",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://host/path?query",
        "grpc://host",
        "grpc://host:8500/path",
        "grpc://user@host:8500",
        b"http://host",
        b"http://host:1",
        None,
    ],
)
def test_wrong_addresses_are_refused(address):
    with pytest.raises(ValueError, match="`address` must be like") as caught:
        Client(address, "digits")
    assert str(caught.value).endswith(f"Received: address={address!r}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": ""}, "`model` must be the name.* Received: model=''"),
        ({"version": -1}, "`version` must be .* Received: version=-1"),
        ({"version": True}, "`version` must be .* Received: version=True"),
        ({"version": "1"}, "`version` must be .* Received: version='1'"),
        ({"label": ""}, "`label` must be .* Received: label=''"),
        (
            {"version": 1, "label": "stable"},
            "at most one of .* Received: version=1, label='stable'",
        ),
        ({"timeout": 0}, "`timeout` must be .* Received: timeout=0"),
        ({"timeout": None}, "`timeout` must be .* Received: timeout=None"),
        ({"timeout": np.inf}, "`timeout` must be .* Received: timeout=inf"),
        ({"timeout": np.nan}, "`timeout` must be .* Received: timeout=nan"),
        ({"timeout": True}, "`timeout` must be .* Received: timeout=True"),
        ({"timeout": 86401}, "at most 86400. Received: timeout=86401"),
        ({"retries": 5}, "`retries` must be .* from 0 to 4. Received: .*=5"),
        ({"retries": 1.0}, "`retries` must be .* Received: retries=1.0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Client(**{"address": "http://host", "model": "digits", **arguments})


@pytest.mark.usefixtures("needs_grpc")
def test_grpc_takes_addresses_of_ipv6():
    with (
        Client("grpc://[::1]:9/", "digits", retries=0) as client,
        pytest.raises(serving.UnavailableError, match=r"from \[::1\]:9: "),
    ):
        client.decode([[[[1.0]]]])


@pytest.fixture
def deaf(monkeypatch, free_port):
    """A client that must not send anything."""
    with Client(f"http://127.0.0.1:{free_port}", "digits") as client:
        monkeypatch.setattr(client, "_transport", None)
        yield client
        monkeypatch.undo()


@pytest.mark.parametrize(
    "method", ["classify", "encode", "predict", "reconstruct"]
)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((8, 8, 1)), r"Received: images.shape=\(8, 8, 1\)"),
        (np.zeros((0, 8, 8, 1)), r"not be empty.*images.shape=\(0, 8, 8, 1\)"),
        ([], r"Received: images.shape=\(0,\)"),
        ([["a"]], r"must hold numbers. Received: images.dtype=<U1"),
        (np.zeros((1, 8, 8, 1), bool), "Received: images.dtype=bool"),
        (np.zeros((1, 8, 8, 1), complex), "images.dtype=complex128"),
        (None, "Received: images.dtype=object"),
        ([[1, 2], [3]], "must be one array .* Received: images=list"),
    ],
)
def test_wrong_images_are_not_sent(deaf, method, images, message):
    with pytest.raises(ValueError, match=message):
        getattr(deaf, method)(images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (b"PNG", "list of bytes, .* Received: images=bytes of length 3"),
        (bytearray(3), "list of bytes, .* images=bytearray of length 3$"),
        ([b"PNG", b""], r"Received: images\[1\]=bytes of length 0$"),
        (np.array([b"PNG", b""]), r"images\[1\]=bytes of length 0$"),
        ([b"PNG", "text"], r"Received: images\[1\]=str of length 4$"),
        ((b"PNG", None), r"Received: images\[1\]=NoneType$"),
        ([b"PNG", np.zeros((9, 9))], r"images\[1\]=ndarray of length 9$"),
        (["a.png"], r"not their names. Received: images\[0\]=str of length 5$"),
        (np.array(["a.png"]), r"not their names. .*=str of length 5$"),
        ([pathlib.Path("a.png")], r"not their names. .*images\[0\]=PosixPath$"),
    ],
)
@pytest.mark.parametrize("method", ["classify", "predict"])
def test_wrong_files_are_not_sent(deaf, method, images, message):
    with pytest.raises(ValueError, match=message):
        getattr(deaf, method)(images)


def test_wrong_features_are_not_sent(deaf):
    with pytest.raises(ValueError, match=r"Received: features.shape=\(2, 3\)"):
        deaf.decode(np.zeros((2, 3)))


def test_floats_are_not_copied_without_need():
    images = np.zeros((1, 8, 8, 1), "float32")
    assert payload.check_array("images", images) is images


def _forget_modules():
    """Make as if no module of the package had been imported."""
    for name in list(sys.modules):
        if name.startswith("irevnet_tf.serving."):
            del sys.modules[name]
            vars(serving).pop(name.split(".")[2], None)


@pytest.fixture
def without(monkeypatch):
    """Return a function that hides libraries from imports."""
    before, attributes = dict(sys.modules), dict(vars(serving))

    def hide(*hidden):
        real = builtins.__import__

        def fake(name, *args, **kwargs):
            if name.partition(".")[0] in hidden:
                raise ImportError(f"No module named {name!r}")
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", fake)
        _forget_modules()

    yield hide
    # Those imported meanwhile have other classes of errors.
    _forget_modules()
    sys.modules.update(before)
    vars(serving).update(attributes)


def test_rest_says_what_it_needs(without):
    without("requests")
    with pytest.raises(ImportError, match=r'pip install "irevnet_tf\[serv'):
        Client("http://localhost:8501", "digits")


@pytest.mark.parametrize("missing", ["grpc", "tensorflow_serving"])
def test_grpc_says_what_it_needs(without, missing):
    without(missing)
    with pytest.raises(ImportError, match=r'pip install "irevnet_tf\[serv'):
        Client("grpc://localhost:8500", "digits")


def test_rest_needs_nothing_of_grpc(without, tiny, images):
    without("grpc", "tensorflow_serving")
    fresh = importlib.import_module("irevnet_tf.serving.local")
    with (
        fresh.LocalServer(tiny, "digits") as server,
        Client(server.rest_address, "digits") as client,
    ):
        assert client.encode(images).shape[0] == len(images)


@pytest.mark.usefixtures("needs_grpc")
def test_grpc_needs_nothing_of_rest(without, served, exported, images):
    address = served(exported, "grpc")
    without("requests", "urllib3")
    with Client(address, "digits") as client:
        assert client.encode(images).shape[0] == len(images)


def test_all_names_are_there():
    assert sorted(serving.__all__) == serving.__all__
    assert all(hasattr(serving, name) for name in serving.__all__)
