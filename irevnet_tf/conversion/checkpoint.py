"""Reading PyTorch's checkpoint files without running what is in them."""

import collections.abc
import os
import pathlib
import pickle
import pickletools
import re
import types
import warnings
import zipfile

import keras
import numpy as np

from irevnet_tf.conversion.entries import STATE_DICTS
from irevnet_tf.conversion.entries import to_array
from irevnet_tf.conversion.entries import without_prefix
from irevnet_tf.conversion.entries import wrapped_in
from irevnet_tf.conversion.pytorch import convert_state_dict
from irevnet_tf.optional import install_command
from irevnet_tf.optional import optional_import

_EXTRA = "convert"
# What every checkpoint names, and PyTorch loads as data.
_DATA = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild\w+|"
    r"torch\.nn\.parameter\.Parameter|torch\.(cuda\.)?\w+(Storage|Tensor)|"
    r"torch\.\w*(Size|device|float|half|int|long)\w*|_codecs\.encode|"
    r"numpy\.(_core|core)\.multiarray\.scalar|numpy\.dtype|numpy\.dtypes\.\w+"
)
# Files that corrupt memory under weights_only: CVE-2026-24747.
_SAFE_TORCH = (2, 10)
# A file of PyTorch < 1.6 is a few pickles and then the numbers.
_MAX_PICKLES = 8


def load_pytorch_checkpoint(
    model: keras.Model, path: str | os.PathLike
) -> None:
    """Load a PyTorch checkpoint of the same architecture into a network.

    Nothing is loaded unless every parameter finds its place.

    Example:

    >>> model = irevnet_tf.IRevNet((2, 3), (2, 2), (24, 96), classes=10)
    >>> irevnet_tf.load_pytorch_checkpoint(model, "irevnet.pth.tar")

    Args:
        model: Keras model. A network of the same configuration, as for
            `irevnet_tf.convert_state_dict`. A network without a classifier
            leaves out that of the file.
        path: str or path. A checkpoint of an i-RevNet by the authors or
            pytorchcv, or of a RevViT by SlowFast, minREV or mmpretrain; see
            `irevnet_tf.conversion.checkpoint.read_checkpoint`.

    Raises:
        ImportError: if PyTorch is not installed.
        ValueError: if the file cannot be read or does not fit the model.
    """
    convert_state_dict(read_checkpoint(path), model)


def read_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the state dict in a file that `torch.save` wrote.

    Only numbers are read: a file that names functions or classes to call is
    refused, and nothing of it is run.

    Args:
        path: str or path. A checkpoint like the authors', a dictionary with
            a `"state_dict"`, or SlowFast's `"model_state"`, or a state dict
            itself, in the format of today or of PyTorch < 1.6.

    Returns:
        {name: array} in PyTorch's layout, without the `module.` of
        DataParallel. float16 and bfloat16 become float32.

    Raises:
        ImportError: if PyTorch is not installed.
        ValueError: if there is no such file, it is damaged, would run code,
            or has no state dict in it.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(
            "The checkpoint must be an existing file. "
            f"Received: path={str(path)!r}"
        )
    state_dict = _find_state_dict(_load(path, import_torch()), path)
    arrays = {name: to_array(name, value) for name, value in state_dict.items()}
    return without_prefix(arrays)


def import_torch() -> types.ModuleType:
    """Return the module `torch`.

    Raises:
        ImportError: if PyTorch is not installed or too old, with the remedy.
    """
    with optional_import("PyTorch is needed to read its checkpoints", _EXTRA):
        import torch
    version = tuple(map(int, torch.__version__.split(".")[:2]))
    if version < _SAFE_TORCH:
        raise ImportError(
            "PyTorch 2.10 or newer is needed, since older ones do not read "
            f"checkpoints safely: {install_command(_EXTRA)}. "
            f"Received: torch.__version__={torch.__version__}"
        )
    return torch


def _load(path, torch):
    damaged = (
        "The checkpoint must be a whole file that torch.save wrote; this one "
        "is damaged, cut off, or of another kind. "
        f"Received: path={str(path)!r}"
    )
    if not _checksums_are_right(path):
        raise ValueError(damaged)
    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals(_numpy_numbers()),
        ):
            # Of PyTorch's own plans, and of pickles it then refuses.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise ValueError(
            f"The checkpoint cannot be read: {error}. "
            f"Received: path={str(path)!r}"
        ) from error
    except Exception as error:  # A damaged file can raise anything.
        calls = []
        if isinstance(error, pickle.UnpicklingError | RuntimeError):
            calls = _calls(path)
        if calls:
            raise ValueError(
                "The checkpoint is refused, because loading it would run "
                f"code: it calls for {', '.join(calls[:3])}. Where you trust "
                "it, load it with the code that wrote it and save the network "
                "again by torch.save(network.state_dict(), path). "
                f"Received: path={str(path)!r}"
            ) from error
        raise ValueError(damaged) from error


def _checksums_are_right(path):
    """Check what PyTorch does not: a zip file has checksums of its parts."""
    try:
        if not zipfile.is_zipfile(path):
            return True  # PyTorch < 1.6, or nothing that it will load.
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # `zipfile` raises errors of many kinds.
        return False


def _numpy_numbers():
    """Return what NumPy's numbers, such as accuracies, are pickled with."""
    scalar = np.float64(0).__reduce__()[0]
    return [
        (scalar, "numpy.core.multiarray.scalar"),  # NumPy 1.
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("?", "f2", "f4", "f8", "i4", "i8")),
    ]


def _calls(path):
    """Return the functions and classes that a file's pickles name.

    The pickles are taken apart, not loaded.
    """
    found = []
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            _add_names(file, found)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    with archive.open(name) as file:
                        _add_names(file, found)
    return [name for name in found if not _DATA.fullmatch(name)]


def _add_names(file, found):
    strings = []
    try:
        for _ in range(_MAX_PICKLES):
            for code, argument, _ in pickletools.genops(file):
                if code.name in ("GLOBAL", "INST"):
                    found.append(argument.replace(" ", "."))
                elif code.name == "STACK_GLOBAL":
                    found.append(".".join(strings[-2:]))
                elif isinstance(argument, str):
                    strings.append(argument)
    except Exception:  # Where the pickles end, or are damaged.
        return


def _find_state_dict(content, path):
    """Return the state dict in a checkpoint's content."""
    found = content
    if isinstance(content, collections.abc.Mapping):
        found = content.get(wrapped_in(content), content)
    if (
        not isinstance(found, collections.abc.Mapping)
        or not found
        or not all(
            isinstance(name, str) and hasattr(value, "detach")
            for name, value in found.items()
        )
    ):
        keys = ""
        if isinstance(found, collections.abc.Mapping):
            keys = f" with the keys {list(found)[:5]}"
        raise ValueError(
            "The checkpoint must be a state dict, a dictionary from names to "
            "tensors, or a dictionary with one as "
            f"{' or '.join(map(repr, STATE_DICTS))}. Received: "
            f"path={str(path)!r}, which has a {type(found).__name__}{keys}"
        )
    return found
