"""Exported networks in ONNX Runtime and LiteRT, against the SavedModel.

The rows are networks and runtimes, the columns are guarantees.
"""

import cases
import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

RUNTIMES = ("onnx", "litert")
BATCHES = (1, 2, 5)
IMAGES = (
    np.random.default_rng(0)
    .integers(0, 256, (max(BATCHES), *cases.IMAGE_SHAPE))
    .astype("float32")
)
# Streams reach 2 and a residual adds up 864 products: up to ten roundings of
# 2**-23 are seen after eight blocks.
ORDINARY = 1e-5
# Where such a rounding makes a residual fall on the other side, the stream is
# off by a step of the grid, and what later residuals make of it.
LOSSLESS = 8 * 2.0**-cases.FRACTION_BITS

every_runtime = pytest.mark.parametrize("runtime", RUNTIMES)
# Dropout does nothing in what is exported.
every_family = pytest.mark.parametrize(
    "family", [name for name in cases.FAMILIES if "dropout" not in name]
)
every_mode = pytest.mark.parametrize(
    "lossless", (False, True), ids=("ordinary", "lossless")
)


def in_batches(function, array, size):
    """Return what a function of one output makes of some at a time."""
    return np.concatenate(
        [function(array[i : i + size]) for i in range(0, len(array), size)]
    )


def directions(functions):
    return (
        lambda images: functions["forward"](images)["features"],
        lambda features: functions["inverse"](features)["images"],
    )


def as_strings(names):
    """Return strings, for which TensorFlow and LiteRT return bytes."""
    return [n.decode() if isinstance(n, bytes) else n for n in names]


@every_runtime
@every_mode
@every_family
def test_forward_agrees_with_the_saved_model(
    family, lossless, runtime, export, load
):
    saved_model = export(family, lossless=lossless)
    expected = load("tensorflow", saved_model)["forward"](IMAGES)
    found = load(runtime, saved_model)["forward"](IMAGES)
    assert found.keys() == expected.keys()
    tolerance = LOSSLESS if lossless else ORDINARY
    for name in ("features", "probabilities"):
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(
            found[name], expected[name], rtol=0, atol=tolerance
        )
    assert as_strings(found["classes"]) == as_strings(expected["classes"])


@every_runtime
@every_mode
@every_family
def test_every_pixel_comes_back(family, lossless, runtime, export, load):
    forward, inverse = directions(
        load(runtime, export(family, lossless=lossless))
    )
    np.testing.assert_array_equal(np.rint(inverse(forward(IMAGES))), IMAGES)


@every_runtime
@every_family
def test_lossless_inverse_is_exact_from_batches_of_any_size_to_any(
    family, runtime, export, load
):
    saved_model = export(family, lossless=True)
    forward, inverse = directions(load("tensorflow", saved_model))
    on_grid = inverse(forward(IMAGES))
    forward, inverse = directions(load(runtime, saved_model))
    features = forward(IMAGES)
    for there in BATCHES:
        np.testing.assert_array_equal(
            in_batches(forward, IMAGES, there), features
        )
        for back in BATCHES:
            images = in_batches(inverse, features, back)
            np.testing.assert_array_equal(images, on_grid)
            np.testing.assert_array_equal(
                in_batches(forward, images, there), features
            )


@every_runtime
@every_family
def test_lossless_networks_mark_what_is_out_of_range(
    family, runtime, export, load
):
    # The error that TensorFlow raises has no counterpart in these formats.
    forward, inverse = directions(load(runtime, export(family, lossless=True)))
    features = forward(IMAGES)
    too_large = IMAGES.copy()
    too_large[1] *= 1e7
    marked = forward(too_large)
    assert np.isnan(marked[1]).all()
    others = [0, 2, 3, 4]
    np.testing.assert_array_equal(marked[others], features[others])
    assert np.isnan(inverse(marked)[1]).all()
    features[3] *= 1e7
    marked = inverse(features)
    assert np.isnan(marked[3]).all()
    np.testing.assert_array_equal(np.rint(marked[:3]), IMAGES[:3])


@every_runtime
@every_mode
@every_family
def test_directions_in_different_runtimes_agree_to_the_pixel(
    family, lossless, runtime, export, load
):
    saved_model = export(family, lossless=lossless)
    forward, inverse = directions(load("tensorflow", saved_model))
    other_forward, other_inverse = directions(load(runtime, saved_model))
    # In units of a pixel's value, which are 1/255 of the network's.
    tolerance = 255 * (LOSSLESS if lossless else ORDINARY)
    for images in (
        other_inverse(forward(IMAGES)),
        inverse(other_forward(IMAGES)),
    ):
        np.testing.assert_allclose(images, IMAGES, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(np.rint(images), IMAGES)


@every_runtime
@pytest.mark.parametrize(
    ("family", "lossless"), [("bijective", False), ("injective", True)]
)
def test_images_of_any_size_go_through_one_file(
    family, lossless, runtime, export, load
):
    saved_model = export(family, lossless=lossless, size="dynamic")
    expected = load("tensorflow", saved_model)["forward"]
    forward, inverse = directions(load(runtime, saved_model))
    tolerance = LOSSLESS if lossless else ORDINARY
    for shape in ((2, 8, 24, 3), (1, 16, 8, 3)):
        images = np.resize(IMAGES, shape)
        features = forward(images)
        np.testing.assert_allclose(
            features, expected(images)["features"], rtol=0, atol=tolerance
        )
        rebuilt = inverse(features)
        np.testing.assert_array_equal(np.rint(rebuilt), images)
        if lossless:
            np.testing.assert_array_equal(forward(rebuilt), features)


@every_runtime
def test_reconstruct_gives_every_pixel_back(runtime, export, load):
    saved_model = export("bijective", reconstruct_from="stage1")
    (images,) = load(runtime, saved_model)["reconstruct"](IMAGES).values()
    np.testing.assert_array_equal(np.rint(images), IMAGES)


@every_mode
def test_residuals_in_float16_run_in_onnx(lossless, export, load):
    saved_model = export("bijective", lossless=lossless, dtype="mixed_float16")
    forward, inverse = directions(load("onnx", saved_model))
    features = forward(IMAGES)
    images = inverse(features)
    np.testing.assert_array_equal(np.rint(images), IMAGES)
    if lossless:
        np.testing.assert_array_equal(forward(images), features)
    expected = load("tensorflow", saved_model)["forward"](IMAGES)["features"]
    # A value of 2 in float16 has steps of 2**-9.
    np.testing.assert_allclose(features, expected, rtol=0, atol=2.0**-9)
