"""Put portable networks of the trained weights into weights/.

    python tools/publish_portable.py
    python tools/publish_portable.py --name=digits

in a checkout makes the portable network of weights that this package trained,
by the command that becomes its record's, and writes the weights, the entry in
registry.json with the certificate, and the model card.
"""

import dataclasses
import importlib.metadata
import json
import pathlib
import re
import shlex

from absl import flags
from publish_weights import PACKAGES
from publish_weights import registry_with

from irevnet_tf.apps.flags import DATA_DIR
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.portable import Made
from irevnet_tf.apps.portable import make_portable
from irevnet_tf.apps.portable_flags import Request as PortableRequest
from irevnet_tf.atomic import replacing
from irevnet_tf.settings import setting
from irevnet_tf.zoo.files import SUFFIX
from irevnet_tf.zoo.record import WeightsRecord
from irevnet_tf.zoo.registry import REGISTRY_FILE
from irevnet_tf.zoo.registry import file_sha256
from irevnet_tf.zoo.registry import find_record
from irevnet_tf.zoo.registry import weights_directory

FOLDER = weights_directory()
MODEL = "IRevNet28"
NAMES = ("digits", "fashion_mnist")
CARD_SUFFIX = ".md"
# Rows of the trained network's card that hold for the portable one, too.
SAME_ROWS = ("input", "classes", "licence")

CARD = """\
# {title}, portable

```python
model = irevnet_tf.{model}(weights="{name}", portable=True)
{scaling}
```

[{name}]({trained_card}) with residuals and a classifier in integers.
Representations, reconstructions and classes have the same bits in every
runtime, on every processor, and in batches of every size.

| | |
|---|---|
| file | `{file}`, {megabytes:.1f} MB |
| SHA-256 | `{sha256}` |
| network | `{model}`, injective, {bits} |
| input | {input} |
| classes | {classes} |
| test accuracy | {accuracy}, {before:.2%} before |
| inversion error, test images | {inversion_error:g} |
| licence | {licence} |

## How it was made

```
{command}
```

{calibration} training images showed what values the layers meet; the test
images chose nothing. The trained network computes with floats: elsewhere, a few
weights of the result may be rounded otherwise.
({packages})

## Certificate

`irevnet_tf.certify(model)` computes it from the weights:

```
{certificate}
```

A sum is in units of its own channel's weights. The SHA-256 is that of the
weights up to the representation.

## Limits

- It gives the classes of [{name}]({trained_card}), mostly, and has its limits.
- Images must be within the range above; others are an error.
- Its representations are not those of the trained network: no decoder takes
  one for the other.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The flags, by their names."""

    name: str | None = setting(
        None, "The name of the weights; all of them if not given.", NAMES
    )
    data_dir: str | None = setting(None, DATA_DIR)


def command_of(trained: WeightsRecord) -> str:
    """Return the command that makes the portable weights of a record."""
    return (
        # Room for convolutions that round on the way, see docs/portable.md.
        f"irevnet-portable --weights={trained.name} --sum_bits=21 "
        "--images=1024 "
        f"--output={portable_file(trained)}"
    )


def portable_file(trained: WeightsRecord) -> str:
    """Return the name of the file of portable weights."""
    return f"{trained.file.removesuffix(SUFFIX)}_portable{SUFFIX}"


def read_command(command: str) -> PortableRequest:
    """Return what irevnet-portable makes of a command line."""
    values = flags.FlagValues()
    define_flags(PortableRequest, values)
    values(shlex.split(command))
    return from_flags(PortableRequest, values)


def make_record(
    trained: WeightsRecord, made: Made, path: pathlib.Path
) -> WeightsRecord:
    """Describe a portable network, made of weights on record.

    Args:
        trained: `WeightsRecord`. That of the trained weights.
        made: `Made`. What irevnet-portable did.
        path: path. The file of the weights.
    """
    return dataclasses.replace(
        trained,
        description=f"The portable network of {trained.model}'s weights "
        f"{trained.name!r}, in integers.",
        file=portable_file(trained),
        sha256=file_sha256(path),
        fraction_bits=made.certificate.fraction_bits,
        command=command_of(trained),
        accuracy=made.after.accuracy,
        accuracy_by="this package",
        inversion_error=made.after.inversion_error_mean,
        # It has no other mode.
        inversion_error_ordinary=None,
        packages={name: importlib.metadata.version(name) for name in PACKAGES},
        portable=True,
        certificate=made.certificate.to_dict(),
    )


def make_card(record: WeightsRecord, made: Made, trained_card: str) -> str:
    """Return the text of a portable network's model card.

    Args:
        record: `WeightsRecord`. The new record.
        made: `Made`. What irevnet-portable did.
        trained_card: str. The name of the trained network's card, which says
            what their images and classes are.
    """
    text = (FOLDER / trained_card).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", text, re.M))
    versions, proven = record.packages, made.certificate
    return CARD.format(
        title=re.search(r"^# (.*)$", text, re.M)[1],
        scaling=re.search(r"^x = .*$", text, re.M)[0],
        trained_card=trained_card,
        **{name: rows[name] for name in SAME_ROWS},
        model=record.model,
        name=record.name,
        file=record.file,
        sha256=record.sha256,
        accuracy=f"{record.accuracy:.2%} ({made.after.correct:,} of "
        f"{made.after.images:,} images)",
        before=made.before.accuracy,
        inversion_error=record.inversion_error,
        command=record.command.replace(" --output", " \\\n    --output"),
        megabytes=made.path.stat().st_size / 1e6,
        bits=f"weights of {proven.weight_bits} bits, activations of "
        f"{proven.activation_bits}",
        calibration=read_command(record.command).images,
        packages=f"TensorFlow {versions['tensorflow']}, Keras "
        f"{versions['keras']}.",
        certificate=proven,
    )


def publish(name: str, data_dir: str | None = None) -> WeightsRecord:
    """Put the portable network of weights into weights/.

    Args:
        name: str. The name of the weights.
        data_dir: None or str. Where the data sets are.

    Returns:
        The record.

    Raises:
        app.UsageError: if the data are not there, or the network is not
            portable.
    """
    trained = find_record(MODEL, name)
    request = read_command(command_of(trained))
    file, registry = FOLDER / portable_file(trained), FOLDER / REGISTRY_FILE
    stem = file.name.removesuffix(SUFFIX)
    with (
        replacing(registry) as new_registry,
        replacing(file) as weights,
        replacing(FOLDER / f"{stem}{CARD_SUFFIX}") as card,
    ):
        made = make_portable(
            dataclasses.replace(request, output=str(weights), data_dir=data_dir)
        )
        record = make_record(trained, made, weights)
        trained_card = trained.file.removesuffix(SUFFIX) + CARD_SUFFIX
        card.write_text(make_card(record, made, trained_card), encoding="utf-8")
        new_registry.write_text(
            registry_with(record, registry), encoding="utf-8"
        )
    return record


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    request = from_flags(Request)
    for name in NAMES if request.name is None else (request.name,):
        record = publish(name, request.data_dir)
        print(json.dumps(record.to_dict(), indent=2))


if __name__ == "__main__":
    define_flags(Request)
    launch(main)
