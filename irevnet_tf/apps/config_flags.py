"""A flag for every attribute of `RunConfig`."""

import dataclasses
import typing

from absl import app
from absl import flags

from irevnet_tf.training import RunConfig


def _define(field, kind):
    """Define the flag of an attribute of type `kind`."""
    meaning, choices = field.metadata["meaning"], field.metadata["choices"]
    default = field.default
    if typing.get_origin(kind) is tuple:
        flags.DEFINE_list(field.name, list(map(str, default)), meaning)
        return
    kinds = set(typing.get_args(kind)) - {type(None)} or {kind}
    if choices:
        flags.DEFINE_enum(field.name, default, list(choices), meaning)
    elif kinds == {bool}:
        flags.DEFINE_bool(field.name, default, meaning)
    elif kinds == {int}:
        flags.DEFINE_integer(field.name, default, meaning)
    elif kinds == {float}:
        flags.DEFINE_float(field.name, default, meaning)
    else:
        flags.DEFINE_string(field.name, default, meaning)


for _field in dataclasses.fields(RunConfig):
    _define(_field, RunConfig.types()[_field.name])

# Short runs have no room for the warm-up of long ones.
flags.FLAGS["warmup_epochs"].default = None
flags.FLAGS["warmup_epochs"].value = None
flags.FLAGS["warmup_epochs"].help += (
    f" {RunConfig.warmup_epochs} if not given, or what --epochs leaves room "
    "for."
)


def config_from_flags() -> RunConfig:
    """Return the run's configuration, every attribute from its flag.

    Raises:
        app.UsageError: if a value is out of its range.
    """
    values = {
        field.name: flags.FLAGS[field.name].value
        for field in dataclasses.fields(RunConfig)
    }
    if values["warmup_epochs"] is None:
        room = RunConfig.warmup_epochs
        if values["steps"] is not None:
            room = 0
        values["warmup_epochs"] = min(room, max(0, values["epochs"] - 1))
    try:
        values["decay_epochs"] = integers(flags.FLAGS["decay_epochs"])
        return RunConfig(**values)
    except ValueError as error:
        raise app.UsageError(str(error)) from error


def integers(flag: flags.Flag | flags.FlagHolder) -> tuple[int, ...]:
    """Return the values of a list flag as integers.

    Raises:
        app.UsageError: if they are none.
    """
    try:
        return tuple(map(int, flag.value))
    except ValueError as error:
        raise app.UsageError(
            f"--{flag.name} must be whole numbers, such as 60,120. "
            f"Received: --{flag.name}={','.join(flag.value)}"
        ) from error
