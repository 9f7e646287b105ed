"""Loading PyTorch parameters into a RevViT, by name."""

import keras
import numpy as np

from irevnet_tf.conversion.entries import check_names
from irevnet_tf.conversion.entries import finite_array
from irevnet_tf.conversion.entries import read_entries
from irevnet_tf.conversion.revvit_names import find_scheme
from irevnet_tf.conversion.revvit_names import translated
from irevnet_tf.layers import AttentionResidual
from irevnet_tf.layers import MLPResidual
from irevnet_tf.layers import PatchEmbedding
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.models.transformer import POOLINGS
from irevnet_tf.zoo.files import HEAD_NORM
from irevnet_tf.zoo.files import PREDICTIONS

_HEAD = ("norm.", "head.")
_POSITION = "pos_embed"


def is_revvit(model: keras.Model) -> bool:
    """Return whether the blocks of a model are those of a RevViT."""
    residuals = _residuals(model)
    return bool(residuals) and all(
        isinstance(residual, kind)
        for kind, of_kind in (
            (AttentionResidual, residuals[::2]),
            (MLPResidual, residuals[1::2]),
        )
        for residual in of_kind
    )


def convert_revvit(state_dict, model: keras.Model) -> list[np.ndarray]:
    """Load PyTorch parameters into a RevViT, see `convert_state_dict`.

    The number of heads cannot be checked: the matrices are the same for any
    that divides the width, as `AttentionResidual` requires.
    """
    entries = read_entries(state_dict)
    scheme = find_scheme(entries)
    entries = translated(entries, scheme)
    targets = _variables_by_name(model)
    if "head.projection.weight" not in targets:
        entries = {
            name: value
            for name, value in entries.items()
            if name in targets or not name.startswith(_HEAD)
        }
    check_names(entries, targets)
    _check_head(model, scheme)
    converted = {
        id(variable): _converted(name, entries[name], variable)
        for name, variable in targets.items()
    }
    arrays = [converted[id(variable)] for variable in model.weights]
    model.set_weights(arrays)
    return arrays


def _residuals(model):
    return [
        block.residual
        for layer in model.layers
        if isinstance(layer, ReversibleSequence)
        for block in layer.blocks
    ]


def _find(model, kind, name=None):
    """Return the first layer of a kind, and with a name, if there is one."""
    return next(
        (
            layer
            for layer in model.layers
            if isinstance(layer, kind) and name in (None, layer.name)
        ),
        None,
    )


def _variables_by_name(model):
    """Map SlowFast's parameter names to the model's variables."""
    names = {}

    def add(prefix, weight, bias):
        names[f"{prefix}.weight"] = weight
        names[f"{prefix}.bias"] = bias

    stem = _find(model, PatchEmbedding)
    if stem is not None:
        add("patch_embed.proj", stem.kernel, stem.bias)
        names[_POSITION] = stem.position
    for index, residual in enumerate(_residuals(model)):
        prefix = f"rev_backbone.layers.{index // 2}.{'FG'[index % 2]}"
        dense = ["fc1", "fc2"]
        for layer in residual.layers:
            if isinstance(layer, keras.layers.LayerNormalization):
                add(f"{prefix}.norm", layer.gamma, layer.beta)
            elif isinstance(layer, keras.layers.Dense):
                place = f"{prefix}.mlp.{dense.pop(0)}"
                add(place, layer.kernel, layer.bias)
            elif isinstance(layer, keras.layers.MultiHeadAttention):
                for name, part in (
                    ("q", layer.query_dense),
                    ("k", layer.key_dense),
                    ("v", layer.value_dense),
                    ("proj", layer.output_dense),
                ):
                    add(f"{prefix}.attn.{name}", part.kernel, part.bias)
    norm = _find(model, keras.layers.LayerNormalization, HEAD_NORM)
    if norm is not None:
        add("norm", norm.gamma, norm.beta)
    head = _find(model, keras.layers.Dense, PREDICTIONS)
    if head is not None:
        add("head.projection", head.kernel, head.bias)
    if len(names) != len(model.weights):
        raise ValueError(
            "`model` must have no weights but those of the RevViT: load them "
            f"before extending it. Received: model={model.name} with "
            f"{len(model.weights)} weights, of which {len(names)} have a name "
            "in the published network"
        )
    return names


def _check_head(model, scheme):
    """Raise ValueError if the published network has other LayerNorms.

    Shapes do not tell, and the network would compute something else.
    """
    residuals = _residuals(model)
    epsilons = [residuals[0].epsilon, residuals[1].epsilon]
    norm = _find(model, keras.layers.LayerNormalization, HEAD_NORM)
    pool_first = None
    if norm is not None:
        epsilons.append(norm.epsilon)
        names = [layer.name for layer in model.layers]
        before = model.layers[names.index(HEAD_NORM) - 1]
        pool_first = isinstance(before, tuple(POOLINGS.values()))
    expected = scheme.epsilons[: len(epsilons)]
    wrong_order = None not in (pool_first, scheme.pool_first) and (
        pool_first != scheme.pool_first
    )
    if tuple(epsilons) != expected or wrong_order:
        order = scheme.pool_first
        also = "" if order is None else f" and `pool_first={order}`"
        raise ValueError(
            f"A RevViT with the parameters of {scheme.name} must be built with "
            f"`norm_epsilons={scheme.epsilons}`{also}, as they were trained. "
            f"Received: model={model.name} with norm_epsilons="
            f"{tuple(epsilons)}, pool_first={pool_first}"
        )


def _converted(name, value, variable):
    """Return `value` in the layout and dtype of its variable."""
    expected = _pytorch_shape(name, tuple(variable.shape))
    if value.shape != expected:
        raise ValueError(
            "Each entry of `state_dict` must fit its variable: "
            f"{variable.path} needs {expected}. "
            f"Received: {name} with shape {value.shape}"
        )
    if value.ndim == 4:
        value = value.transpose(2, 3, 1, 0)  # OIHW -> HWIO
    elif name != _POSITION:
        value = value.T
    # Attention has an axis for its heads.
    array = np.reshape(value, variable.shape)
    return finite_array(name, array, variable.dtype)


def _pytorch_shape(name, shape):
    """Return the shape in PyTorch of a variable of `shape`."""
    if name == _POSITION:
        rows, columns, width = shape
        return (1, rows * columns, width)
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        return (outputs, inputs, height, width)
    if len(shape) == 3:  # Kernels of attention.
        first, middle, last = shape
        if name.endswith(".proj.weight"):
            return (last, first * middle)
        return (middle * last, first)
    if name.endswith(".bias"):
        return (int(np.prod(shape)),)
    return shape[::-1]
