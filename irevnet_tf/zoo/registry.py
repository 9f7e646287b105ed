"""The registry of pretrained weights: their names, records and places."""

import fnmatch
import functools
import hashlib
import json
import os
import pathlib

from irevnet_tf.atomic import write_json
from irevnet_tf.optional import install_command
from irevnet_tf.zoo.files import SUFFIX
from irevnet_tf.zoo.recipes import recipe_sentence
from irevnet_tf.zoo.record import WeightsRecord

REGISTRY_FILE = "registry.json"


def weights_directory() -> pathlib.Path:
    """Return the folder of the registry and of the weights in the package."""
    package = pathlib.Path(__file__).resolve().parents[1]
    # In a checkout the folder lies beside the package, in a wheel inside.
    folders = [package / "weights", package.parent / "weights"]
    return next(
        (path for path in folders if (path / REGISTRY_FILE).is_file()),
        folders[0],
    )


@functools.cache
def weights_records() -> tuple[WeightsRecord, ...]:
    """Return the records of all weights that have a name."""
    text = (weights_directory() / REGISTRY_FILE).read_text(encoding="utf-8")
    return tuple(map(WeightsRecord.from_dict, json.loads(text)))


def list_weights(pattern: str | None = None) -> list[WeightsRecord]:
    """Print the pretrained weights, one line each, and return their records.

    Each record has the file's SHA-256, source, licence, and the command that
    makes it; see `irevnet_tf.zoo.record.WeightsRecord`. The record of a
    converted file is the one that irevnet-convert wrote.

    Example:

    >>> records = irevnet_tf.list_weights("*mnist")
    constructor  weights        input ...
    >>> records[0].preprocessing
    'fashion_mnist'

    Args:
        pattern: None or str. Which weights: what their constructor or their
            name must match, with the wildcards of `fnmatch`, in capitals or
            not. `None` for all (default).

    Returns:
        The records, in the order of the lines.

    Raises:
        ValueError: if `pattern` is no string.
    """
    if not isinstance(pattern, str | None):
        raise ValueError(
            "`pattern` must be a string, such as 'irevnet28' or '*mnist', or "
            f"None for all weights. Received: pattern={pattern!r}"
        )
    rows = [
        (
            "constructor",
            "weights",
            "input",
            "classes",
            "parameters",
            "accuracy",
            "inversion error",
            "file",
        )
    ]
    chosen = [x for x in weights_records() if _matches(x, pattern)]
    records = [_as_installed(record) for record in chosen]
    for record, known in zip(records, chosen, strict=True):
        place = f"made by {record.command}"
        if known.sha256 is not None:
            place = "in the package"
        elif record is not known:
            place = str(converted_file(record))
        rows.append(
            (
                record.model,
                record.name + (", portable" if record.portable else ""),
                "x".join(map(str, record.input_shape)),
                str(record.classes),
                f"{record.parameters:,}",
                _number(record.accuracy, ".2%"),
                _number(record.inversion_error, ".1e"),
                place,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = map(str.ljust, row, widths)
        print("  ".join(cells).rstrip())
    return records


def _matches(record, pattern):
    return pattern is None or any(
        fnmatch.fnmatchcase(x.lower(), pattern.lower())
        for x in (record.model, record.name)
    )


def _as_installed(record):
    """Return the record of the converted file, if there is one."""
    try:
        return record if record.sha256 else _converted_record(record)
    except ValueError:
        return record


def find_record(
    model: str, name: object, portable: bool = False
) -> WeightsRecord | None:
    """Find the weights of this name.

    Args:
        model: str. Name of the constructor.
        name: any. What the user gave as `weights`.
        portable: bool. Whether they are to be those of a portable network.

    Returns:
        The record, or None if `name` is not the name of any weights.

    Raises:
        ValueError: if it is the name of weights for other networks only, or
            of a recipe, whose weights are not published.
    """
    if not isinstance(name, str):
        return None
    records = [r for r in weights_records() if r.name == name]
    for record in records:
        if (record.model, record.portable) == (model, bool(portable)):
            return record
    if portable and any(r.model == model for r in records):
        raise ValueError(
            f"There are no portable weights {name!r} for {model}: "
            "`irevnet_tf.portable` makes such a network of the ordinary one. "
            f"Received: weights={name!r}, portable={portable}"
        )
    if records:
        others = sorted({record.model for record in records})
        raise ValueError(
            f"There are no weights {name!r} for {model}, but for "
            f"{', '.join(others)}. {recipe_sentence(name, model)}The "
            f"`weights` of {model} must be {expected_weights(model)}. "
            f"Received: weights={name!r}"
        )
    if recipe := recipe_sentence(name, model):
        raise ValueError(
            f"No weights {name!r} are published. {recipe}The `weights` of "
            f"{model} must be {expected_weights(model)}. "
            f"Received: weights={name!r}"
        )
    return None


def expected_weights(model: str) -> str:
    """Return in words which `weights` a constructor takes."""
    names = dict.fromkeys(
        repr(r.name) for r in weights_records() if r.model == model
    )
    return (
        "None (random initialization), "
        + "".join(f"{name}, " for name in names)
        + f"or the path of a file that ends in {SUFFIX}"
    )


def verified_file(record: WeightsRecord) -> pathlib.Path:
    """Return the path of a record's weights, after checking their SHA-256.

    Args:
        record: `WeightsRecord`. One of the registry.

    Raises:
        ValueError: if the file is not there, with the commands that make it,
            or if its SHA-256 is not the recorded one, with both. That of a
            converted file is in the record beside it: it shows damage, not who
            made the file.
    """
    if record.sha256 is not None:
        path = weights_directory() / record.file
        if not path.is_file():
            raise ValueError(
                f"The package must hold {record.file}: install it again. "
                f"Received: no file {path}"
            )
    else:
        path = converted_file(record)
        record = _converted_record(record)
    found = file_sha256(path)
    if found != record.sha256:
        raise ValueError(
            f"The weights file must have the SHA-256 {record.sha256}: it was "
            f"changed, exchanged or cut off. Received: {path} with the "
            f"SHA-256 {found}"
        )
    return path


def cache_directory() -> pathlib.Path:
    """Return the folder in which Keras keeps downloaded weights.

    It is `$KERAS_HOME/models`, or `~/.keras/models` if that is not set. Unlike
    `keras.utils.get_file`, nothing is looked for in the temporary folder that
    Keras uses where it cannot write: others could put files there.
    """
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return pathlib.Path(home).expanduser() / "models"


def converted_file(record: WeightsRecord) -> pathlib.Path:
    """Return where the converted weights of a record are looked for."""
    return cache_directory() / record.file


def converted_record_file(record: WeightsRecord) -> pathlib.Path:
    """Return where the record of the converted weights is looked for."""
    name = record.file.removesuffix(SUFFIX) + ".json"
    return cache_directory() / name


def write_converted_record(record: WeightsRecord) -> None:
    """Write the record of the file at `converted_file(record)`.

    Args:
        record: `WeightsRecord`. The registry's record, with this file's
            `sha256` and its other differing attributes.
    """
    write_json(converted_record_file(record), record.to_dict())


def file_sha256(path: pathlib.Path) -> str:
    """Return a file's SHA-256 as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _converted_record(record):
    path, beside = converted_file(record), converted_record_file(record)
    if not path.is_file():
        raise ValueError(
            f"The weights {record.name!r} of {record.model} are not shipped. "
            "These two commands make them:\n"
            f"  {install_command('convert')}\n"
            f"  {record.command}\n"
            f"Received: weights={record.name!r}, but no file {path}"
        )
    try:
        text = beside.read_text(encoding="utf-8")
        found = WeightsRecord.from_dict(json.loads(text))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Beside {path} must be the record that irevnet-convert wrote. "
            "Convert again, or give the path of the weights. "
            f"Received: {beside}: {error}"
        ) from error
    if (found.model, found.name) != (record.model, record.name):
        raise ValueError(
            f"{beside} must be the record of the weights {record.name!r} of "
            f"{record.model}. Received: {found}"
        )
    return found


def _number(value, form):
    return "-" if value is None else format(value, form)
