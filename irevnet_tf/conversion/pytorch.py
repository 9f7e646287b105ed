"""Loading the authors' PyTorch parameters into a Keras model, by name."""

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import ArrayLike

from irevnet_tf.conversion.entries import check_names
from irevnet_tf.conversion.entries import finite_array
from irevnet_tf.conversion.entries import read_entries
from irevnet_tf.conversion.pytorchcv import authors_names
from irevnet_tf.conversion.revvit import convert_revvit
from irevnet_tf.conversion.revvit import is_revvit
from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.zoo.files import HEAD_NORM
from irevnet_tf.zoo.files import PREDICTIONS

# PyTorch's counter of batches, which only its cumulative average uses.
_UNUSED = "num_batches_tracked"
_HEAD = ("bn1.", "linear.")
_BLOCK = "stack."


def convert_state_dict(
    state_dict: Mapping[str, ArrayLike], model: keras.Model
) -> list[np.ndarray]:
    """Load the authors' PyTorch parameters into an i-RevNet or a RevViT.

    Nothing is loaded unless every parameter finds its place.

    Example:

    >>> import torch
    >>> checkpoint = torch.load("irevnet.pth.tar", weights_only=True)
    >>> model = irevnet_tf.IRevNet((2, 3), (2, 2), (24, 96), classes=10)
    >>> arrays = irevnet_tf.convert_state_dict(checkpoint["state_dict"], model)

    Args:
        state_dict: dict from str to array or tensor. With the names of the
            authors' network or of pytorchcv's (with or without the `module.`
            of DataParallel); for a RevViT with those of SlowFast, minREV or
            mmpretrain. Without a classifier in `model`, its entries are
            left out. Where no block's BatchNorm has a weight or bias, as in
            the authors' networks with `affineBN=False`, these are 1 and 0.
        model: Keras model. A network of the same configuration, as built
            by `irevnet_tf.IRevNet`, `irevnet_tf.models.revvit.RevViT` or a
            variant. The number of heads is not in a state dict and cannot be
            checked: with another one, a RevViT loads the parameters without a
            word, and computes something else.

    Returns:
        The converted arrays, in the order of `model.weights`: kernels as
        (height, width, in, out), linear layers as (in, out).

    Raises:
        ValueError: if an entry is missing, left over, of the wrong shape, no
            array of numbers, or not finite. The message names it, as the
            authors do, or SlowFast for a RevViT. If the network with these
            names has other LayerNorms than `model`.

    Reference:
        Names as in https://github.com/jhjacobsen/pytorch-i-revnet,
        models/iRevNet.py, and https://github.com/facebookresearch/SlowFast,
        slowfast/models/reversible_mvit.py.
    """
    if is_revvit(model):
        return convert_revvit(state_dict, model)
    entries = authors_entries(state_dict)
    targets = _variables_by_name(model)
    if "linear.weight" not in targets:
        entries = {
            name: value
            for name, value in entries.items()
            if name in targets or not name.startswith(_HEAD)
        }
    entries = _with_fixed_norms(entries, targets)
    check_names(entries, targets)
    converted = {
        id(variable): _converted(name, entries[name], variable)
        for name, variable in targets.items()
    }
    arrays = [converted[id(variable)] for variable in model.weights]
    model.set_weights(arrays)
    return arrays


def authors_entries(state_dict) -> dict[str, np.ndarray]:
    """Return the parameters in a state dict, under the authors' names.

    Args:
        state_dict: dict from str to array or tensor. As for
            `convert_state_dict`.

    Returns:
        Arrays in PyTorch's layout, without `module.` and without the counters
        of batches.

    Raises:
        ValueError: if `state_dict` is no mapping from names to arrays of
            numbers, or has a parameter twice, under two names.
    """
    arrays = read_entries(state_dict, unused=(_UNUSED,))
    names = authors_names(arrays)
    if len(set(names.values())) != len(names):
        raise ValueError(
            "`state_dict` must have the authors' names or pytorchcv's, not "
            f"both for one parameter. Received: {len(names)} names for "
            f"{len(set(names.values()))} parameters"
        )
    return {names[name]: array for name, array in arrays.items()}


def _with_fixed_norms(entries, targets):
    """Add weights of 1 and biases of 0 for BatchNorms with `affineBN=False`.

    Only if all of them lack these: a single one is damage.
    """
    fixed = {}
    for name, variable in targets.items():
        parent, _, kind = name.rpartition(".")
        if name.startswith(_BLOCK) and f"{parent}.running_mean" in targets:
            if kind in ("weight", "bias"):
                fill = np.ones if kind == "weight" else np.zeros
                fixed[name] = fill(variable.shape, np.float32)
    if any(name in entries for name in fixed):
        return entries
    return {**entries, **fixed}


def _converted(name, value, variable):
    """Return `value` in the layout and dtype of its variable."""
    array = _to_keras_layout(value)
    if array.shape != tuple(variable.shape):
        raise ValueError(
            "Each entry of `state_dict` must fit its variable: "
            f"{variable.path} needs {tuple(variable.shape)}. Received: "
            f"{name} with shape {value.shape}, in Keras' layout {array.shape}"
        )
    array = finite_array(name, array, variable.dtype)
    if name.endswith("running_var") and np.any(array < 0):
        raise ValueError(
            "A running variance must not be negative. "
            f"Received: {name} with a minimum of {np.min(array)}"
        )
    return array


def _variables_by_name(model):
    """Map the authors' parameter names to the model's variables."""
    blocks = [
        block
        for layer in model.layers
        if isinstance(layer, ReversibleSequence)
        for block in layer.blocks
    ]
    if not blocks or not all(
        isinstance(block.residual, BottleneckResidual) for block in blocks
    ):
        raise ValueError(
            "`model` must be an i-RevNet as IRevNet builds it, or a RevViT. "
            f"Received: model={model.name}"
        )
    names = {}
    for index, block in enumerate(blocks):
        prefix = f"stack.{index}.bottleneck_block"
        position = 0
        for layer in block.residual.layers:
            # The authors' Sequential has a Dropout even where its rate is 0,
            # and pads inside the convolution.
            if isinstance(
                layer, keras.layers.ZeroPadding2D | keras.layers.Dropout
            ):
                continue
            names.update(_parameters(f"{prefix}.{position}", layer))
            position += 2 if layer.name == "conv2" else 1
    names.update(_parameters("bn1", _get_layer(model, HEAD_NORM)))
    names.update(_parameters("linear", _get_layer(model, PREDICTIONS)))
    if len(names) != len(model.weights):
        raise ValueError(
            "`model` must have no weights but those of the i-RevNet: load "
            "them before extending it. Received: "
            f"model={model.name} with {len(model.weights)} weights, of which "
            f"{len(names)} have a name in the authors' network"
        )
    return names


def _get_layer(model, name):
    return next((layer for layer in model.layers if layer.name == name), None)


def _parameters(prefix, layer):
    """Return {PyTorch name: Keras variable} of one layer."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return {
            f"{prefix}.weight": layer.gamma,
            f"{prefix}.bias": layer.beta,
            f"{prefix}.running_mean": layer.moving_mean,
            f"{prefix}.running_var": layer.moving_variance,
        }
    if isinstance(layer, keras.layers.Conv2D):
        return {f"{prefix}.weight": layer.kernel}
    if isinstance(layer, keras.layers.Dense):
        return {f"{prefix}.weight": layer.kernel, f"{prefix}.bias": layer.bias}
    return {}


def _to_keras_layout(value):
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)  # OIHW -> HWIO
    return value.T
