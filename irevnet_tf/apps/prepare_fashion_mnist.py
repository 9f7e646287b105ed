"""Prepare Fashion-MNIST for training, from files that are there already.

    irevnet-prepare-fashion-mnist --source=/usr/share/datasets/fashion-mnist

The result is the TFDS set fashion_mnist, the same as from a download. The
folder is the one that Debian's package dataset-fashion-mnist fills.
"""

from absl import app
from absl import flags

from irevnet_tf.apps.data_flags import DATA_DIR
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.data import fashion_mnist

SOURCE = flags.DEFINE_string(
    "source",
    "/usr/share/datasets/fashion-mnist",
    "Folder with the four files, train-images-idx3-ubyte.gz and so on.",
)
flags.declare_key_flag(DATA_DIR)


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    try:
        folder, is_new = fashion_mnist.prepare(SOURCE.value, DATA_DIR.value)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    print(f"{'Prepared' if is_new else 'Already prepared'}: {folder}")


def run() -> None:
    launch(main)


if __name__ == "__main__":
    run()
