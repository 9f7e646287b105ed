"""Attributes of a dataclass that state their meaning and their range."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any


def setting(
    default: Any,
    meaning: str,
    choices: Iterable[Any] = (),
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> Any:
    """Declare an attribute of a dataclass.

    All that the command line says of it is here, see
    `irevnet_tf.apps.flags`, and what `check_settings` looks at.

    Args:
        default: Its default; None for none.
        meaning: What it is, in a sentence.
        choices: The values that it may have; any if empty.
        least: The smallest value.
        above: What the value must be greater than.
        most: The largest value.
        below: What the value must be less than.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "meaning": meaning,
            "choices": tuple(choices),
            "least": least,
            "above": above,
            "most": most,
            "below": below,
        },
    )


def check_settings(instance: Any) -> None:
    """Look whether the attributes of a dataclass are in their ranges.

    Raises:
        ValueError: if one is not.
    """
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if value is None or not field.metadata:
            continue
        expected = _expected(value, **field.metadata)
        if expected:
            raise ValueError(
                f"`{field.name}` must be {expected}. "
                f"Received: {field.name}={value!r}"
            )


def _expected(value, meaning, choices, least, above, most, below):
    """Return what a value ought to be, in words; None if it is that."""
    if choices:
        words = f"one of {', '.join(map(str, choices))}"
        return None if value in choices else words
    bounds = [
        (least, "at least", least is None or value >= least),
        (above, "greater than", above is None or value > above),
        (most, "at most", most is None or value <= most),
        (below, "less than", below is None or value < below),
    ]
    if all(satisfied for *_, satisfied in bounds):
        return None
    return " and ".join(
        _words(bound, words) for bound, words, _ in bounds if bound is not None
    )


def _words(bound, words):
    if bound == math.inf:
        return "finite"
    return (
        "positive"
        if (bound, words) == (0, "greater than")
        else (f"{words} {bound}")
    )
