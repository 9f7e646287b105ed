"""What the constructors of named networks have in common."""

from collections.abc import Callable

from irevnet_tf.zoo.files import check_weights_path
from irevnet_tf.zoo.registry import expected_weights
from irevnet_tf.zoo.registry import find_record


def named(constructor: Callable, name: str, docstring: str) -> Callable:
    """Return a constructor, under its network's name and with a docstring."""
    constructor.__name__ = constructor.__qualname__ = name
    constructor.__doc__ = docstring
    return constructor


def check_weights(name: str, weights) -> None:
    """Raise ValueError unless a network without shipped weights takes these.

    Args:
        name: str. Name of the constructor.
        weights: any. What the user gave as `weights`.
    """
    # Raises if it is the name of weights for another network.
    find_record(name, weights)
    if weights is not None:
        check_weights_path(weights, expected_weights(name))
