"""Flags that several applications share."""

from absl import flags

RUN_DIR = flags.DEFINE_string(
    "run_dir",
    None,
    "Directory of the training run: its configuration, weights and results.",
    required=True,
)
