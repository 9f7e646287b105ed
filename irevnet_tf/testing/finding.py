"""The results of a check, and measures of errors."""

from typing import NamedTuple

import keras
import numpy as np


class Finding(NamedTuple):
    """The result of a check that has a result.

    Attributes:
        value: None or float. The largest error.
        detail: str. Where the error is.
    """

    value: float | None
    detail: str = ""


class DoesNotApply(Exception):
    """The check does not apply to the layer; the message says why."""


class Broken(Exception):
    """A promise is broken, without a number; the message says how."""


def worst(errors: dict, note: str = "") -> Finding:
    """Return the largest of several errors.

    Args:
        errors: dict of floats. The errors by what was compared. NaN counts as
            infinite.
        note: str. Text to add to the detail.
    """
    errors = {
        name: float("inf") if np.isnan(error) else error
        for name, error in errors.items()
    }
    name = max(errors, key=errors.get)
    parts = [name if errors[name] else "", note]
    return Finding(errors[name], "; ".join(filter(None, parts)))


def relative_error(actual, expected) -> float:
    """Return |actual - expected| / |expected| of all arrays together.

    It is the absolute error if all of `expected` is zero, and infinity if the
    numbers or the shapes of the arrays differ.
    """
    pair = _flat(actual, expected)
    if pair is None:
        return float("inf")
    actual, expected = pair
    # Equal infinite values count as equal.
    difference = np.linalg.norm(
        np.where(actual == expected, 0.0, actual - expected)
    )
    size = np.linalg.norm(expected)
    return float(difference / size if size else difference)


def largest_difference(actual, expected) -> float:
    """Return the largest |actual - expected|; infinity for other shapes."""
    pair = _flat(actual, expected)
    if pair is None:
        return float("inf")
    actual, expected = pair
    if not actual.size:
        return 0.0
    return float(
        np.max(np.where(actual == expected, 0, abs(actual - expected)))
    )


def variable_errors(variables, actual, expected) -> dict:
    """Return {path: error} of the values of variables.

    The error is the largest difference: relative to the largest value above 1
    in variables of floats, and absolute in others, such as seeds.

    Args:
        variables: list of Keras variables. Several may have one path, of which
            the largest error counts.
        actual, expected: lists of arrays. Their values.
    """
    errors = {}
    for variable, ours, theirs in zip(variables, actual, expected, strict=True):
        error = largest_difference(ours, theirs)
        if theirs.dtype.kind not in "iub":
            largest = np.max(np.abs(theirs.astype("float64")), initial=1.0)
            error /= float(largest)
        errors[variable.path] = max(error, errors.get(variable.path, 0.0))
    return errors


def _flat(*structures):
    """Return a vector of each structure, or None if shapes differ."""
    arrays = [
        [np.asarray(leaf) for leaf in keras.tree.flatten(structure)]
        for structure in structures
    ]
    shapes = [[leaf.shape for leaf in leaves] for leaves in arrays]
    if any(one != shapes[0] for one in shapes):
        return None
    return [
        np.concatenate(
            [np.zeros(0), *(np.ravel(x).astype("float64") for x in leaves)]
        )
        for leaves in arrays
    ]
