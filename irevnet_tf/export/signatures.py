"""Which signatures of a SavedModel other runtimes can have."""

import os
from collections.abc import Iterable

import tensorflow as tf

# Of `forward`, for model servers.
ALIAS = "serving_default"


def load_convertible(
    saved_model: str | os.PathLike, signatures: Iterable[str] | None
) -> tuple[tf.Module, list[str]]:
    """Load a SavedModel, and find which signatures are to be converted.

    Args:
        saved_model: directory of a SavedModel.
        signatures: names, or None for all that can be converted and are no
            alias.

    Returns:
        What `tf.saved_model.load` returns, without which its signatures lose
        their variables, and the names.

    Raises:
        ValueError: if there is no SavedModel, no such signature in it, or
            one that takes strings.
    """
    if not tf.saved_model.contains_saved_model(saved_model):
        raise ValueError(
            "`saved_model` must be the version directory of a SavedModel, as "
            "`export_saved_model` returns it. "
            f"Received: saved_model={os.fspath(saved_model)}"
        )
    loaded = tf.saved_model.load(saved_model)
    convertible = [
        name
        for name, function in loaded.signatures.items()
        if input_spec(function).dtype != tf.string
    ]
    if signatures is None:
        return loaded, [name for name in convertible if name != ALIAS]
    names = signatures if isinstance(signatures, str) else [*signatures]
    if not names or any(name not in loaded.signatures for name in names):
        raise ValueError(
            f"`signatures` must be some of {list(loaded.signatures)}. "
            f"Received: signatures={names!r}"
        )
    if any(name not in convertible for name in names):
        raise ValueError(
            "`signatures` must not read image files: neither converter has "
            "an operation that decodes JPEG or PNG. Convert `forward`, and "
            f"decode before it. Received: signatures={names!r}"
        )
    return loaded, names


def input_spec(function) -> tf.TensorSpec:
    """Return what a signature takes."""
    (spec,) = tf.nest.flatten(function.structured_input_signature)
    return spec
