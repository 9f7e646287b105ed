"""Numbers as they stand in sentences."""


def percent(share: float) -> str:
    """Return a share of 1 in percent."""
    return f"{100 * share:.1f} %"


def small(value: float) -> str:
    """Return an error or a distance; an exact 0 is seen as such."""
    return f"{value:.1e}" if value else "0"
