"""The flag of all applications that read data sets."""

from absl import flags

DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Directory of TFDS' prepared data sets; $TFDS_DATA_DIR or else "
    "~/tensorflow_datasets if not given.",
)
