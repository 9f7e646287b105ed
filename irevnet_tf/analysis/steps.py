"""StepCounter: the progress of a study."""


class StepCounter:
    """Counts steps of roughly equal length, and reports progress.

    Args:
        progress: None or function. Called with the share that is done, from 0
            to 1.
        total: int. The number of steps.
    """

    def __init__(self, progress, total: int):
        self._progress = progress
        self._total = total
        self._count = 0

    def done(self, count: int = 1) -> None:
        """Count finished steps."""
        self._count += count
        if self._progress is not None:
            self._progress(min(1.0, self._count / self._total))
