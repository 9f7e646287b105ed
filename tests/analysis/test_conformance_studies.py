"""Every study runs on every kind of model, and leaves it as it was."""

import math

import numpy as np
import pytest
import small
from matplotlib.figure import Figure

from irevnet_tf import analysis

STUDIES = {
    "inversion": lambda model, x, y, **kw: analysis.inversion(
        model, x[:3], photographs=x[3:5], noise_images=2, **kw
    ),
    "spectrum": lambda model, x, y, **kw: analysis.spectrum(
        model, x[:1], window=4, **kw
    ),
    "interpolation": lambda model, x, y, **kw: analysis.interpolation(
        model, x[:2], x[-2:], steps=3, **kw
    ),
    "separation": lambda model, x, y, **kw: analysis.separation(
        model, x, y, x, y, train_size=12, draws=2, **kw
    ),
    "dimensionality": lambda model, x, y, **kw: analysis.dimensionality(
        model, x, y, x, y, **kw
    ),
    "metamers": lambda model, x, y, **kw: analysis.metamers(
        model, x[:1], x[-1:], **kw
    ),
    "depth_gallery": lambda model, x, y, **kw: analysis.depth_gallery(
        model, x, x[:2], **kw
    ),
}
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


@pytest.fixture(scope="module", params=small.MODELS)
def case(request):
    build, classifies = small.MODELS[request.param]
    model = build()
    channels = model.inputs[0].shape[-1]
    return model, classifies, small.labelled(shape=(8, 8, channels))


@pytest.mark.parametrize("study", STUDIES)
def test_study_runs_draws_and_tells(case, study):
    model, classifies, (x, y) = case
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
