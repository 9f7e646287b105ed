"""Translating pytorchcv's parameter names to the authors' names.

The two networks are the same otherwise: psi and streams have the same order
of channels, convolutions the same padding and BatchNorms the same constants.
pytorchcv counts units within their stage, from 1, and has names where the
authors have numbers; it has strides of 2 and 3x3 kernels only.
"""

import contextlib
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Mapping

from irevnet_tf.optional import optional_import

_UNIT = re.compile(
    r"features\.stage(?P<stage>[1-9]\d*)\.unit(?P<unit>[1-9]\d*)"
    r"\.bottleneck\.(?P<layer>conv[123](?:\.bn|\.conv)?)\.(?P<parameter>\w+)"
)
_HEAD = {"features.final_postactiv.bn.": "bn1.", "output.": "linear."}

# Where the authors' Sequential has what pytorchcv gives a name. The first
# block has no BatchNorm and ReLU in front; between the positions are ReLUs,
# and a Dropout behind the second convolution.
_FIRST_BLOCK = {
    "conv1": 0,
    "conv2.bn": 1,
    "conv2.conv": 3,
    "conv3.bn": 5,
    "conv3.conv": 7,
}
_BLOCK = {
    "conv1.bn": 0,
    "conv1.conv": 2,
    "conv2.bn": 3,
    "conv2.conv": 5,
    "conv3.bn": 7,
    "conv3.conv": 9,
}

PUBLISHED_MODEL = "irevnet301"


def fetch_checkpoint() -> pathlib.Path:
    """Return the ImageNet checkpoint from pytorchcv's own model store.

    That package downloads it, if it has not yet, and checks its SHA-1.

    Raises:
        ImportError: if pytorchcv is not installed.
        ValueError: if the file cannot be had, such as without a network.
    """
    with optional_import(
        "pytorchcv 0.0.74 or newer is needed to fetch its checkpoint", "convert"
    ):
        from pytorchcv.models.common import model_store
    try:
        with _complete_entry(model_store):
            return pathlib.Path(model_store.get_model_file(PUBLISHED_MODEL))
    except Exception as error:  # Of sockets, HTTP, zip files, the disk.
        raise ValueError(
            "pytorchcv's model store must be in reach. Without a network, "
            f"fetch the file of {PUBLISHED_MODEL} on another machine and give "
            "its path as --checkpoint. "
            f"Received: {type(error).__name__}: {error}"
        ) from error


@contextlib.contextmanager
def _complete_entry(model_store):
    """Have the store find its model.

    The list in pytorchcv 0.0.74 names it twice, and the second entry, which
    counts, has no checksum and no release.
    """
    find = model_store.get_model_metainfo
    rows = model_store.load_csv(model_store.get_model_metainfos_file_path())
    entries = [
        (int(row[1]), *row[2:5])
        for row in rows
        if row[0] == PUBLISHED_MODEL and "NA" not in row[1:5]
    ]
    if entries:
        model_store.get_model_metainfo = lambda name: entries[0]
    try:
        yield
    finally:
        model_store.get_model_metainfo = find


def authors_names(names: Iterable[str]) -> dict[str, str]:
    """Map the names of a state dict to the authors' names.

    Args:
        names: iterable of str. The names of all entries, without `module.`.

    Returns:
        {name: the authors' name}. Names that are not pytorchcv's are left as
        they are.

    Raises:
        ValueError: if stages or units are missing between others.

    Reference:
        pytorchcv 0.0.74, models/irevnet.py.
    """
    names = list(names)
    numbers = _block_numbers(names)
    result = {}
    for name in names:
        result[name] = name
        for prefix, translation in _HEAD.items():
            if numbers and name.startswith(prefix):
                result[name] = translation + name.removeprefix(prefix)
        match = _UNIT.fullmatch(name)
        if match:
            index = numbers[_unit(match)]
            positions = _BLOCK if index else _FIRST_BLOCK
            position = positions.get(match["layer"])
            if position is not None:
                result[name] = (
                    f"stack.{index}.bottleneck_block.{position}."
                    f"{match['parameter']}"
                )
    return result


def unit_channels(shapes: Mapping[str, tuple[int, ...]]) -> list[list[int]]:
    """Return the channels per stream of each unit of each stage.

    Args:
        shapes: dict from str to tuple of ints. The shape of every entry by
            pytorchcv's name, without `module.`.

    Returns:
        A list for each stage, as pytorchcv's constructor takes them; empty if
        the names are not pytorchcv's.
    """
    stages = {}
    for stage, unit in _block_numbers(shapes):
        last = f"features.stage{stage}.unit{unit}.bottleneck.conv3.conv.weight"
        if last in shapes:
            stages.setdefault(stage, []).append(shapes[last][0])
    return list(stages.values())


def _unit(match):
    return int(match["stage"]), int(match["unit"])


def _block_numbers(names):
    """Return {(stage, unit): number of the block from 0}, in order."""
    units = sorted({_unit(m) for m in map(_UNIT.fullmatch, names) if m})
    previous = (0, 0)
    for stage, unit in units:
        expected = (previous[0], previous[1] + 1), (previous[0] + 1, 1)
        if (stage, unit) not in expected:
            raise ValueError(
                "The stages and units of `state_dict` must be numbered from 1 "
                "without a gap. Received: "
                f"features.stage{stage}.unit{unit} behind "
                f"features.stage{previous[0]}.unit{previous[1]}"
            )
        previous = (stage, unit)
    return {unit: number for number, unit in enumerate(units)}
