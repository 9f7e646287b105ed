"""The flag of all applications that work on a training run."""

from absl import flags

RUN_DIR = flags.DEFINE_string(
    "run_dir",
    None,
    "Directory of the training run: its configuration, weights and results.",
    required=True,
)
