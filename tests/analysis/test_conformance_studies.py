"""Every study runs on every kind of model, and leaves it as it was."""

import math

import numpy as np
import pytest
import small
from matplotlib.figure import Figure
from small import STUDIES

from irevnet_tf import analysis

COLUMNS = {
    "inversion": ("point mode input image relative_error largest_error"),
    "spectrum": "image point index singular_value",
    "spectrum_local_inversion": "image method distance relative_error",
    "interpolation": (
        "pair point t class probability pixel_distance_to_start out_of_range"
    ),
    "interpolation_lines": (
        "pair t probability pixel_line_probability distance_to_pixel_line "
        "reencoding_error"
    ),
    "metamers_images": (
        "pair kind found distance_to_start out_of_range comes_back"
    ),
    "separation": "point depth classifier draw accuracy",
    "separation_distances": "point depth within between",
    "dimensionality": "point classifier components accuracy",
    "dimensionality_variance": "point components variance",
    "metamers": "pair kind logit_difference pixel_distance same_class",
    "depth_gallery": "point components image pixel_error",
}


# These differ in all that a study can meet: a head or none, one that is nested,
# rounding, images of any size or of one channel, layers of users.
IN_EVERY_STUDY = (
    "injective",
    "any size",
    "gray",
    "headless",
    "nested lossless",
    "foreign layers",
)
# What walks the network in both directions, and what differentiates it, meet
# the others, and two that need a head those that have one.
IN_ALL_MODELS = ("inversion", "spectrum")
WITH_A_HEAD = ("interpolation", "metamers")
CASES = [
    (name, study)
    for name, (_, classifies) in small.MODELS.items()
    for study in STUDIES
    if name in IN_EVERY_STUDY
    or study in IN_ALL_MODELS
    or (classifies and study in WITH_A_HEAD)
]


@pytest.fixture(scope="module")
def models():
    """Return a function from a name to a model, which stays for a while."""
    built = {}

    def get(name):
        if name not in built:
            built.clear()
            built[name] = small.MODELS[name][0]()
        return built[name]

    return get


@pytest.mark.parametrize(("name", "study"), CASES)
def test_study_runs_draws_and_tells(name, study, models):
    model, classifies = models(name), small.MODELS[name][1]
    channels = model.inputs[0].shape[-1]
    x, y = small.labelled(shape=(8, 8, channels))
    before = [weight.copy() for weight in model.get_weights()]
    nodes = _nodes(model)
    told = []
    if study == "metamers" and not classifies:
        with pytest.raises(ValueError, match="`model` must"):
            STUDIES[study](model, x, y)
        return
    result = STUDIES[study](model, x, y, progress=told.append)
    for table, rows in result.tables().items():
        assert rows and all(" ".join(row) == COLUMNS[table] for row in rows)
        for row in rows:
            assert all(
                isinstance(v, str | bool) or np.isfinite(v) or not classifies
                for v in row.values()
            )
    assert list(result.tables())[0] == study
    assert len({tuple(row) for row in result.summary()}) == 1
    assert result.conclusion().endswith(".")
    assert isinstance(getattr(analysis, f"draw_{study}")(result), Figure)
    assert told == sorted(told)
    assert math.isclose(told[-1], 1.0)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert _nodes(model) == nodes


def _nodes(model):
    layers = list(model._flatten_layers())
    return [(len(x._inbound_nodes), len(x._outbound_nodes)) for x in layers]
