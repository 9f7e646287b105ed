"""Tests of irevnet_tf.conversion.pytorchcv: names of another package."""

import numpy as np
import pytest
from state_dicts import configured_state_dict
from state_dicts import published_state_dict
from state_dicts import pytorchcv_state_dict

import irevnet_tf
from irevnet_tf.conversion.architecture import infer_architecture
from irevnet_tf.conversion.pytorchcv import authors_names
from irevnet_tf.conversion.pytorchcv import unit_channels


@pytest.fixture
def renamed():
    return pytorchcv_state_dict(configured_state_dict("bijective"), (2, 2))


def test_every_name_has_its_counterpart(renamed):
    names = authors_names(renamed)
    assert list(names.values()) == list(configured_state_dict("bijective"))


def test_published_names():
    blocks = (6, 16, 72, 6)
    state = published_state_dict("IRevNet301")
    renamed = pytorchcv_state_dict(state, blocks)
    for name in (
        "features.stage1.unit1.bottleneck.conv1.weight",
        "features.stage4.unit6.bottleneck.conv3.bn.running_var",
        "features.final_postactiv.bn.bias",
        "output.weight",
    ):
        assert name in renamed
    assert infer_architecture(renamed).variant == "IRevNet301"
    shapes = {name: array.shape for name, array in renamed.items()}
    widths = (24, 96, 384, 1536)
    assert unit_channels(shapes) == [
        [width] * depth for width, depth in zip(widths, blocks, strict=True)
    ]


def test_authors_names_stay():
    state = configured_state_dict("bijective")
    assert all(a == b for a, b in authors_names(state).items())
    assert unit_channels({k: v.shape for k, v in state.items()}) == []


@pytest.mark.parametrize("prefix", ["", "module."])
def test_conversion_is_the_same(renamed, prefix):
    state = configured_state_dict("bijective")
    model = infer_architecture(state).build()
    expected = irevnet_tf.convert_state_dict(state, model)
    prefixed = {prefix + name: array for name, array in renamed.items()}
    arrays = irevnet_tf.convert_state_dict(prefixed, model)
    for array, other in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(array, other)


def test_what_is_missing_or_left_over(renamed):
    model = infer_architecture(renamed).build()
    extra = renamed | {"features.stage1.unit1.bottleneck.conv1.bn.bias": 0}
    with pytest.raises(ValueError, match="1 left over .*conv1.bn.bias"):
        irevnet_tf.convert_state_dict(extra, model)
    del renamed["features.stage2.unit1.bottleneck.conv2.bn.running_mean"]
    message = "1 missing .*stack.2.bottleneck_block.3.running_mean"
    with pytest.raises(ValueError, match=message):
        irevnet_tf.convert_state_dict(renamed, model)


def test_gaps(renamed):
    state = {k: v for k, v in renamed.items() if "stage1.unit2" not in k}
    assert infer_architecture(state).blocks == (1, 2)
    state = {k: v for k, v in renamed.items() if "stage2.unit1" not in k}
    message = "without a gap. Received: .*stage2.unit2 behind .*stage1.unit2"
    with pytest.raises(ValueError, match=message):
        infer_architecture(state)


def test_both_names_for_one_parameter(renamed):
    with pytest.raises(ValueError, match="not both.*Received: "):
        infer_architecture(renamed | configured_state_dict("bijective"))
