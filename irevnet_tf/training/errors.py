"""The exceptions that end training early."""


class DivergenceError(RuntimeError):
    """The loss or a weight stopped being finite, or left the exact range."""


class ResumeError(ValueError):
    """A run cannot go on from the checkpoints there are."""


class Preempted(Exception):
    """The process was asked to end, and a checkpoint was written before.

    Attributes:
        step: The optimizer steps that are done.
    """

    def __init__(self, step: int):
        super().__init__(f"Stopped after step {step}, at a checkpoint.")
        self.step = step
