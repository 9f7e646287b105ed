"""The entries of a PyTorch state dict: arrays of numbers under their names."""

import collections.abc

import numpy as np

# Where a checkpoint has its state dict: most, and SlowFast's.
STATE_DICTS = ("state_dict", "model_state")

# What torch.nn.DataParallel puts in front of every name.
_PARALLEL_PREFIX = "module."


def read_entries(state_dict, unused: tuple = ()) -> dict[str, np.ndarray]:
    """Return {name: array} of a state dict, without `module.` in front.

    Args:
        state_dict: dict from str to array or tensor. The parameters.
        unused: tuple of str. Entries that end in one of these are left out.

    Raises:
        ValueError: if `state_dict` is no mapping from names to arrays of
            numbers.
    """
    is_mapping = isinstance(state_dict, collections.abc.Mapping)
    inside = wrapped_in(state_dict) if is_mapping else None
    if not is_mapping or inside:
        raise ValueError(
            "`state_dict` must be a mapping from parameter names to arrays; "
            f"of a checkpoint, pass checkpoint[{inside or STATE_DICTS[0]!r}]. "
            f"Received: state_dict of type {type(state_dict).__name__}"
        )
    return {
        name: to_array(name, value)
        for name, value in without_prefix(state_dict).items()
        if not name.endswith(unused)
    }


def wrapped_in(content) -> str | None:
    """Return under which key a checkpoint has its state dict, if it has."""
    for key in STATE_DICTS:
        if isinstance(content.get(key), collections.abc.Mapping):
            return key
    return None


def without_prefix(state_dict) -> dict:
    """Return a mapping without the `module.` in front of its names.

    Raises:
        ValueError: if a name occurs both with and without it.
    """
    result = {
        str(name).removeprefix(_PARALLEL_PREFIX): value
        for name, value in state_dict.items()
    }
    if len(result) != len(state_dict):
        twice = [
            name for name in result if _PARALLEL_PREFIX + name in state_dict
        ]
        raise ValueError(
            "`state_dict` must have each entry once, with or without "
            f"{_PARALLEL_PREFIX!r} in front. Received: twice {twice[:3]}"
        )
    return result


def to_array(name: str, value) -> np.ndarray:
    """Return a tensor of any device, or an array, as an array of numbers.

    Raises:
        ValueError: if it is neither.
    """
    try:
        if hasattr(value, "detach"):  # A tensor; PyTorch is not needed to tell.
            value = value.detach().cpu()
            if value.is_floating_point() and value.element_size() < 4:
                value = value.float()  # NumPy has no bfloat16.
            value = value.numpy()
        array = np.asarray(value)
        if array.dtype.name == "bfloat16":  # From a package beside NumPy.
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            "Each entry of `state_dict` must be a dense tensor or an array. "
            f"Received: {name} of type {type(value).__name__}: {error}"
        ) from error
    if array.dtype.kind not in "fiu":
        raise ValueError(
            "Each entry of `state_dict` must be a tensor or an array of real "
            f"numbers. Received: {name} of type {type(value).__name__} with "
            f"dtype {array.dtype}"
        )
    return array


def check_names(entries, targets) -> None:
    """Raise ValueError unless two mappings have the same names.

    Args:
        entries: dict. The parameters there are.
        targets: dict. The parameters there must be.
    """
    missing = [name for name in targets if name not in entries]
    surplus = [name for name in entries if name not in targets]
    if missing or surplus:
        raise ValueError(
            "`state_dict` must hold the parameters of this architecture and "
            f"no others. Received: {len(missing)} missing {missing[:3]}, "
            f"{len(surplus)} left over {surplus[:3]}"
        )


def finite_array(name: str, array, dtype) -> np.ndarray:
    """Return an array in the dtype of its variable, or raise ValueError."""
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    bad = np.sum(~np.isfinite(array))
    if bad:
        raise ValueError(
            f"Each entry of `state_dict` must be finite in {dtype}. "
            f"Received: {name} with {bad} of {array.size} values that are not"
        )
    return array
