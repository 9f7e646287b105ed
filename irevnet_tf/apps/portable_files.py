"""Files of portable networks: what they can hold, and writing them."""

import pathlib

import keras
import numpy as np
from absl import app

from irevnet_tf.apps.launch import check_writable
from irevnet_tf.apps.portable_flags import DEFAULTS
from irevnet_tf.atomic import replacing
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.quantization.tuning import chain_residual
from irevnet_tf.zoo.files import SUFFIX
from irevnet_tf.zoo.files import load_weights_file

KERAS_SUFFIX = ".keras"
# What the layers of a weights file must have been made with. `sum_bits` is no
# part of it: smaller sums fit as well.
_IN_LAYERS = ("weight_bits", "activation_bits", "fraction_bits")


def check_output(output: str | None) -> None:
    """Raise app.UsageError unless a portable network's file can be written.

    Args:
        output: None or str. The value of --output.
    """
    name = pathlib.Path(output or "").name
    endings = (KERAS_SUFFIX, SUFFIX)
    if not name.endswith(endings) or name in endings:
        raise app.UsageError(
            f"--output must be a file that ends in {KERAS_SUFFIX} or {SUFFIX}. "
            f"Received: --output={output}"
        )
    check_writable("--output", output)


def check_weights_file(output: str, chain: Chain, given: dict) -> None:
    """Refuse a weights file for a network that it cannot be loaded into.

    A `.weights.h5` file is loaded into the network that a constructor makes,
    which has the usual numbers of bits.

    Args:
        output: str. The value of --output.
        chain: `Chain`. The invertible layers of the network that is to become
            portable.
        given: dict from str to int or str. The flags about bits.

    Raises:
        app.UsageError: if the file is one of weights, and numbers of bits are
            others.
    """
    if not output.endswith(SUFFIX):
        return
    bits = {**DEFAULTS, **_bits_of(chain), **given}
    expected = {**DEFAULTS, "groups": (1, 1, 1)}
    names = [*_IN_LAYERS, "overflow", "groups"]
    unusual = [
        f"{name}={bits[name]}"
        for name in names
        if name in bits and bits[name] != expected[name]
    ]
    if unusual:
        raise app.UsageError(
            f"--output must be a {KERAS_SUFFIX} file for numbers of bits and "
            f"groups that a {SUFFIX} file cannot tell the constructor that it "
            f"is loaded into. Received: --output={output} with "
            f"{', '.join(unusual)}"
        )


def _bits_of(chain):
    """Return what the network's own layers settle."""
    residual = chain_residual(chain)
    if getattr(residual, "fine_tuning", False):
        names = (*_IN_LAYERS, "groups")
        return {name: getattr(residual, name) for name in names}
    # The entrance of a lossless network; None in an ordinary one.
    bits = getattr(chain.layers[0], "fraction_bits", None)
    return {} if bits is None else {"fraction_bits": bits}


def write_portable(model: keras.Model, path: pathlib.Path) -> None:
    """Write the file of a portable network, read it again, then name it.

    Args:
        model: Keras model. The network.
        path: path. The file, which `check_output` and `check_weights_file`
            have passed.

    Raises:
        OSError: if the file cannot be written, or is not what was written.
    """
    with replacing(path) as temporary:
        if path.name.endswith(SUFFIX):
            model.save_weights(temporary)
            again = keras.models.clone_model(model)
            load_weights_file(again, temporary)
        else:
            model.save(temporary)
            again = keras.saving.load_model(temporary, compile=False)
        pairs = zip(model.get_weights(), again.get_weights(), strict=True)
        if not all(np.array_equal(*pair) for pair in pairs):
            raise OSError(f"{path} does not hold what was written to it.")


def loading_call(model: keras.Model, path: pathlib.Path, name: str) -> str:
    """Return the Python expression that loads a portable network.

    Args:
        model: Keras model. The network.
        path: path. Its file.
        name: str. The constructor of the network that it was made of, if it is
            known.
    """
    if not path.name.endswith(SUFFIX):
        return f"import irevnet_tf; keras.saving.load_model({str(path)!r})"
    shape = model.inputs[0].shape[1:]
    common = f"weights={str(path)!r}, portable=True, input_shape={shape}"
    if isinstance(model.layers[-1], keras.layers.Dense):
        common += f", classes={model.layers[-1].units}"
    else:
        common += ", include_top=False"
    if name in VARIANTS:
        return f"irevnet_tf.{name}({common})"
    return f"irevnet_tf.IRevNet(..., {common})"
