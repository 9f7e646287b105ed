"""Files of a data set that cannot be read: which one it is, in one sentence."""

import io
import os
import pathlib

import numpy as np
import pytest
import small_network
import tensorflow as tf
from absl import app
from calling import call
from PIL import Image

from irevnet_tf.apps import evaluate
from irevnet_tf.apps import invert
from irevnet_tf.apps import train
from irevnet_tf.data import Augmentation
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data import load_dataset
from irevnet_tf.data import training_batches
from irevnet_tf.data.decoding import UnreadableImageError
from irevnet_tf.data.decoding import naming_unreadable_files
from irevnet_tf.data.examples import FileExamples

# The values tell the place, and JPEG hardly changes them.
PICTURE = np.add.outer(np.arange(24) * 8, np.arange(24)).astype("uint8")
RGB = np.stack([PICTURE] * 3, axis=-1)


def encoded(suffix, mode="RGB"):
    file = io.BytesIO()
    image = Image.fromarray(RGB)
    image = image.quantize(256) if mode == "P" else image.convert(mode)
    image.save(file, {"jpg": "JPEG"}.get(suffix, suffix), quality=95)
    return file.getvalue()


def cut(content, part):
    return content[: int(len(content) * part)]


UNREADABLE = {
    **{
        f"cut_{suffix}_{part}": (suffix, cut(encoded(suffix), part))
        for suffix in ("jpg", "png", "gif", "bmp")
        for part in (0.02, 0.5, 0.95)
    },
    "empty": ("jpg", b""),
    "empty_png": ("png", b""),
    "text": ("jpg", b"<html>not found</html>"),
    "beginning": ("jpg", b"\xff\xd8\xff"),
    "changed": ("png", encoded("png").replace(b"IDAT", b"IDAT\x00")),
}
READABLE = {
    "rgb_png": ("png", encoded("png")),
    "palette_png": ("png", encoded("png", "P")),
    "png_of_16_bits": ("png", tf.io.encode_png(RGB.astype("uint16") * 257)),
    "gray_png_of_16_bits": (
        "png",
        tf.io.encode_png(RGB[..., :1].astype("uint16") * 257),
    ),
    "cmyk_jpeg": ("jpg", encoded("jpg", "CMYK")),
    "gray_jpeg": ("jpg", encoded("jpg", "L")),
    "jpeg_and_more": ("jpg", encoded("jpg") + bytes(50)),
    "png_called_jpeg": ("jpg", encoded("png")),
}


def write_folder(root, count=8):
    """Write folder/split/class/number.jpg, `count` for every class."""
    for split in ("train", "test"):
        for label in ("a", "b"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i:03}.jpg").write_bytes(encoded("jpg"))
    return root


def with_file(root, suffix, content, split="test"):
    """Write a folder of readable images and this one; return its path."""
    write_folder(root)
    path = root / split / "b" / f"file.{suffix}"
    path.write_bytes(bytes(getattr(content, "numpy", lambda: content)()))
    return path


def require_one_sentence(error, path):
    message = str(error.value)
    assert message.startswith("A file of a data set must be a whole JPEG, PNG,")
    assert f"Received: file={path}, of which TensorFlow says: " in message
    assert "\n" not in message
    for noise in ("{{", "[[", "[Op:", "Iterator::", "function_node"):
        assert noise not in message


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_decoded_is_named(name, tmp_path):
    path = with_file(tmp_path, *UNREADABLE[name])
    dataset = load_dataset(str(tmp_path), image_size=16)
    with pytest.raises(UnreadableImageError) as error:
        dataset.arrays("test")
    require_one_sentence(error, path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = with_file(tmp_path, "jpg", b"")
    dataset = load_dataset(str(tmp_path), image_size=16)
    path.unlink()
    with pytest.raises(UnreadableImageError, match="No such file") as error:
        dataset.arrays("test")
    require_one_sentence(error, path)
    path.mkdir()
    with pytest.raises(UnreadableImageError, match="a directory") as error:
        dataset.arrays("test")
    require_one_sentence(error, path)


def test_a_file_without_the_channels_that_are_wanted_is_named(tmp_path):
    path = with_file(tmp_path, "jpg", encoded("jpg", "CMYK"))
    dataset = load_dataset(str(tmp_path), image_size=16, image_channels=1)
    with pytest.raises(UnreadableImageError) as error:
        dataset.arrays("test")
    require_one_sentence(error, path)


@pytest.mark.parametrize("name", READABLE)
def test_unusual_files_are_read_right(name, tmp_path):
    path = with_file(tmp_path, *READABLE[name])
    dataset = load_dataset(str(tmp_path), image_size=24)
    assert dataset.test.paths[-1] == str(path)
    found = dataset.arrays("test")[0][-1] * 255
    np.testing.assert_allclose(found, RGB, atol=4.0)


@pytest.mark.parametrize("random_resized_crop", [False, True])
def test_batches_of_training(random_resized_crop, tmp_path):
    path = with_file(tmp_path, "png", cut(encoded("png"), 0.5), "train")
    dataset = load_dataset(str(tmp_path), image_size=16)
    batches = training_batches(
        dataset,
        Augmentation(random_resized_crop=random_resized_crop),
        4,
        epoch=0,
        steps=4,
        seed=0,
    )
    with (
        pytest.raises(UnreadableImageError) as error,
        naming_unreadable_files(dataset.train, dataset.image_shape),
    ):
        list(batches)
    require_one_sentence(error, path)


def test_files_are_looked_at_in_the_order_of_the_epoch(tmp_path):
    dataset = load_dataset(str(write_folder(tmp_path)), image_size=16)
    order = dataset.train.order(seed=1, epoch=2, position=4)
    paths = dataset.train.paths[order]
    assert sorted(paths) == sorted(dataset.train.paths)
    for path in paths[[3, 9]]:
        pathlib.Path(path).write_bytes(b"")
    batches = training_batches(
        dataset,
        Augmentation(),
        4,
        epoch=2,
        first_step=1,
        steps=4,
        seed=1,
    )
    with (
        pytest.raises(UnreadableImageError) as error,
        naming_unreadable_files(
            dataset.train, dataset.image_shape, lambda: order
        ),
    ):
        list(batches)
    require_one_sentence(error, paths[3])


def test_other_errors_pass_without_a_look_at_the_files(tmp_path):
    dataset = load_dataset(str(write_folder(tmp_path)), image_size=16)

    def order():
        raise AssertionError("Files were looked at")

    for error in (
        ValueError(),
        tf.errors.InvalidArgumentError(None, None, "A value out of range"),
        # Another worker is lost.
        tf.errors.UnavailableError(None, None, "[[IteratorGetNext]]"),
    ):
        with (
            pytest.raises(type(error)),
            naming_unreadable_files(dataset.test, dataset.image_shape, order),
        ):
            raise error


def test_the_error_stays_if_all_files_can_be_read(tmp_path):
    path = with_file(tmp_path, "jpg", b"")
    dataset = load_dataset(str(tmp_path), image_size=16)
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="Input is empty"),
        naming_unreadable_files(dataset.test, dataset.image_shape),
    ):
        try:
            list(evaluation_batches(dataset, dataset.test, 4))
        finally:
            path.write_bytes(encoded("jpg"))


def test_examples_that_are_no_files_have_no_name(tmp_path):
    digits = load_dataset("digits")
    error = tf.errors.InvalidArgumentError(None, None, "IteratorGetNext")
    with (
        pytest.raises(tf.errors.InvalidArgumentError),
        naming_unreadable_files(digits.test, digits.image_shape),
    ):
        raise error


def test_the_applications_end_with_the_name(tmp_path, monkeypatch):
    small_network.instead_of_the_default(monkeypatch)
    folder = write_folder(tmp_path / "images", count=12)
    run_dir = f"--run_dir={tmp_path / 'run'}"
    command = (
        run_dir,
        f"--dataset={folder}",
        "--image_size=8",
        "--batch_size=8",
        "--epochs=1",
        "--warmup_epochs=0",
    )
    broken = folder / "train" / "a" / "003.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(cut(whole, 0.5))
    with pytest.raises(SystemExit) as error:
        call(train, *command)
    assert error.value.code.startswith("Training stopped: A file of a data set")
    assert f"Received: file={broken}, of which" in error.value.code
    assert "\n" not in error.value.code

    # Trained now, but not measured: this one is not among the first 16.
    broken.write_bytes(whole)
    broken = folder / "test" / "b" / "010.jpg"
    broken.write_bytes(cut(whole, 0.5))
    with pytest.raises(SystemExit) as error:
        call(train, *command)
    assert f"Received: file={broken}, of which" in error.value.code

    # The same command continues when the file is whole again.
    broken.write_bytes(whole)
    call(train, *command)
    broken.write_bytes(cut(whole, 0.5))
    for module, arguments in (
        (train, (*command, "--eval_only")),
        (evaluate, (run_dir,)),
        (invert, (run_dir,)),
    ):
        with pytest.raises(app.UsageError) as error:
            call(module, *arguments)
        require_one_sentence(error, broken)


def test_broken_links_are_named(tmp_path):
    path = with_file(tmp_path, "jpg", b"")
    path.unlink()
    os.symlink("nowhere", path)
    dataset = load_dataset(str(tmp_path), image_size=16)
    assert isinstance(dataset.test, FileExamples)
    with pytest.raises(UnreadableImageError, match="No such file") as error:
        dataset.arrays("test")
    require_one_sentence(error, path)
