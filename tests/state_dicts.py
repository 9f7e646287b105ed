"""State dicts as the authors' code and pytorchcv make them, without PyTorch."""

import json
import pathlib

import numpy as np
import pytest

import irevnet_tf

DATA = pathlib.Path(__file__).with_name("fixtures") / "parity"

# One of the authors' networks each: nBlocks, nStrides, nChannels, nClasses,
# image channels, init_ds (0 for none), and options.
CONFIGURATIONS = {
    "bijective": ((2, 2), (2, 2), (24, 96), 7, 3, 2, {}),
    "grey": ((1, 2), (2, 2), (8, 32), 3, 1, 2, {}),
    "psi of 4": ((2, 1), (2, 2), (96, 384), 2, 3, 4, {}),
    "no psi": ((2, 2), (2, 2), (4, 16), 5, 2, 0, {}),
    "first stage without stride": ((1, 2), (1, 2), (6, 24), 4, 3, 2, {}),
    "injective": ((2, 2), (1, 2), (8, 32), 10, 3, 0, {}),
    "injective in the middle": (
        (1, 2, 1), (2, 1, 2), (24, 30, 120), 4, 3, 2, {},
    ),
    "injective twice": ((2, 2, 1), (1, 1, 2), (8, 12, 48), 4, 3, 0, {}),
    "one block": ((1,), (2,), (24,), 2, 3, 2, {}),
    "one class": ((1, 1), (1, 2), (4, 16), 1, 1, 0, {}),
    "wide": ((2, 2), (2, 2), (24, 96), 7, 3, 2, {"mult": 2}),
    "narrow": ((2, 2), (2, 2), (24, 96), 7, 3, 2, {"mult": 5}),
    "kernels": ((1, 2), (1, 2), (8, 32), 3, 3, 0, {"kernels": (1, 3, 1)}),
    "kernels with stride": (
        (2, 1), (2, 2), (24, 96), 3, 3, 2, {"kernels": (1, 5, 3)},
    ),
    "plain norms": ((2, 2), (2, 2), (24, 96), 7, 3, 2, {"affine": False}),
}  # fmt: skip


def random_state_dict(
    blocks,
    strides,
    channels,
    classes,
    image_channels,
    init_ds,
    *,
    mult=4,
    kernels=(3, 3, 3),
    affine=True,
    values=None,
    seed=0,
):
    """Return {name: array} with the names and shapes of the authors' code.

    Args:
        values: function from a shape to an array, instead of random ones.
    """
    rng = np.random.default_rng(seed)
    state = {}
    uniform = rng.uniform
    if values is not None:

        def uniform(low, high, shape):
            return values(shape)

    def add_norm(name, size, affine):
        if affine:
            state[f"{name}.weight"] = rng.uniform(0.5, 1.5, size)
            state[f"{name}.bias"] = rng.normal(0, 0.2, size)
        state[f"{name}.running_mean"] = rng.normal(0, 0.3, size)
        state[f"{name}.running_var"] = rng.uniform(0.5, 2, size)
        state[f"{name}.num_batches_tracked"] = np.array(3)

    def add_kernel(name, outputs, inputs, side):
        bound = (inputs * side**2) ** -0.5
        shape = (outputs, inputs, side, side)
        state[f"{name}.weight"] = uniform(-bound, bound, shape)

    merged = image_channels * max(1, init_ds) ** 2
    number = 0
    for depth, stage_stride, width in zip(
        blocks, strides, channels, strict=True
    ):
        for position in range(depth):
            stride = 1 if position else stage_stride
            inputs = width if stride == 1 else merged // 2
            inside = width // mult
            prefix = f"stack.{number}.bottleneck_block"
            first = 2 if number else 0
            if number:
                add_norm(f"{prefix}.0", inputs, affine)
            add_kernel(f"{prefix}.{first}", inside, inputs, kernels[0])
            add_norm(f"{prefix}.{first + 1}", inside, affine)
            add_kernel(f"{prefix}.{first + 3}", inside, inside, kernels[1])
            add_norm(f"{prefix}.{first + 5}", inside, affine)
            add_kernel(f"{prefix}.{first + 7}", width, inside, kernels[2])
            merged = 2 * width
            number += 1
    add_norm("bn1", merged, True)
    bound = merged**-0.5
    state["linear.weight"] = uniform(-bound, bound, (classes, merged))
    state["linear.bias"] = rng.uniform(-bound, bound, classes)
    return {
        name: array
        if name.endswith("tracked")
        else array.astype(np.float32, copy=False)
        for name, array in state.items()
    }


def configured_state_dict(name):
    """Return the state dict of one of `CONFIGURATIONS`."""
    *arguments, options = CONFIGURATIONS[name]
    return random_state_dict(*arguments, **options)


def published_state_dict(variant):
    """Return zeros with the names and shapes of a published network."""
    path = DATA / f"{variant.lower()}_state_dict_shapes.json"
    return {
        name: np.broadcast_to(np.float32(0), shape)
        for name, shape in json.loads(path.read_text()).items()
    }


def pytorchcv_state_dict(state, blocks):
    """Return a state dict with pytorchcv's names instead of the authors'."""
    units = [
        f"stage{stage}.unit{unit}"
        for stage, depth in enumerate(blocks, 1)
        for unit in range(1, depth + 1)
    ]
    first = ("conv1", "conv2.bn", None, "conv2.conv")
    first += (None, "conv3.bn", None, "conv3.conv")
    other = ("conv1.bn", None, "conv1.conv", *first[1:])
    result = {}
    for name, array in state.items():
        head, *rest = name.split(".")
        if head == "stack":
            number, _, position, parameter = rest
            layer = (other if int(number) else first)[int(position)]
            unit = units[int(number)]
            name = f"features.{unit}.bottleneck.{layer}.{parameter}"
        elif head == "bn1":
            name = f"features.final_postactiv.bn.{rest[0]}"
        else:
            name = f"output.{rest[0]}"
        result[name] = array
    return result


def assert_refused(state, model, message):
    """Check that a state dict is not loaded, not even in part."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        irevnet_tf.convert_state_dict(state, model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
