"""Settings: attributes of a dataclass with a meaning and a range."""

import dataclasses
import inspect
import math
import operator
import re
import textwrap
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

# Powers, flags and patterns of files in the meaning of a setting.
_CODE = re.compile(r"2\*\*\(.*?\)|--\w+(=\w+)?|\S*\*[^\s,.;]*(\.\w+)?")


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

    The command line (`irevnet_tf.apps.flags`) and `check_settings` read all
    of these from it.

    Args:
        default: any value. The default; None for none.
        meaning: str. What the attribute is, in a sentence.
        choices: iterable. The values that it may have; any if empty.
        least: None or float. The smallest value.
        above: None or float. What the value must be greater than.
        most: None or float. The largest value.
        below: None or float. What the value must be less than.
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
    """Check that the attributes of a dataclass are in their ranges.

    Raises:
        ValueError: if one is not.
    """
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if not field.metadata or (value is None and field.default is None):
            continue
        bounds = dict(field.metadata)
        del bounds["meaning"]
        if not _fits(value, **bounds):
            raise ValueError(
                f"`{field.name}` must be {range_words(field.metadata)}. "
                f"Received: {field.name}={value!r}"
            )


def describe_settings(cls: type) -> type:
    """Add the settings of a dataclass to its docstring, as a class decorator.

    They become the section `Attributes`, before `Raises`.

    Args:
        cls: type. The dataclass. Only its own attributes are described.

    Returns:
        `cls`.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    # In the order of the class; inherited fields would come first.
    own = [fields[name] for name in cls.__dict__["__annotations__"]]
    entries = [_described(field) for field in own if field.metadata]
    if cls.__doc__ and entries:  # Python removes docstrings with -OO.
        text, raises, errors = cls.__doc__.partition("    Raises:\n")
        added = "\n".join(["    Attributes:", *entries])
        cls.__doc__ = f"{text}{added}\n\n{raises}{errors}"
    return cls


def _described(field):
    """Return `name: type. Meaning.` of a setting, in lines of a docstring."""
    kind = inspect.formatannotation(field.type)
    kind = kind.replace("tuple[int, ...]", "tuple of ints")
    if kind.endswith(" | None"):
        kind = f"None or {kind.removesuffix(' | None')}"
    meaning = _CODE.sub(r"`\g<0>`", field.metadata["meaning"])
    sentences = [f"{field.name}: {kind}.", meaning]
    if bounds := range_words(field.metadata):
        sentences.append(f"{bounds[0].upper()}{bounds[1:]}.")
    sentences.append(f"Defaults to {field.default!r}.")
    return textwrap.fill(
        " ".join(sentences),
        width=80,
        initial_indent=" " * 8,
        subsequent_indent=" " * 12,
    )


def range_words(metadata: Mapping[str, Any]) -> str:
    """Return the range of an attribute in words, "" if it has none."""
    if metadata["choices"]:
        return f"one of {', '.join(map(str, metadata['choices']))}"
    words = {
        "least": "at least",
        "above": "greater than",
        "most": "at most",
        "below": "less than",
    }
    found = []
    for name, text in words.items():
        bound = metadata[name]
        if bound == math.inf:
            found.append("finite")
        elif (name, bound) == ("above", 0):
            found.append("positive")
        elif bound is not None:
            found.append(f"{text} {bound}")
    return " and ".join(found)


def _fits(value, choices, least, above, most, below):
    if choices:
        return value in choices
    bounds = (
        (least, operator.ge),
        (above, operator.gt),
        (most, operator.le),
        (below, operator.lt),
    )
    return all(
        bound is None or (value is not None and compare(value, bound))
        for bound, compare in bounds
    )
