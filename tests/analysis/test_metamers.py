"""Tests of irevnet_tf.analysis.metamers."""

import keras
import numpy as np
import pytest
import scipy.optimize
import small
import tensorflow as tf

import irevnet_tf
from irevnet_tf import analysis
from irevnet_tf.analysis.head import Head
from irevnet_tf.analysis.matching import centred
from irevnet_tf.analysis.matching import match_logits
from irevnet_tf.analysis.metamer_search import MetamerSearch
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.pooled_head import least_change

SHAPE = (16, 16, 3)
STARTS, TARGETS = small.images(3, SHAPE), 0.3 * small.images(3, SHAPE, 1)


def trained(family):
    """Return networks, lossless or not, that know bright images from dark."""
    model = small.irevnet(family, SHAPE, classes=2, memory_saving=False)
    x, y = np.concatenate([STARTS, TARGETS]), np.repeat([0, 1], 3)
    model.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy"
    )
    model.fit(x, y, epochs=20, verbose=0)
    lossless = small.irevnet(family, SHAPE, classes=2, lossless=True)
    lossless.set_weights(model.get_weights())
    return {False: model, True: lossless}


@pytest.fixture(scope="module")
def bijective():
    return trained("bijective")[True]


@pytest.fixture(scope="module")
def injective():
    return trained("injective")


def test_bijective_network_has_exact_metamers(bijective):
    result = analysis.metamers(bijective, STARTS, TARGETS)
    assert result.bijective and np.all(result.found())
    # The order in which positions are summed, and the grid, are all there is.
    assert np.max(result.logit_differences[0]) < 1e-5
    assert np.max(result.logit_differences[1]) < 1e-3
    assert np.all(result.comes_back)
    assert np.all(result.pixel_distances > 0.1)
    assert np.all(result.target_predictions == 1)
    assert np.all(result.predictions[0] == 0)


def test_exchanged_one_has_the_same_values_in_other_places(bijective):
    image = analysis.metamers(bijective, STARTS, TARGETS).metamers[0, 0]
    z, moved = irevnet_tf.encoder(bijective)(np.stack([TARGETS[0], image]))
    z, moved = (np.reshape(x, (-1, x.shape[-1])) for x in (z, moved))
    assert np.any(z != moved)
    for position in moved:
        assert np.any(np.all(z == position, axis=1))


def test_moved_one_is_no_farther_than_the_target(bijective):
    """Whose own representation is what the head is to see, too."""
    result = analysis.metamers(bijective, STARTS, TARGETS)
    encoder = irevnet_tf.encoder(bijective)
    start, target, moved = (
        np.reshape(encoder(x), (len(x), -1))
        for x in (STARTS, TARGETS, result.metamers[1])
    )
    near, far = (np.linalg.norm(x - start, axis=1) for x in (moved, target))
    assert np.all(near < far)
    # Nor than what is known to be the least way.
    head = Head(bijective)
    factor, shift = head.pooling
    z = np.asarray(encoder(TARGETS))
    wanted = np.maximum(z * factor + shift, 0).mean(axis=(1, 2))
    for index, z in enumerate(np.asarray(encoder(STARTS))):
        least = least_change(z, factor, shift, wanted[index])
        np.testing.assert_allclose(
            near[index], np.linalg.norm(least - z), rtol=1e-2
        )


@pytest.mark.parametrize("lossless", [False, True])
def test_injective_network_has_metamers(injective, lossless):
    model = injective[lossless]
    result = analysis.metamers(model, STARTS, TARGETS)
    assert not result.bijective
    assert np.all(result.found())
    assert np.all(result.comes_back) or not lossless
    wanted, found = (
        np.log(model(x, training=False).numpy())
        for x in (TARGETS, result.metamers[1])
    )
    np.testing.assert_allclose(
        found[:, 0] - found[:, 1], wanted[:, 0] - wanted[:, 1], atol=0.02
    )
    assert "injective" in result.conclusion()


@pytest.mark.parametrize("seed", range(4))
def test_least_change_is_the_least(seed):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(2, 2, 3)).astype("float32")
    factor = generator.normal(size=3).astype("float32")
    shift = generator.normal(size=3).astype("float32")
    wanted = np.array([0.0, 0.3, 1.5], "float32")
    found = least_change(z, factor, shift, wanted)
    seen = np.maximum(found * factor + shift, 0).mean(axis=(0, 1))
    np.testing.assert_allclose(seen, wanted, atol=1e-6)
    for channel in range(3):
        best = np.inf
        for start in range(12):
            origin = z[..., channel].ravel()

            def pooled(u, c=channel):
                active = np.maximum(u * factor[c] + shift[c], 0)
                return active.mean() - wanted[c]

            guess = scipy.optimize.minimize(
                lambda u, o=origin: np.sum((u - o) ** 2),
                origin
                + np.random.default_rng(start).normal(size=4) * (start > 0),
                constraints={"type": "eq", "fun": pooled},
            )
            if guess.success and abs(pooled(guess.x)) < 1e-6:
                best = min(best, guess.fun)
        change = np.sum((found[..., channel] - z[..., channel]) ** 2)
        assert change <= best + 1e-4


@pytest.mark.parametrize("wanted", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("value", [-1.0, 0.0, 0.5])
def test_equal_values_are_told_apart(value, wanted):
    z = np.full((4, 4, 1), value)
    one, zero = np.ones(1), np.zeros(1)
    found = least_change(z, one, zero, np.array([wanted]))
    np.testing.assert_allclose(np.maximum(found, 0).mean(), wanted, atol=1e-9)


def test_channel_that_the_head_does_not_see_stays():
    z = small.images(1)[0]
    factor, shift = np.array([0.0, 1, 1]), np.zeros(3)
    found = least_change(z, factor, shift, np.array([9.0, 0.1, 0.9]))
    np.testing.assert_array_equal(found[..., 0], z[..., 0])


def test_decoding_out_of_range_is_not_found(bijective, monkeypatch):
    """Of a representation of which the streams overflow on the way back."""

    def overflow(self, z, name):
        if np.any(z):
            raise tf.errors.InvalidArgumentError(None, None, "out of range")
        return np.zeros((1, *SHAPE), "float32")

    search = MetamerSearch(Network(bijective), STARTS[0], 1e-2, 64, 0)
    monkeypatch.setattr(Network, "decode", overflow)
    for image in (
        search.exchanged(TARGETS[0]),
        search.moved(STARTS[0], TARGETS[0]),
    ):
        np.testing.assert_array_equal(image, TARGETS[0])


def test_images_that_move_out_of_range_are_taken_back(bijective):
    """The step that raises is one that does not help."""
    head = Head(bijective)

    class Fragile:
        calls = 0

        def logits_and_jacobian(self, image, batch_size):
            Fragile.calls += 1
            if Fragile.calls == 2:
                raise tf.errors.InvalidArgumentError(None, None, "range")
            return head.logits_and_jacobian(image, batch_size)

    wanted = centred(head.logits(TARGETS[:1]))[0]
    found = match_logits(
        Fragile(), STARTS[0], wanted, tolerance=5e-3, batch_size=64
    )
    assert Fragile.calls > 2
    np.testing.assert_allclose(
        centred(head.logits(found[None]))[0], wanted, atol=1e-2
    )


def test_values_beyond_the_exact_range_are_no_metamers():
    """A representation of which lossless streams overflow on the way back."""
    model = small.irevnet(lossless=True, fraction_bits=20)
    x = small.images(2)
    with pytest.warns(UserWarning, match="from black to white"):
        result = analysis.metamers(model, x[:1] * 7, x[1:] * 7)
    assert result.found().shape == (2, 1)
    assert np.all(np.isfinite(result.metamers) | ~result.found()[0])


def test_one_position_cannot_be_exchanged():
    result = analysis.metamers(
        small.irevnet(), small.images(2), small.images(2, seed=1)
    )
    assert not np.any(result.found()[0])
    np.testing.assert_allclose(result.pixel_distances[0], 0, atol=1e-5)
