"""decode_predictions, and the names of the classes."""

import json
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from irevnet_tf.layers.base import check_positive_int

_NAMES = pathlib.Path(__file__).with_name("class_names.json")


def decode_predictions(
    preds: ArrayLike | tf.Tensor, top: int = 5, mode: str = "imagenet"
) -> list[list[tuple[str, str, float]]]:
    """Name the classes that a network finds most probable.

    Example:

    >>> from sklearn.datasets import load_digits
    >>> raw = load_digits().images[:1, ..., None]
    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> preds = model(irevnet_tf.preprocess_input(raw, "digits"))
    >>> irevnet_tf.decode_predictions(preds, top=1, mode="digits")
    [[('0', '0', 0.99...)]]

    Args:
        preds: array or tensor (batch, classes). Probabilities, or logits.
        top: positive int. How many classes to name for each image, at most all.
        mode: str. The data set whose classes they are: "imagenet", "cifar10",
            "fashion_mnist" or "digits".

    Returns:
        For each image a list of tuples (id, name, value), the highest value
        first. The id is the WordNet id for ImageNet and the number of the
        class, as a string, for the others.

    Raises:
        ValueError: if there is no such mode, or if `preds` has another shape
            than (batch, classes of that set) or holds NaN.

    Reference:
        ImageNet's classes are in the order of ILSVRC 2012, with the first of
        WordNet's words for each, as in `keras.applications`.
    """
    classes = _classes()
    if not isinstance(mode, str) or mode not in classes:
        raise ValueError(
            f"`mode` must be one of {', '.join(map(repr, classes))}. "
            f"Received: mode={mode!r}"
        )
    names = classes[mode]
    preds = np.asarray(preds, "float64")
    if preds.ndim != 2 or preds.shape[1] != len(names):
        sizes = ", ".join(f"{key!r} {len(n)}" for key, n in classes.items())
        raise ValueError(
            f"`preds` must have the shape (batch, {len(names)}) in mode "
            f"{mode!r}; the modes' numbers of classes are: {sizes}. "
            f"Received: preds.shape={preds.shape}"
        )
    if np.any(np.isnan(preds)):
        raise ValueError(
            "`preds` must be numbers. Received: "
            f"{np.sum(np.isnan(preds))} values that are NaN"
        )
    top = check_positive_int("top", top)
    order = np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [
        [(*names[index], float(row[index])) for index in indices]
        for row, indices in zip(preds, order, strict=True)
    ]


def class_names(mode: str) -> list[str] | None:
    """Return the names of the classes, in order, if there is such a mode."""
    classes = _classes().get(mode)
    return classes and [name for _, name in classes]


def class_aliases(names: Sequence[str] | str) -> list[tuple[str, ...]]:
    """Return all names of each class: its name first, then its id.

    Args:
        names: sequence of strs, or str. Names of classes, which have no ids, or
            a mode of `decode_predictions`.

    Raises:
        ValueError: if there is no such mode.
    """
    if not isinstance(names, str):
        return [(name,) for name in names]
    classes = _classes()
    if names not in classes:
        raise ValueError(
            f"Expected names of classes, or one of {', '.join(classes)}. "
            f"Received: {names!r}"
        )
    return [(name, number) for number, name in classes[names]]


def class_places(names, wanted) -> list[int | None]:
    """Return the place of each wanted class among a network's.

    Args:
        names: as in `class_aliases`. The network's classes, in their order.
        wanted: list of str. Names or ids of classes.

    Returns:
        A list as long as `wanted`, with None for those that none or several
        of the network's classes are called.
    """
    # What is no name of a folder is one with "_" for "/".
    known = [
        {*aliases, *(alias.replace("/", "_") for alias in aliases)}
        for aliases in class_aliases(names)
    ]
    places = [
        [place for place, aliases in enumerate(known) if name in aliases]
        for name in wanted
    ]
    return [found[0] if len(found) == 1 else None for found in places]


def _classes():
    """Return {mode: list of (id, name)}."""
    return json.loads(_NAMES.read_text(encoding="utf-8"))
