"""Reading weights files, with errors that say what is wrong."""

import os
import pathlib

import keras


def load_weights_file(model: keras.Model, path: str | os.PathLike) -> None:
    """Load a `.weights.h5` file of the same architecture into `model`.

    Args:
        model: built model.
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
    try:
        model.load_weights(path)
    except OSError as error:
        raise ValueError(
            "The weights file cannot be read: it is truncated or damaged. "
            f"{received}"
        ) from error
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"The weights file must be of the same architecture as the model "
            f"{model.name!r}, with as many classes, and complete. {received}"
        ) from error
