"""Formatting of numbers in sentences."""


def percent(share: float) -> str:
    """Return a share of 1 as a percentage."""
    return f"{100 * share:.1f} %"


def small(value: float) -> str:
    """Return an error or a distance as text; an exact 0 is "0"."""
    return f"{value:.1e}" if value else "0"
