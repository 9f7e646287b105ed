"""Prepare Fashion-MNIST for training, from files that are there already.

    python tools/prepare_fashion_mnist.py \
        --source=/usr/share/datasets/fashion-mnist

The result is the TFDS set fashion_mnist, the same as from a download. The
folder is the one that Debian's package dataset-fashion-mnist fills.
"""

import dataclasses
import gzip
import hashlib
import os
import pathlib
import tempfile

import tensorflow_datasets as tfds
from absl import app

from irevnet_tf.apps.flags import DATA_DIR
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.settings import setting

# SHA-256 of the unpacked files. They were computed from files whose
# gzip-compressed SHA-256 is the one that TFDS has on record. Others have
# compressed the same contents with other headers: Debian's package, for
# instance, leaves out the names of the files.
CONTENTS = {
    "train-images-idx3-ubyte": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "train-labels-idx1-ubyte": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "t10k-images-idx3-ubyte": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "t10k-labels-idx1-ubyte": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The flags, by their names."""

    source: str = setting(
        "/usr/share/datasets/fashion-mnist",
        "Folder with the four files, train-images-idx3-ubyte.gz and so on.",
    )
    data_dir: str | None = setting(None, DATA_DIR)


def prepare(
    source: str | os.PathLike, data_dir: str | os.PathLike | None = None
) -> tuple[pathlib.Path, bool]:
    """Prepare fashion_mnist as TFDS does, without a download.

    Args:
        source: A folder with the four files of Fashion-MNIST, compressed by
            gzip: train-images-idx3-ubyte.gz and so on.
        data_dir: The folder in which TFDS keeps prepared sets. If None, it is
            the environment variable TFDS_DATA_DIR, or else
            ~/tensorflow_datasets.

    Returns:
        The folder of the prepared set, and whether this call has made it.
        False: it was there already, and `source` was not looked at.

    Raises:
        ValueError: if files are missing, or if they are not what they should
            be.
    """
    builder = _LocalFashionMnist(data_dir=data_dir)
    folder = pathlib.Path(builder.data_path)
    if builder.is_prepared():
        return folder, False
    packed = {n: pathlib.Path(source) / f"{n}.gz" for n in CONTENTS}
    missing = [path.name for path in packed.values() if not path.is_file()]
    if missing:
        raise ValueError(
            "`source` must be a folder with the files of Fashion-MNIST. "
            f"Received: source={os.fspath(source)}, in which there is no "
            f"{', '.join(missing)}"
        )
    with tempfile.TemporaryDirectory() as unpacked:
        for name, path in packed.items():
            (pathlib.Path(unpacked) / name).write_bytes(_unpack(name, path))
        builder.unpacked = unpacked
        builder.download_and_prepare()
    return folder, True


def _unpack(name, path):
    try:
        contents = gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(
            f"Expected a gzip-compressed file. Received: {path}: {error}"
        ) from error
    digest = hashlib.sha256(contents).hexdigest()
    if digest != CONTENTS[name]:
        raise ValueError(
            f"Expected contents with SHA-256 {CONTENTS[name]}. "
            f"Received: {path}, with SHA-256 {digest}"
        )
    return contents


class _LocalFashionMnist(
    tfds.image_classification.FashionMNIST, skip_registration=True
):
    """TFDS' own set, which gets its files from a folder."""

    name = "fashion_mnist"
    unpacked = None

    def _split_generators(self, dl_manager):
        del dl_manager
        return super()._split_generators(_Unpacked(self.unpacked))


class _Unpacked:
    """What TFDS' set needs of a download manager."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)

    def download_and_extract(self, urls):
        return {
            key: self._folder / url.rsplit("/")[-1].removesuffix(".gz")
            for key, url in urls.items()
        }


def report(request: Request) -> None:
    """Prepare the set and print its folder."""
    try:
        folder, is_new = prepare(request.source, request.data_dir)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    print(f"{'Prepared' if is_new else 'Already prepared'}: {folder}")


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    report(from_flags(Request))


if __name__ == "__main__":
    define_flags(Request)
    launch(main)
