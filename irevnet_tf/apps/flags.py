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
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        _define(field, _kinds(hints[field.name]), values)


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


def _define(field, kind, values):
    name, default, choices = (
        field.name,
        field.default,
        field.metadata["choices"],
    )
    meaning = field.metadata["meaning"]
    bounds = "" if choices else range_words(field.metadata)
    if bounds:
        meaning += f" Must be {bounds}."
    if typing.get_origin(kind) is tuple:
        if typing.get_args(kind)[0] is str:
            flags.DEFINE_multi_string(
                name, default, meaning, flag_values=values
            )
            return
        given = default and list(map(str, default))
        flags.DEFINE_list(name, given, meaning, flag_values=values)
    elif choices:
        names = list(map(str, choices))
        flags.DEFINE_enum(name, default, names, meaning, flag_values=values)
    elif kind is bool:
        flags.DEFINE_bool(name, default, meaning, flag_values=values)
    elif kind is int:
        flags.DEFINE_integer(name, default, meaning, flag_values=values)
    elif kind is float:
        flags.DEFINE_float(name, default, meaning, flag_values=values)
    else:
        flags.DEFINE_string(name, default, meaning, flag_values=values)


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
