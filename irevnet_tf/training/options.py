"""RunOptions: what may change when a run is continued."""

import dataclasses

from irevnet_tf.settings import check_settings
from irevnet_tf.settings import describe_settings
from irevnet_tf.settings import setting


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What may differ between a run and its continuation.

    Example:

    >>> options = irevnet_tf.training.RunOptions(checkpoint_steps=500)

    Raises:
        ValueError: if a value is out of its range.
    """

    checkpoint_steps: int = setting(
        0,
        "Optimizer steps between checkpoints; there is one after every epoch "
        "besides. 0 for these only.",
        least=0,
    )
    keep_checkpoints: int = setting(
        3, "How many of the newest checkpoints are kept.", least=1
    )
    log_steps: int = setting(
        100,
        "Optimizer steps between the lines of a log file, and between the "
        "points of TensorBoard's curves; 0 for epochs only.",
        least=0,
    )
    profile: tuple[int, ...] | None = setting(
        None,
        "First and last batch of this process, in one epoch, to profile for "
        "TensorBoard, such as 10,20.",
    )

    def __post_init__(self):
        check_settings(self)
        is_range = self.profile is None or (
            len(self.profile) == 2 and 1 <= self.profile[0] <= self.profile[1]
        )
        if not is_range:
            raise ValueError(
                "`profile` must be the first and the last batch, from 1. "
                f"Received: profile={self.profile}"
            )
