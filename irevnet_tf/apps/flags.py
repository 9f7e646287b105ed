"""Flags defined by dataclasses, and dataclasses filled from flags."""

import dataclasses
import typing
from typing import Any

from absl import app
from absl import flags

from irevnet_tf.settings import check_settings
from irevnet_tf.settings import range_words

# They belong to the module that asks for them, whose --help lists them.
flags.disclaim_key_flags()

# What the flag of this name means wherever it is.
DATA_DIR = (
    "Directory of TFDS' prepared data sets; $TFDS_DATA_DIR or else "
    "~/tensorflow_datasets if not given."
)


def define_flags(kind: type, values: flags.FlagValues = flags.FLAGS) -> None:
    """Define a flag for every attribute of a dataclass.

    A tuple of numbers is a flag like 60,120; one of strings is a flag that
    may be given several times.

    Args:
        kind: dataclass. Its attributes are declared by
            `irevnet_tf.settings.setting`.
        values: `FlagValues`. Where to define the flags.
    """
    for described in describe_flags(kind):
        define_described(described, values)


def describe_flags(kind: type) -> list[dict[str, Any]]:
    """Describe the flags of a dataclass, as JSON can hold it.

    Args:
        kind: dataclass. As for `define_flags`.

    Returns:
        For each flag its name, type, default, choices and meaning.
    """
    hints = typing.get_type_hints(kind)
    return [
        _described(field, _kinds(hints[field.name]))
        for field in dataclasses.fields(kind)
    ]


def define_described(
    described: dict[str, Any], values: flags.FlagValues
) -> None:
    """Define a flag that `describe_flags` has described.

    Args:
        described: dict. An item of what it returned.
        values: `FlagValues`. Where to define the flag.
    """
    name, default, meaning = map(described.get, ("name", "default", "meaning"))
    if described["type"] == "enum":
        choices = described["choices"]
        flags.DEFINE_enum(name, default, choices, meaning, flag_values=values)
        return
    define = {
        "multi_string": flags.DEFINE_multi_string,
        "list": flags.DEFINE_list,
        "bool": flags.DEFINE_bool,
        "int": flags.DEFINE_integer,
        "float": flags.DEFINE_float,
        "str": flags.DEFINE_string,
    }[described["type"]]
    define(name, default, meaning, flag_values=values)


def from_flags(kind: type, values: flags.FlagValues = flags.FLAGS) -> Any:
    """Return an instance of a dataclass with the values of its flags.

    Args:
        kind: dataclass. As for `define_flags`.
        values: `FlagValues`. As for `define_flags`.

    Raises:
        app.UsageError: if the values do not fit.
    """
    hints = typing.get_type_hints(kind)
    try:
        found = kind(
            **{
                field.name: _value(values[field.name], hints[field.name])
                for field in dataclasses.fields(kind)
            }
        )
        check_settings(found)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    return found


def as_flags(instance: Any) -> list[str]:
    """Return the command line's words for the values of a dataclass.

    Args:
        instance: dataclass. Its attributes are declared by
            `irevnet_tf.settings.setting`. None is left out, as the default.
    """
    words = []
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no'}{field.name}")
        elif isinstance(value, tuple):
            words.append(f"--{field.name}={','.join(map(str, value))}")
        else:
            words.append(f"--{field.name}={value}")
    return words


def _kinds(hint):
    """Return the type of an attribute, without None if it may be None."""
    kinds = typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is tuple:
        kinds = (hint,)
    (kind,) = set(kinds) - {type(None)}
    return kind


def _described(field, kind):
    choices, default = field.metadata["choices"], field.default
    meaning = field.metadata["meaning"]
    bounds = "" if choices else range_words(field.metadata)
    if bounds:
        meaning += f" Must be {bounds}."
    name = kind.__name__
    if typing.get_origin(kind) is tuple:
        name = "list"
        if typing.get_args(kind)[0] is str:
            name = "multi_string"
        default = None if default is None else list(map(str, default))
    elif choices:
        name = "enum"
    return {
        "name": field.name,
        "type": name,
        "default": default,
        "choices": list(map(str, choices)),
        "meaning": meaning,
    }


def _value(flag, hint):
    kind, value = _kinds(hint), flag.value
    if value is None:
        return None
    if typing.get_origin(kind) is tuple:
        if typing.get_args(kind)[0] is str:
            return tuple(value)
        return _integers(flag)
    # Choices of numbers are read as text.
    return kind(value)


def _integers(flag):
    try:
        return tuple(map(int, flag.value))
    except ValueError as error:
        raise ValueError(
            f"--{flag.name} must be whole numbers, such as 60,120. "
            f"Received: --{flag.name}={','.join(flag.value)}"
        ) from error
