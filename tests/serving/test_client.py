"""What a client gets is what the model answers, over both protocols."""

import concurrent.futures

import numpy as np
import pytest
import tensorflow as tf
from doubles import MODEL
from doubles import NAMES
from doubles import http_reply
from doubles import serving

import irevnet_tf
from irevnet_tf.serving import Client
from irevnet_tf.serving import InvalidRequestError
from irevnet_tf.serving import ModelNotFoundError


def test_classes_are_those_of_the_model(client, model, images, signatures):
    found = client.classify(images)
    expected = signatures["forward"](images=images)["probabilities"].numpy()
    assert found.probabilities.dtype == np.float32
    np.testing.assert_array_equal(found.probabilities, expected)
    x = irevnet_tf.preprocess_input(images, "unit")
    own = model.predict(x, verbose=0)
    np.testing.assert_allclose(found.probabilities, own, atol=1e-6)
    assert found.classes == [NAMES[i] for i in own.argmax(-1)]
    assert found.classes == NAMES[:6]  # The first six digits are 0 to 5.


def test_features_are_those_of_the_model(client, model, images):
    x = irevnet_tf.preprocess_input(images, "unit")
    features = client.encode(images)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, irevnet_tf.encoder(model)(x))


def test_images_come_back_bit_for_bit(client, images):
    again = client.decode(client.encode(images))
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, images)


def test_reconstructions_are_the_images(client, images):
    np.testing.assert_array_equal(client.reconstruct(images), images)


def test_files_are_classified_as_what_they_show(client, images, files):
    from_files = client.classify(files)
    from_arrays = client.classify(np.rint(images).astype("uint8"))
    np.testing.assert_array_equal(
        from_files.probabilities, from_arrays.probabilities
    )
    assert from_files.classes == from_arrays.classes
    np.testing.assert_array_equal(
        client.encode(files), client.encode(np.rint(images))
    )


@pytest.mark.parametrize(
    "kind",
    [
        lambda files: [bytearray(file) for file in files],
        lambda files: [memoryview(file) for file in files],
        lambda files: [tf.constant(file) for file in files],
        lambda files: np.array(files),
        lambda files: np.array(files, object),
        tf.constant,
    ],
)
def test_files_may_be_of_any_kind_of_bytes(client, files, kind):
    np.testing.assert_array_equal(
        client.classify(kind(files)).probabilities,
        client.classify(files).probabilities,
    )


@pytest.mark.parametrize(
    "dtype", ["uint8", "int64", "bfloat16", "float16", "float64"]
)
def test_any_numbers_are_taken(client, images, dtype):
    values = np.rint(images)
    dtype = tf.as_dtype(dtype).as_numpy_dtype
    np.testing.assert_array_equal(
        client.encode(values.astype(dtype)), client.encode(values)
    )
    nested = values.astype(dtype).tolist()
    np.testing.assert_array_equal(client.encode(nested), client.encode(values))


def test_awkward_floats_survive(client, signatures):
    awkward = np.array(
        [0.1, 1 / 3, 255.0, 16777217, -0.0, 1e-30, 7e-5, 123.456] * 8
    )
    images = awkward.reshape(1, 8, 8, 1).astype("float32")[..., :1]
    expected = signatures["forward"](images=images % 256)["features"]
    np.testing.assert_array_equal(client.encode(images % 256), expected)


@pytest.mark.usefixtures("needs_grpc")
def test_a_batch_beyond_the_default_limit_of_grpc_comes_back(tiny, served):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (17_000, 8, 8, 1)).astype("float32")
    assert images.nbytes > 4 * 2**20
    with Client(served(tiny, "grpc"), MODEL) as client:
        features = client.encode(images)
        np.testing.assert_array_equal(np.rint(client.decode(features)), images)


def test_versions_can_be_asked_for(address, images):
    with Client(address, MODEL, version=1) as client:
        assert client.encode(images).shape[0] == len(images)
    with (
        Client(address, MODEL, version=99) as client,
        pytest.raises(ModelNotFoundError, match="Servable not found.*99"),
    ):
        client.encode(images)


def test_labels_can_be_asked_for_over_rest(replying):
    server = replying(http_reply(200, b'{"outputs": [[[[1]]]]}'))
    with Client(server.address, MODEL, label="a b/ä") as client:
        client.decode([[[[1.0]]]])
    assert server.paths == ["/v1/models/digits/labels/a%20b%2F%C3%A4:predict"]


@pytest.mark.usefixtures("needs_grpc")
def test_labels_can_be_asked_for_over_grpc(served, exported, images):
    with (
        Client(served(exported, "grpc"), MODEL, label="a b/ä") as client,
        pytest.raises(InvalidRequestError, match="Unrecognized label: a b/ä"),
    ):
        client.encode(images)


def test_names_are_quoted(tiny, protocol, images):
    name = "my digits/ä"
    with (
        serving(tiny, protocol, name) as address,
        Client(address, name) as client,
    ):
        assert len(client.encode(images)) == len(images)


def test_unknown_models_are_an_error(address, images):
    with (
        Client(address, "letters") as client,
        pytest.raises(ModelNotFoundError, match="not found.*letters"),
    ):
        client.encode(images)


def test_without_names_there_are_no_classes(served, nameless, protocol, images):
    with Client(served(nameless, protocol), MODEL) as client:
        found = client.classify(images)
    assert found.classes is None
    assert found.probabilities.shape == (6, 3)
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, rtol=1e-6)


@pytest.mark.usefixtures("needs_grpc")
def test_on_a_fixed_version_names_are_asked_for_once(
    served, nameless, images, monkeypatch
):
    address = served(nameless, "grpc")
    asked_for = []
    for version in (None, 1):
        with Client(address, MODEL, version=version) as client:
            send = client._transport.predict

            def predict(*args, send=send):
                asked_for.append(args[-1])
                return send(*args)

            monkeypatch.setattr(client._transport, "predict", predict)
            for _ in range(2):
                assert client.classify(images).classes is None
    first, second = ("probabilities", "classes"), ("probabilities",)
    assert asked_for[:4] == [first, second, first, second]
    assert asked_for[4:] == [first, second, second]


def test_without_classifier_there_are_only_features(
    served, tiny, protocol, images
):
    with Client(served(tiny, protocol), MODEL) as client:
        features = client.encode(np.rint(images))
        again = client.decode(features)
        np.testing.assert_array_equal(np.rint(again), np.rint(images))
        outputs = client.predict(np.rint(images))
        assert list(outputs) == ["features"]
        np.testing.assert_array_equal(outputs["features"], features)


def test_only_classifiers_classify(served, tiny, maps, protocol, images):
    for directory in (tiny, maps):
        with (
            Client(served(directory, protocol), MODEL) as client,
            pytest.raises(
                InvalidRequestError, match="`predict` and `encode`.*Received: "
            ),
        ):
            client.classify(images)


def test_all_outputs_can_be_asked_for(client, images, files, signatures):
    for value, expected in (
        (images, signatures["forward"](images=images)),
        (files, signatures["forward_bytes"](image_bytes=tf.constant(files))),
    ):
        outputs = client.predict(value)
        assert sorted(outputs) == ["classes", "features", "probabilities"]
        assert outputs.pop("classes") == NAMES[:6]
        for name, array in outputs.items():
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, expected[name])


def test_other_heads_can_be_asked_for(served, maps, protocol, images):
    with Client(served(maps, protocol), MODEL) as client:
        outputs = client.predict(images)
        assert sorted(outputs) == ["features", "outputs"]
        assert outputs["outputs"].shape == (6, 2, 2, 3)
        np.testing.assert_array_equal(
            outputs["features"], client.encode(images)
        )


def test_what_the_server_refuses_is_an_error(client, images):
    with pytest.raises(
        InvalidRequestError, match="not compatible with expected shape"
    ):
        client.encode(images[:, :4])
    with pytest.raises(ValueError, match="not compatible with expected shape"):
        client.decode(images)
    with pytest.raises(InvalidRequestError, match="Unknown image file format"):
        client.classify([b"no image"])
    huge = np.full((1, 8, 8, 1), 1e9, "float32")
    with pytest.raises(InvalidRequestError, match="must stay below"):
        client.encode(huge)


def test_missing_signatures_are_an_error(
    served, nameless, protocol, images, files
):
    with Client(served(nameless, protocol), MODEL) as client:
        with pytest.raises(InvalidRequestError, match='"recons.*not found'):
            client.reconstruct(images)
        with pytest.raises(InvalidRequestError, match='"forward_.*not found'):
            client.classify(files)


def test_threads_can_share_a_client(client, images):
    expected = client.encode(images)

    def ask(index):
        rows = [index % 6, (index * 5 + 1) % 6]
        return rows, client.encode(images[rows])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for rows, features in pool.map(ask, range(48)):
            np.testing.assert_array_equal(features, expected[rows])


def test_a_closed_client_says_so(address, images):
    client = Client(address, MODEL)
    client.close()
    client.close()
    with pytest.raises(ValueError, match="The client is closed"):
        client.encode(images)


def test_a_path_in_the_address_is_kept(replying):
    server = replying(http_reply(200, b'{"outputs": [[[[1]]]]}'))
    with Client(f"{server.address}/a/b/", MODEL, version=3) as client:
        client.decode([[[[1.0]]]])
    assert server.paths == ["/a/b/v1/models/digits/versions/3:predict"]
