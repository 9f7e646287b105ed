"""The data sets by name."""

from irevnet_tf.data import digits
from irevnet_tf.data.dataset import Dataset

_LOADERS = {"digits": digits.load}


def dataset_names() -> list[str]:
    """Return the names that `load_dataset` accepts, sorted."""
    return sorted(_LOADERS)


def load_dataset(name: str) -> Dataset:
    """Load a data set.

    Args:
        name: string. One of `dataset_names()`.

    Returns:
        The `Dataset`.

    Raises:
        ValueError: if no data set has this name.
    """
    if name not in _LOADERS:
        raise ValueError(
            f"`name` must be a known data set: {', '.join(dataset_names())}. "
            f"Received: name={name!r}"
        )
    return _LOADERS[name]()
