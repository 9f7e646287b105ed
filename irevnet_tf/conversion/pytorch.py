"""Loading the authors' PyTorch parameters into a Keras model, by name."""

import collections.abc

import keras
import numpy as np

from irevnet_tf.conversion.pytorchcv import authors_names
from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.zoo.files import HEAD_NORM
from irevnet_tf.zoo.files import PREDICTIONS

# PyTorch's counter of batches, which only its cumulative average uses.
_UNUSED = "num_batches_tracked"
# What torch.nn.DataParallel puts in front of every name.
_PARALLEL_PREFIX = "module."
_HEAD = ("bn1.", "linear.")
_BLOCK = "stack."


def convert_state_dict(state_dict, model: keras.Model) -> list[np.ndarray]:
    """Load the authors' PyTorch parameters into an i-RevNet.

    Nothing is loaded unless every parameter finds its place.

    Args:
        state_dict: dict from str to array or tensor. With the names of the
            authors' network or of pytorchcv's (with or without the `module.`
            of DataParallel). Without a classifier in `model`, its entries are
            left out. Where no block's BatchNorm has a weight or bias, as in
            the authors' networks with `affineBN=False`, these are 1 and 0.
        model: Keras model. An i-RevNet of the same configuration, as built
            by `irevnet_tf.IRevNet` or a variant.

    Returns:
        The converted arrays, in the order of `model.weights`: kernels as
        (height, width, in, out), the linear layer as (in, out).

    Raises:
        ValueError: if an entry is missing, left over, of the wrong shape, no
            array of numbers, or not finite. The message names it, as the
            authors do.

    Reference:
        Names as in https://github.com/jhjacobsen/pytorch-i-revnet,
        models/iRevNet.py.
    """
    entries = authors_entries(state_dict)
    targets = _variables_by_name(model)
    if "linear.weight" not in targets:
        entries = {
            name: value
            for name, value in entries.items()
            if name in targets or not name.startswith(_HEAD)
        }
    entries = _with_fixed_norms(entries, targets)
    _check_names(entries, targets)
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
    if not isinstance(state_dict, collections.abc.Mapping) or isinstance(
        state_dict.get("state_dict"), collections.abc.Mapping
    ):
        raise ValueError(
            "`state_dict` must be a mapping from parameter names to arrays; "
            "of a checkpoint, pass checkpoint['state_dict']. Received: "
            f"state_dict of type {type(state_dict).__name__}"
        )
    arrays = {
        name: to_array(name, value)
        for name, value in without_prefix(state_dict).items()
        if not name.endswith(_UNUSED)
    }
    names = authors_names(arrays)
    if len(set(names.values())) != len(names):
        raise ValueError(
            "`state_dict` must have the authors' names or pytorchcv's, not "
            f"both for one parameter. Received: {len(names)} names for "
            f"{len(set(names.values()))} parameters"
        )
    return {names[name]: array for name, array in arrays.items()}


def without_prefix(state_dict) -> dict:
    """Return a mapping without the `module.` in front of its names.

    Raises:
        ValueError: if a name occurs both with and without it.
    """
    result = {
        str(name).removeprefix(_PARALLEL_PREFIX): value
        for name, value in state_dict.items()
    }
    if len(result) != len(state_dict):
        twice = [
            name for name in result if _PARALLEL_PREFIX + name in state_dict
        ]
        raise ValueError(
            "`state_dict` must have each entry once, with or without "
            f"{_PARALLEL_PREFIX!r} in front. Received: twice {twice[:3]}"
        )
    return result


def to_array(name: str, value) -> np.ndarray:
    """Return a tensor of any device, or an array, as an array of numbers.

    Raises:
        ValueError: if it is neither.
    """
    try:
        if hasattr(value, "detach"):  # A tensor; PyTorch is not needed to tell.
            value = value.detach().cpu()
            if value.is_floating_point() and value.element_size() < 4:
                value = value.float()  # NumPy has no bfloat16.
            value = value.numpy()
        array = np.asarray(value)
        if array.dtype.name == "bfloat16":  # From a package beside NumPy.
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            "Each entry of `state_dict` must be a dense tensor or an array. "
            f"Received: {name} of type {type(value).__name__}: {error}"
        ) from error
    if array.dtype.kind not in "fiu":
        raise ValueError(
            "Each entry of `state_dict` must be a tensor or an array of real "
            f"numbers. Received: {name} of type {type(value).__name__} with "
            f"dtype {array.dtype}"
        )
    return array


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
    with np.errstate(over="ignore"):
        array = array.astype(variable.dtype)
    bad = np.sum(~np.isfinite(array))
    if bad:
        raise ValueError(
            f"Each entry of `state_dict` must be finite in {variable.dtype}. "
            f"Received: {name} with {bad} of {array.size} values that are not"
        )
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
            "`model` must be an i-RevNet as IRevNet builds it. "
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


def _check_names(entries, targets):
    missing = [name for name in targets if name not in entries]
    surplus = [name for name in entries if name not in targets]
    if missing or surplus:
        raise ValueError(
            "`state_dict` must hold the parameters of this architecture and "
            f"no others. Received: {len(missing)} missing {missing[:3]}, "
            f"{len(surplus)} left over {surplus[:3]}"
        )
