"""Integer residuals in weights files: a quarter of the size of floats."""

import keras
import numpy as np

# The entry that only such files have: the numbers of bits, and the groups.
BITS = "bits"
# Variables that are floats in files, too.
_FLOATS = ("scale0", "shift0", "reach")


def write_integers(residual: keras.layers.Layer, store) -> None:
    """Write the variables: kernels as integers, and the exponents of units.

    Args:
        residual: `IntegerResidual`. It has integer weights.
        store: what `save_own_variables` of a Keras layer takes.
    """
    kind = "int8" if residual.weight_bits <= 8 else "int16"
    for index, kernel in enumerate(residual.kernels, start=1):
        unit = residual.units[index - 1].numpy()
        exponent = np.rint(np.log2(unit)).astype("int16")
        integers = kernel.numpy() / unit
        is_exact = np.array_equal(unit, np.exp2(exponent.astype("float32")))
        if not is_exact or not np.array_equal(integers, integers.astype(kind)):
            raise ValueError(
                "The weights of an integer residual must be integers of "
                f"{residual.weight_bits} bits times a power of two. Received: "
                f"up to {np.abs(integers).max():g} units in {kernel.path}"
            )
        store[f"kernel{index}"] = integers.astype(kind)
        store[f"exponent{index}"] = exponent
    for index, shift in enumerate(residual.shifts, start=1):
        store[f"shift{index}"] = shift.numpy()
    for name in _FLOATS:
        store[name] = getattr(residual, name).numpy()
    store[BITS] = np.array(layout(residual), "int16")


def read_integers(residual: keras.layers.Layer, store) -> None:
    """Assign what `write_integers` wrote.

    Args:
        residual: `IntegerResidual`. It is built.
        store: what `load_own_variables` of a Keras layer takes.

    Raises:
        ValueError: if the file is of another kind of network, or of one with
            other numbers of bits.
    """
    if BITS not in store.keys():  # noqa: SIM118, it is no dict.
        raise ValueError(
            "The file must be that of a portable network, not fine-tuned. "
            f"Received: no integer weights for {residual.path}"
        )
    found = tuple(np.array(store[BITS]).tolist())
    if found != layout(residual):
        raise ValueError(
            "The file must be of a network with as many weight_bits, "
            "activation_bits and fraction_bits, and the same groups, "
            f"{layout(residual)}; a .keras file keeps them. Received: "
            f"{found}"
        )
    for index, kernel in enumerate(residual.kernels, start=1):
        integers = np.array(store[f"kernel{index}"], "float32")
        if np.abs(integers).max() >= 2.0 ** (residual.weight_bits - 1):
            raise ValueError(
                "The weights of the file must be integers of "
                f"{residual.weight_bits} bits. Received: up to "
                f"{np.abs(integers).max():g} in {kernel.path}"
            )
        unit = np.exp2(np.array(store[f"exponent{index}"], "float32"))
        kernel.assign(integers * unit)
        residual.set_unit(index - 1, unit)
        residual.shifts[index - 1].assign(np.array(store[f"shift{index}"]))
    for name in _FLOATS:
        getattr(residual, name).assign(np.array(store[name]))


def layout(residual: keras.layers.Layer) -> tuple[int, ...]:
    """Return the numbers of bits of an `IntegerResidual`, and its groups."""
    return (
        residual.weight_bits,
        residual.activation_bits,
        residual.fraction_bits,
        *residual.groups,
    )
