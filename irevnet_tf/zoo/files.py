"""Loading weights files, with errors that say what is wrong."""

import os
import warnings

import h5py
import keras
import numpy as np

from irevnet_tf.layers import IntegerResidual
from irevnet_tf.layers.integer_files import BITS
from irevnet_tf.layers.integer_files import layout

SUFFIX = ".weights.h5"

# Names of the layers with weights behind the invertible representation.
HEAD_NORM = "head_norm"
# Of portable networks, in its place.
HEAD_POOL = "head_pool"
PREDICTIONS = "predictions"
HEAD = (HEAD_NORM, HEAD_POOL, PREDICTIONS)


def check_weights_path(weights, expected: str) -> None:
    """Raise ValueError unless `weights` names a weights file.

    Args:
        weights: any. What the user gave.
        expected: str. What it may be, for the message.

    Raises:
        ValueError: if it does not.
    """
    is_path = isinstance(weights, str | os.PathLike)
    if (
        not is_path
        or not os.fspath(weights).endswith(SUFFIX)
        or not os.path.isfile(weights)
    ):
        reason = ""
        if is_path and os.fspath(weights).endswith(SUFFIX):
            reason = ", which is no existing file"
        raise ValueError(
            f"`weights` must be {expected}. "
            f"Received: weights={weights!r}{reason}"
        )


def load_weights_file(model: keras.Model, path: str | os.PathLike) -> None:
    """Load a `.weights.h5` file of the same architecture into `model`.

    Args:
        model: Keras model. It is built. If it has no classifier, that of the
            file is left out.
        path: str or path. An existing file that `model.save_weights` wrote.

    Raises:
        ValueError: if the file cannot be read, or belongs to another
            architecture.
    """
    received = f"Received: weights={os.fspath(path)!r}"
    mismatch = (
        "The weights file must be of the same architecture as the model "
        f"{model.name!r}, with as many classes, complete, and of finite "
        f"numbers. {received}"
    )
    try:
        _require_kind(path, model, received)
    except OSError as error:
        raise ValueError(_damaged(received)) from error
    try:
        # Of units, files of portable networks have the exponents alone.
        expected = [x for x in model.weights if "per_unit" not in x.name]
        if _count_arrays(path, model) != len(expected):
            raise ValueError(mismatch)
        with warnings.catch_warnings():
            # Of parts that a file lacks; the error below tells of them.
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
        for variable in model.weights:
            if not np.all(np.isfinite(variable)):
                raise ValueError(
                    f"The weights of {variable.path} are not all finite."
                )
    except OSError as error:
        raise ValueError(_damaged(received)) from error
    except (ValueError, KeyError) as error:
        raise ValueError(mismatch) from error


def _damaged(received):
    return (
        "The weights file cannot be read: it is truncated or damaged. "
        f"{received}"
    )


def _require_kind(path, model, received):
    """Raise ValueError for a portable file in another network, or reversely."""
    found = {}

    def visit(name, item):
        if name.endswith(f"/vars/{BITS}"):
            found[name] = tuple(item[()].tolist())

    with h5py.File(path) as file:
        file.visititems(visit)
    residuals = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, IntegerResidual)
    ]
    if found and not residuals:
        raise ValueError(
            "The weights file must be of an ordinary or lossless network; "
            f"`portable=True` takes those of portable ones. {received}"
        )
    if residuals and not found:
        raise ValueError(
            "The weights file must be of a portable network, with integer "
            "weights: `irevnet_tf.portable` makes one of a trained network. "
            f"{received}"
        )
    if set(found.values()) - set(map(layout, residuals)):
        raise ValueError(
            "The weights file must be of a network with the same numbers of "
            "bits: weight_bits, activation_bits, fraction_bits and groups of "
            f"{layout(residuals[0])}; a .keras file keeps others. {received}, "
            f"with {sorted(set(found.values()))}"
        )


def _count_arrays(path, model):
    """Count the file's weights, leaving out a head that `model` lacks.

    Keras does not mind what is left over in a file, such as the blocks of a
    deeper network.
    """
    names = {layer.name for layer in model.layers}
    count = 0

    def visit(path, item):
        nonlocal count
        if not path.startswith("layers/") or not path.endswith("/vars"):
            return
        layer = item.attrs.get("name", "")
        if "seed_generator" not in path and (
            layer not in HEAD or layer in names
        ):
            count += sum(key != BITS for key in item)

    with h5py.File(path) as file:
        file.visititems(visit)
    return count
