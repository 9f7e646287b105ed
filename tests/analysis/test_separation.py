"""Tests of irevnet_tf.analysis.separation and dimensionality."""

import random
import sys

import numpy as np
import pytest
import small
from sklearn.svm import LinearSVC

import irevnet_tf
from irevnet_tf import analysis
from irevnet_tf.analysis import classifiers
from irevnet_tf.analysis.labelled import Labelled
from irevnet_tf.analysis.network import Network
from irevnet_tf.analysis.untrained import untrained

CLASSES = 4


@pytest.fixture(scope="module")
def model():
    return small.irevnet("injective", classes=CLASSES)


def test_separable_clusters_are_separated(model):
    x, y = small.labelled(CLASSES, 40)
    test_x, test_y = small.labelled(CLASSES, 6, seed=1)
    result = analysis.separation(
        model, x, y, test_x, test_y, train_size=120, draws=3
    )
    assert result.accuracy.shape == (5, 2, 3)
    assert np.all(result.accuracy == 1)
    assert np.all(result.pixels == 1)
    assert np.all(result.within < result.between)
    assert result.untrained.shape == (5, 2, 3)
    assert result.train_size == 120 and result.test_size == 24


def test_permuted_labels_are_guessed(model):
    generator = np.random.default_rng(0)
    x, test_x = small.images(200), small.images(400, seed=1)
    y, test_y = (
        generator.permutation(np.arange(len(images)) % CLASSES)
        for images in (x, test_x)
    )
    result = analysis.separation(
        model,
        x,
        y,
        test_x,
        test_y,
        train_size=100,
        draws=2,
        untrained=False,
        points=[1, 2],
    )
    assert result.untrained is None
    assert np.all(np.abs(result.accuracy - 1 / CLASSES) < 0.1)
    assert abs(result.head_accuracy - 1 / CLASSES) < 0.1
    np.testing.assert_allclose(result.within, result.between, rtol=0.02)


def test_head_accuracy_is_the_models(model):
    x, y = small.labelled(CLASSES, 4)
    result = analysis.separation(
        model, x, y, x, y, train_size=8, draws=1, points=[1]
    )
    expected = np.mean(np.argmax(model(x, training=False).numpy(), -1) == y)
    assert result.head_accuracy == expected


def test_labels_that_are_no_classes_of_the_head(model):
    x, y = small.labelled(CLASSES, 4)
    for labels, own_head in ((y + 10, True), (y, False)):
        result = analysis.separation(
            model,
            x,
            labels,
            x,
            labels,
            train_size=8,
            draws=1,
            points=[1],
            own_head=own_head,
        )
        assert result.head_accuracy is None
        assert "own head" not in result.conclusion()


def test_rare_classes_are_in_every_draw(model):
    x, y = small.labelled(3, 60)
    kept = np.concatenate([np.flatnonzero(y == 0), [60, 61, 120, 121]])
    data = Labelled.checked(Network(model), x[kept], y[kept], x, y)
    for draw in data.draws(10, 20, 0):
        assert len(set(draw)) == 10
        counts = np.bincount(data.labels[draw])
        assert np.all(counts >= 2) and counts[0] == 6
    result = analysis.separation(
        model, x[kept], y[kept], x, y, train_size=10, draws=2, points=[2]
    )
    assert np.all(np.isfinite(result.accuracy))


def test_distances_are_those_of_what_classifiers_see():
    """Of two colours, the second of which has one image only."""
    colours = np.array([[0, 0, 0], [0, 0, 0.3], [0.6, 0, 0.9]], "float32")
    x = np.ones((3, *small.SHAPE), "float32") * colours[:, None, None]
    y = np.array([0, 0, 1])
    result = analysis.separation(
        small.psi_only(),
        np.concatenate([x, x]),
        np.concatenate([y, y]),
        x,
        y,
        train_size=6,
        draws=1,
        untrained=False,
    )
    # One colour channel never varies, of psi's four positions each.
    seen = colours / np.where(np.std(colours, 0) == 0, 1, np.std(colours, 0))
    apart = [
        np.linalg.norm(seen[i] - seen[j]) for i, j in [(0, 1), (0, 2), (1, 2)]
    ]
    within, between = apart[0], np.mean(apart[1:])
    np.testing.assert_allclose(result.within, within / 2**0.5, rtol=1e-4)
    np.testing.assert_allclose(result.between, between / 2**0.5, rtol=1e-4)


def test_few_test_images_have_no_distances(model):
    x, y = small.labelled(CLASSES, 4)
    result = analysis.separation(
        model, x, y, x[:1], y[:1], train_size=8, draws=1, points=[1]
    )
    assert np.isnan(result.within[0]) and np.isnan(result.between[0])
    assert "Distances" not in result.conclusion()


def test_features_are_means_over_positions(model):
    x = small.images(5)
    found = Network(model).averages(x, ["stage1_block2"], 2)["stage1_block2"]
    expected = irevnet_tf.encoder(model, "stage1_block2")(x)
    np.testing.assert_allclose(found, np.mean(expected, axis=(1, 2)), atol=1e-5)


def test_c_is_chosen_on_training_images_alone(monkeypatch, model):
    seen = []
    choose = classifiers.choose_c
    monkeypatch.setattr(
        sys.modules[analysis.separation.__module__],
        "choose_c",
        lambda x, y, seed: seen.append(len(x)) or choose(x, y, seed),
    )
    x, y = small.labelled(CLASSES, 8)
    analysis.separation(
        model, x, y, x[::2], y[::2], train_size=16, draws=3, points=[1]
    )
    assert seen == [16] * 3  # Pixels, the network, the untrained one.


def test_seed_decides(model):
    x, y = small.labelled(CLASSES, 8)
    runs = [
        analysis.separation(
            model, x, y, x[::2], y[::2], train_size=16, draws=1, seed=1
        )
        for _ in range(2)
    ]
    for name in ("accuracy", "untrained", "pixels", "within", "between"):
        np.testing.assert_array_equal(*(getattr(x, name) for x in runs))


def test_untrained_network_has_other_weights(model):
    state = random.getstate()
    first, again, other = (
        untrained(model, seed).get_weights() for seed in (0, 0, 1)
    )
    assert random.getstate() == state
    kernels = [i for i, weight in enumerate(first) if weight.ndim == 4]
    assert len(kernels) == 15
    for index in kernels:
        np.testing.assert_array_equal(first[index], again[index])
        assert np.any(first[index] != other[index])


def test_choose_c_prefers_what_generalises():
    generator = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = generator.normal(size=(200, 60))
    x[:, 0] += 1.5 * y
    c = classifiers.choose_c(x, y, 0)
    train, test = (x[:100], y[:100]), (x[100:], y[100:])
    found = classifiers.accuracies(train, test, c, 0)[0]
    worst = LinearSVC(C=100.0, max_iter=10000).fit(*train).score(*test)
    assert found > worst


def test_components_of_data_of_known_rank():
    """Levels of gray: one component has all that there is."""
    x, y = small.labelled(2, 8)
    level = x.mean(axis=(1, 2, 3)) + 0.5 * y
    flat = np.ones_like(x) * level[:, None, None, None].astype("float32")
    result = analysis.dimensionality(small.psi_only(), flat, y, flat, y)
    (variance,) = result.variance
    np.testing.assert_allclose(variance, 1.0, atol=1e-5)
    assert result.enough().tolist() == [[1, 1]]
    assert result.accuracy[0][0].tolist() == [1.0, 1.0]
    assert result.components[0].tolist() == [1, 2, 4, 8, 12]


def test_components_that_tell_classes_apart_are_found():
    """Four colours in a plane of the three."""
    colours = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 0]], "float32")
    y = np.arange(48) % 4
    noise = 0.1 * small.images(48)
    x = (noise + colours[y][:, None, None]).astype("float32")
    result = analysis.dimensionality(
        small.psi_only(), x, y, x, y, components=[1, 2, 3]
    )
    assert result.components[0].tolist() == [1, 2, 3, 12]
    accuracy = result.accuracy[0]
    # In one dimension no line has the classes in the middle on one side.
    assert accuracy[0, 0] < 0.9 and np.all(accuracy[2:] == 1)
    assert result.enough()[0, 0] in (2, 3)
    assert "At invertible_downsampling" in result.conclusion()
