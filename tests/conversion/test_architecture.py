"""Tests of irevnet_tf.conversion.architecture: networks from their shapes."""

import numpy as np
import pytest
from state_dicts import CONFIGURATIONS
from state_dicts import configured_state_dict
from state_dicts import published_state_dict
from state_dicts import random_state_dict

import irevnet_tf
from irevnet_tf.conversion.architecture import infer_architecture
from irevnet_tf.models.variants import VARIANTS


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_is_recognised(name):
    blocks, strides, channels, classes, image_channels, init_ds, options = (
        CONFIGURATIONS[name]
    )
    found = infer_architecture(configured_state_dict(name), image_channels)
    assert found.blocks == blocks
    assert found.strides == strides
    assert found.channels == channels
    assert found.classes == classes
    assert found.initial_downsampling == max(1, init_ds)
    assert found.kernel_sizes == options.get("kernels", (3, 3, 3))
    assert found.bottleneck_ratio == options.get("mult", 4)
    assert found.assumed == (strides[0] == 1)
    assert found.variant is None


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_is_converted(name):
    image_channels = CONFIGURATIONS[name][4]
    state = configured_state_dict(name)
    model = infer_architecture(state, image_channels).build()
    arrays = irevnet_tf.convert_state_dict(state, model)
    assert len(arrays) == len(model.weights)


@pytest.mark.parametrize("variant", ["IRevNet163", "IRevNet301"])
def test_published_networks(variant):
    found = infer_architecture(published_state_dict(variant))
    assert found.variant == variant
    assert found.classes == VARIANTS[variant]["classes"]


@pytest.mark.parametrize("variant", ["IRevNet28", "IRevNet56", "IRevNet300"])
def test_all_variants_have_their_names(variant):
    spec = VARIANTS[variant]
    state = random_state_dict(
        spec["blocks"],
        spec["strides"],
        # A network of this width would take a while to draw.
        spec["channels"],
        2,
        3,
        spec["initial_downsampling"],
        kernels=spec["kernel_sizes"],
        values=lambda shape: np.broadcast_to(np.float32(0), shape),
    )
    found = infer_architecture(state)
    assert found.variant == variant
    assert found.initial_downsampling == spec["initial_downsampling"]


def test_equal_stages_without_stride_are_one():
    arguments = (1, 2, 3), (2, 1, 1), (24, 24, 24), 4, 3, 2
    found = infer_architecture(random_state_dict(*arguments))
    assert found.blocks == (6,)
    assert found.strides == (2,)


def test_stated_downsampling_of_an_injective_network():
    state = configured_state_dict("injective")
    found = infer_architecture(state, initial_downsampling=2)
    assert found.initial_downsampling == 2
    assert not found.assumed
    with pytest.raises(ValueError, match="must be one of 1, 2.*Received: .*4"):
        infer_architecture(state, initial_downsampling=4)
    with pytest.raises(ValueError, match="must be 1, 2 or 4. Received: .*=3"):
        infer_architecture(state, initial_downsampling=3)


def test_images_that_do_not_fit():
    state = configured_state_dict("bijective")
    message = r"images with 12 \(.* of 1\), 3 \(.* of 2\) channels.*channels=1"
    with pytest.raises(ValueError, match=message):
        infer_architecture(state, image_channels=1)
    with pytest.raises(ValueError, match="or fewer. Received: .*channels=17"):
        infer_architecture(configured_state_dict("injective"), 17)
    with pytest.raises(ValueError, match="Received: image_channels=0"):
        infer_architecture(state, image_channels=0)


def replaced(name, shape):
    return lambda state: state.update({name: np.zeros(shape, "float32")})


FIRST, OTHER = "stack.0.bottleneck_block", "stack.1.bottleneck_block"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict.clear, "must be that of an i-RevNet.*Received: 0 entries"),
        (
            lambda s: s.pop(f"{OTHER}.5.weight"),
            f"without {OTHER}.5.weight",
        ),
        (lambda s: s.pop("linear.weight"), "without linear.weight"),
        (
            replaced("stack.7.bottleneck_block.2.weight", (6, 96, 3, 3)),
            "without stack.4.bottleneck_block.2.weight",
        ),
        (replaced("linear.weight", (7, 100)), "Received: .*100 inputs"),
        (replaced("linear.weight", (7,)), r"2 axes.*Received: shape \(7,\)"),
        (replaced(f"{FIRST}.3.weight", (6, 5, 3, 3)), "must fit each other"),
        (replaced(f"{FIRST}.3.weight", (6, 6, 3, 1)), "Received: .* 3 x 1"),
        (replaced(f"{FIRST}.3.weight", (6, 6, 2, 2)), "Received: .* 2 x 2"),
        (replaced(f"{FIRST}.3.weight", (6, 6, 5, 5)), "same kernel sizes"),
        (replaced(f"{FIRST}.7.weight", (25, 6, 3, 3)), "must fit each other"),
    ],
)
def test_contradictions(change, message):
    state = configured_state_dict("bijective")
    change(state)
    with pytest.raises(ValueError, match=message):
        infer_architecture(state)


def narrow(state, width):
    """Make the residual of the second block another size inside."""
    replaced(f"{OTHER}.2.weight", (width, 24, 3, 3))(state)
    replaced(f"{OTHER}.5.weight", (width, width, 3, 3))(state)
    replaced(f"{OTHER}.9.weight", (24, width, 3, 3))(state)


def test_widths_without_a_common_ratio():
    state = configured_state_dict("bijective")
    narrow(state, 12)
    with pytest.raises(ValueError, match=r"Received: .*\(24, 6\), \(24, 12\)"):
        infer_architecture(state)


def test_blocks_that_do_not_follow_each_other():
    state = configured_state_dict("bijective")
    later = random_state_dict((1, 1), (2, 2), (12, 48), 7, 6, 1)
    prefix = "stack.1."
    state |= {k: v for k, v in later.items() if k.startswith(prefix)}
    with pytest.raises(ValueError, match="stack.1.*behind 24"):
        infer_architecture(state)
