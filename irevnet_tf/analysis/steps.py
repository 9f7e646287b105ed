"""How far a study has come."""


class StepCounter:
    """Counts steps of equal length, roughly, for whoever waits.

    Args:
        progress: function of the part that is done, from 0 to 1, or None.
        total: the number of steps.
    """

    def __init__(self, progress, total: int):
        self._progress = progress
        self._total = total
        self._count = 0

    def done(self, count: int = 1) -> None:
        """Note that so many steps are done."""
        self._count += count
        if self._progress is not None:
            self._progress(min(1.0, self._count / self._total))
