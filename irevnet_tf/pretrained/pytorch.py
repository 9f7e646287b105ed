"""The authors' PyTorch parameters, by their names, into a Keras model."""

import collections.abc

import keras
import numpy as np

from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import ReversibleSequence

# PyTorch's counter of batches, which only its cumulative average uses.
_UNUSED = "num_batches_tracked"
# What torch.nn.DataParallel puts in front of every name.
_PARALLEL_PREFIX = "module."
_HEAD = ("bn1.", "linear.")


def convert_state_dict(state_dict, model: keras.Model) -> list[np.ndarray]:
    """Load the authors' PyTorch parameters into an i-RevNet.

    Nothing is loaded unless every parameter finds its place.

    Args:
        state_dict: mapping from the names of the authors' network (with or
            without the `module.` of DataParallel) to tensors or arrays.
            Without a classifier in `model`, its entries are left out.
        model: i-RevNet of the same configuration, as built by
            `irevnet_tf.IRevNet` or a variant.

    Returns:
        The converted arrays, in the order of `model.weights`: kernels as
        (height, width, in, out), the linear layer as (in, out).

    Raises:
        ValueError: if an entry is missing, left over, or of the wrong shape.
            The message names it.

    Reference:
        Names as in https://github.com/jhjacobsen/pytorch-i-revnet,
        models/iRevNet.py.
    """
    if not isinstance(state_dict, collections.abc.Mapping) or isinstance(
        state_dict.get("state_dict"), collections.abc.Mapping
    ):
        raise ValueError(
            "`state_dict` must be a mapping from parameter names to arrays; "
            "of a checkpoint, pass checkpoint['state_dict']. Received: "
            f"state_dict of type {type(state_dict).__name__}"
        )
    entries = {
        name.removeprefix(_PARALLEL_PREFIX): np.asarray(value)
        for name, value in state_dict.items()
        if not name.endswith(_UNUSED)
    }
    targets = _variables_by_name(model)
    if "linear.weight" not in targets:
        entries = {
            name: value
            for name, value in entries.items()
            if name in targets or not name.startswith(_HEAD)
        }
    _check_names(entries, targets)

    converted = {}
    for name, variable in targets.items():
        value = entries[name]
        array = _to_keras_layout(value)
        if array.shape != tuple(variable.shape):
            raise ValueError(
                "Each entry of `state_dict` must fit its variable: "
                f"{variable.path} needs {tuple(variable.shape)}. Received: "
                f"{name} with shape {value.shape}, in Keras' layout "
                f"{array.shape}"
            )
        converted[id(variable)] = array
    arrays = [converted[id(variable)] for variable in model.weights]
    model.set_weights(arrays)
    return arrays


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
    names.update(_parameters("bn1", _get_layer(model, "head_norm")))
    names.update(_parameters("linear", _get_layer(model, "predictions")))
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
