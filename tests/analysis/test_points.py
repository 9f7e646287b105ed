"""Tests of irevnet_tf.analysis.points."""

import keras
import pytest
import small

from irevnet_tf import layers
from irevnet_tf.analysis.points import all_points
from irevnet_tf.analysis.points import find_points
from irevnet_tf.analysis.points import stage_points
from irevnet_tf.models.chains import find_chain


def chain_of(name):
    return find_chain(small.MODELS[name][0]())


def names(points):
    return [point.name for point in points]


def test_points_are_behind_every_block():
    chain = find_chain(small.irevnet("injective_twice"))
    points = all_points(chain)
    # And not behind the padding of the second stage.
    assert names(points) == [
        "stage1_block1",
        "stage1",
        "stage2_block1",
        "stage2_block2",
        "stage2",
    ]
    assert [point.depth for point in points] == [1, 2, 3, 4, 5]
    assert names(stage_points(chain)) == ["stage1", "stage2"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("nested", ["stage1", "stage2"]),
        ("by hand", ["blocks_block1", "blocks"]),
        ("bare couplings", ["merged"]),
        ("affine", ["blocks_block1", "blocks"]),
    ],
)
def test_points_of_other_networks(model, expected):
    found = names(all_points(chain_of(model)))
    assert [name for name in found if name in expected] == expected
    assert found[-1] == expected[-1]


def test_layers_of_ones_own_are_points():
    points = all_points(chain_of("foreign layers"))
    assert [point.depth for point in points] == [1, 2, 3, 4]
    assert points[0].name.startswith("act_norm")


def test_last_point_is_the_end():
    image = keras.Input((8, 8, 4))
    streams = layers.ChannelSplit()(image)
    streams = layers.ReversibleSequence(
        [layers.AdditiveCoupling(small.residual(2))], name="blocks"
    )(streams)
    x = layers.ChannelMerge()(streams)
    model = keras.Model(image, layers.InvertibleDownsampling(2, name="psi")(x))
    assert names(all_points(find_chain(model))) == ["psi"]


def test_network_that_learns_nothing_has_its_end():
    (point,) = all_points(chain_of("psi only"))
    assert point.depth == 0 and point.name.startswith("invertible_downs")


def test_points_of_a_user_are_in_order_of_depth():
    chain = chain_of("injective")
    points = find_points(chain, [2, "stem", "stage1_block2"])
    assert names(points) == ["stem", "stage1_block2", "stage2"]
    assert [point.depth for point in points] == [0, 2, 5]
    points = find_points(chain, ["stage2_merge", "stage2", "stage2_block2"])
    assert names(points)[0] == "stage2_block2"
