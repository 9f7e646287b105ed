"""How a run is carried out, as against what it is."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What may differ between a run and its continuation.

    Attributes:
        checkpoint_steps: Optimizer steps between checkpoints; there is one
            after every epoch besides. 0 for these only.
        keep_checkpoints: How many of the newest checkpoints are kept.
        log_steps: Optimizer steps between reports where the output is no
            terminal, and between points of the curves for TensorBoard. 0 for
            epochs only.
        profile: First and last batch of this process, in one epoch, to
            profile for TensorBoard.
    """

    checkpoint_steps: int = 0
    keep_checkpoints: int = 3
    log_steps: int = 100
    profile: tuple[int, int] | None = None

    def __post_init__(self):
        for name, least in (
            ("checkpoint_steps", 0),
            ("keep_checkpoints", 1),
            ("log_steps", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(
                    f"`{name}` must be at least {least}. "
                    f"Received: {name}={getattr(self, name)}"
                )
        is_range = self.profile is None or (
            len(self.profile) == 2 and 1 <= self.profile[0] <= self.profile[1]
        )
        if not is_range:
            raise ValueError(
                "`profile` must be the first and the last batch, from 1. "
                f"Received: profile={self.profile}"
            )
