"""Repetitions in a sequence: which runs of blocks one loop can stand for."""

from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Sequence

# Blocks up to which a run is looked for: RevViT's is attention and MLP, and
# with shifted windows it is twice that.
LONGEST = 8


def repetition(
    kinds: Sequence[Hashable],
    fits: Callable[[int], bool],
    longest: int = LONGEST,
) -> tuple[int, int]:
    """Return the run at the start of a sequence that repeats for the longest.

    Example:

    >>> repetition(["a", "b", "a", "b", "a", "c"], fits=lambda length: True)
    (2, 2)

    Args:
        kinds: non-empty sequence of hashables. What is equal is alike.
        fits: function of an int. Whether a run of this length may be repeated.
        longest: int. The length up to which runs are looked for.

    Returns:
        The length of the run, and how often it follows itself: (1, 1) if none
        repeats. Of runs that reach equally far, the shortest.
    """
    found = 1, 1
    for length in range(1, min(longest, len(kinds) // 2) + 1):
        count = _count(kinds, length)
        farther = length * count > found[0] * found[1]
        if count > 1 and farther and fits(length):
            found = length, count
    return found


def _count(kinds, length):
    """Return how often the first `length` members follow each other."""
    count = 1
    first = list(kinds[:length])
    while list(kinds[count * length : (count + 1) * length]) == first:
        count += 1
    return count
