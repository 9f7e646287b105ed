"""The table of all named networks, by their names."""

import inspect
from collections.abc import Callable

import keras

from irevnet_tf.models import variants

# {name: constructor}
CONSTRUCTORS: dict[str, Callable[..., keras.Model]] = {
    **variants.CONSTRUCTORS,
}


def options_of(name: str) -> set[str]:
    """Return the names of the arguments that a network's constructor takes.

    Args:
        name: str. A key of `CONSTRUCTORS`.
    """
    return set(inspect.signature(CONSTRUCTORS[name]).parameters)
