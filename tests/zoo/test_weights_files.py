"""Weights files that are not what they should be."""

import cases
import keras
import numpy as np
import pytest


@pytest.fixture
def weights_file(tmp_path):
    path = tmp_path / "model.weights.h5"
    cases.build("bijective").save_weights(path)
    return path


def test_weights_of_this_architecture_are_loaded(weights_file):
    first = cases.build("bijective", weights=weights_file)
    second = cases.build("bijective", weights=str(weights_file))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="existing file that.*none"):
        cases.build("bijective", weights=tmp_path / "none.weights.h5")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_truncated_file(weights_file, keep):
    content = weights_file.read_bytes()
    weights_file.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ValueError, match="truncated or damaged. Received"):
        cases.build("bijective", weights=weights_file)


@pytest.mark.parametrize(
    "arguments",
    [
        {"classes": 7},
        {"blocks": (2, 3)},
        {"blocks": (2, 1)},
        {"kernel_sizes": (1, 3, 1)},
    ],
    ids=str,
)
def test_file_of_another_architecture(weights_file, arguments):
    with pytest.raises(ValueError, match="same architecture.*Received"):
        cases.build("bijective", weights=weights_file, **arguments)


def test_file_of_another_family(weights_file):
    with pytest.raises(ValueError, match="same architecture.*Received"):
        cases.build("injective", weights=weights_file)


def test_file_without_classifier_lacks_one(tmp_path):
    path = tmp_path / "notop.weights.h5"
    cases.build("bijective", include_top=False).save_weights(path)
    with pytest.raises(ValueError, match="same architecture.*Received"):
        cases.build("bijective", weights=path)


@pytest.mark.parametrize("pooling", [None, "avg"])
def test_classifier_is_left_out(weights_file, pooling):
    images = cases.digits(2)[0]
    full = cases.build("bijective", weights=weights_file)
    layer = "stage2_merge" if pooling is None else "avg_pool"
    expected = keras.Model(full.input, full.get_layer(layer).output)(images)
    base = cases.build(
        "bijective", weights=weights_file, include_top=False, pooling=pooling
    )
    np.testing.assert_array_equal(base(images), expected)


@pytest.mark.parametrize("rates", [(0.0, 0.5), (0.5, 0.0)])
def test_dropout_rate_is_no_part_of_the_architecture(tmp_path, rates):
    path = tmp_path / "model.weights.h5"
    saved, loaded = rates
    model = cases.build("bijective", dropout_rate=saved)
    model.save_weights(path)
    images = cases.digits(2)[0]
    other = cases.build("bijective", dropout_rate=loaded, weights=path)
    np.testing.assert_array_equal(other(images), model(images))


def test_numbers_that_are_not_finite(tmp_path):
    path = tmp_path / "model.weights.h5"
    model = cases.build("bijective")
    model.get_layer("stage1").blocks[0].weights[0].assign(
        model.get_layer("stage1").blocks[0].weights[0] * np.nan
    )
    model.save_weights(path)
    with pytest.raises(ValueError, match="of finite numbers. Received"):
        cases.build("bijective", weights=path)


def test_optimizer_state_is_left_out(tmp_path):
    path = tmp_path / "model.weights.h5"
    model = cases.compile(cases.build("bijective"))
    model.fit(*cases.digits(4), verbose=0)
    model.save_weights(path)
    images = cases.digits(2)[0]
    other = cases.build("bijective", weights=path)
    np.testing.assert_array_equal(other(images), model(images))
