"""Reading weights files, with errors that say what is wrong."""

import os
import pathlib
import warnings

import h5py
import keras

# The layers with weights behind the invertible representation.
HEAD = ("head_norm", "predictions")


def load_weights_file(model: keras.Model, path: str | os.PathLike) -> None:
    """Load a `.weights.h5` file of the same architecture into `model`.

    Args:
        model: built model. If it has no classifier, that of the file is left
            out.
        path: of a file that `model.save_weights` wrote.

    Raises:
        ValueError: if the file does not exist, has another suffix, cannot be
            read, or belongs to another architecture.
    """
    path = pathlib.Path(path)
    received = f"Received: weights={str(path)!r}"
    if not path.name.endswith(".weights.h5"):
        raise ValueError(
            "`weights` must be None (random initialization) or the path of a "
            f"file that ends in .weights.h5. {received}"
        )
    if not path.is_file():
        raise ValueError(
            f"`weights` must be the path of an existing file. {received}"
        )
    mismatch = (
        "The weights file must be of the same architecture as the model "
        f"{model.name!r}, with as many classes, and complete. {received}"
    )
    try:
        if _count_arrays(path, model) != len(model.weights):
            raise ValueError(mismatch)
        with warnings.catch_warnings():
            # Of parts that a file lacks; the error below tells of them.
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
    except OSError as error:
        raise ValueError(
            "The weights file cannot be read: it is truncated or damaged. "
            f"{received}"
        ) from error
    except (ValueError, KeyError) as error:
        raise ValueError(mismatch) from error


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
            count += len(item)

    with h5py.File(path) as file:
        file.visititems(visit)
    return count
