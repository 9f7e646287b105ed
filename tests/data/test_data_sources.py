"""Tests of irevnet_tf.data: TFDS sets, folders of images, and their names."""

import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from irevnet_tf.data import NORMALIZATIONS
from irevnet_tf.data import Augmentation
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data import load_dataset
from irevnet_tf.data import steps_per_epoch
from irevnet_tf.data import tfds_source
from irevnet_tf.data import training_batches
from irevnet_tf.data.tfds_stream import StreamExamples

COUNTS = {"train": 30, "validation": 5, "test": 7}


def picture(number, height=12, width=12):
    """An image of one color, which is its number, whatever is cut out."""
    return np.full((height, width, 3), number, "uint8")


def features(**image):
    return {
        "image": tfds.features.Image(**image),
        "label": tfds.features.ClassLabel(names=["even", "odd"]),
    }


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the sets of these tests have in common."""

    VERSION = tfds.core.Version("1.0.0")
    FEATURES = features(shape=(12, 12, 3))
    KEYS = ("image", "label")
    COUNTS = COUNTS

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(self.FEATURES),
            supervised_keys=self.KEYS,
        )

    def _split_generators(self, dl_manager):
        self.check_download(dl_manager)
        return {split: self._generate_examples(split) for split in self.COUNTS}

    def check_download(self, dl_manager):
        pass

    def _generate_examples(self, split):
        for i in range(self.COUNTS[split]):
            yield i, self.example(i)

    def example(self, i):
        return {"image": picture(i), "label": i % 2}


class UniformPictures(_Builder):
    """Images of one size."""


class VaryingPictures(_Builder):
    """Images of varying size, which are stored as JPEG files."""

    FEATURES = features(shape=(None, None, 3), encoding_format="jpeg")
    COUNTS = {"train": 30, "validation": 5}

    def example(self, i):
        return {"image": picture(i * 8, 12 + i, 40 - i), "label": i % 2}


class UnlabeledPictures(_Builder):
    """Images whose classes are secret."""

    def example(self, i):
        return {"image": picture(i), "label": -1}


class VaryingUnlabeledPictures(VaryingPictures, UnlabeledPictures):
    """Images of varying size whose classes are secret."""

    COUNTS = {"train": 3, "validation": 3}
    example = UnlabeledPictures.example


class Numbers(_Builder):
    """No images."""

    FEATURES = {"number": tfds.features.Scalar(np.int64)}
    KEYS = None

    def example(self, i):
        return {"number": i}


class ManualPictures(_Builder):
    """What a person has to download."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "Go to the library and copy the pictures."

    def check_download(self, dl_manager):
        dl_manager.manual_dir  # noqa: B018  (TFDS looks for it)


class DistantPictures(_Builder):
    """What there is no connection to."""

    def check_download(self, dl_manager):
        raise ConnectionError("Name or service not known")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with the prepared sets that several tests use."""
    folder = tmp_path_factory.mktemp("data")
    UniformPictures(data_dir=folder).download_and_prepare()
    VaryingPictures(data_dir=folder).download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=4)
    )
    return folder


@pytest.fixture
def uniform(data_dir):
    return str(data_dir / "uniform_pictures" / "1.0.0")


@pytest.fixture
def varying(data_dir):
    return str(data_dir / "varying_pictures" / "1.0.0")


def write_images(root, counts=COUNTS, classes=("even", "odd"), suffix="png"):
    """Write folder/split/class/image files. Numbers tell the images apart."""
    encode = {"png": tf.io.encode_png, "jpg": tf.io.encode_jpeg}[suffix]
    for split, count in counts.items():
        for i in range(count):
            path = root / split / classes[i % 2] / f"{i:03}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(picture(i * 8, 10 + i, 20)).numpy())
    return str(root)


def numbers(images):
    return np.round(np.asarray(images)[:, 0, 0, 0] * 255).astype(int).tolist()


def epoch_of(dataset, batch_size=5, augmentation=None, **kwargs):
    kwargs = {"epoch": 0, "seed": 0, **kwargs}
    batches = training_batches(
        dataset,
        augmentation or Augmentation(),
        batch_size,
        steps=steps_per_epoch(dataset, batch_size),
        **kwargs,
    )
    return [batch[0] for batch in batches.as_numpy_iterator()]


def pipeline(index, count):
    return tf.distribute.InputContext(
        num_input_pipelines=count,
        input_pipeline_id=index,
        num_replicas_in_sync=count,
    )


def test_tfds_set_of_one_size_is_kept_in_memory(uniform):
    dataset = load_dataset(uniform)
    assert dataset.image_shape == (12, 12, 3)
    assert dataset.class_names == ("even", "odd")
    assert dataset.normalization == NORMALIZATIONS["unit"]
    assert dataset.train.count == 30 and dataset.test.count == 7
    images, labels = dataset.arrays("train")
    assert images.dtype == "float32" and labels.dtype == "int64"
    assert sorted(numbers(images)) == list(range(30))
    assert labels.tolist() == [n % 2 for n in numbers(images)]
    assert sorted(numbers(np.concatenate(epoch_of(dataset)))) == list(range(30))


def test_tfds_set_can_be_named(data_dir, monkeypatch):
    monkeypatch.setattr(
        tfds,
        "builder",
        lambda name, data_dir: UniformPictures(data_dir=data_dir),
    )
    dataset = load_dataset(
        "uniform_pictures", data_dir=data_dir, download=False
    )
    assert dataset.name == "uniform_pictures"
    assert dataset.train.count == 30


def test_tfds_set_that_is_not_prepared_is_prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(
        tfds,
        "builder",
        lambda name, data_dir: UniformPictures(data_dir=data_dir),
    )
    with pytest.raises(ValueError, match="Received: name='uniform_pictures'"):
        load_dataset("uniform_pictures", data_dir=tmp_path, download=False)
    dataset = load_dataset("uniform_pictures", data_dir=tmp_path)
    assert dataset.train.count == 30


def test_splits_can_be_chosen(uniform):
    dataset = load_dataset(
        uniform, train_split="train[:10]", test_split="validation"
    )
    assert dataset.train.count == 10 and dataset.test.count == 5


def test_images_in_memory_are_resized(uniform):
    original = load_dataset(uniform).arrays("train", 5)[0]
    dataset = load_dataset(uniform, image_size=24)
    assert dataset.image_shape == (24, 24, 3)
    images = dataset.arrays("train", 5)[0]
    assert images.shape == (5, 24, 24, 3)
    # As a whole, in order.
    np.testing.assert_allclose(
        images.mean(axis=(1, 2)), original.mean(axis=(1, 2)), atol=0.01
    )
    assert np.array_equal(
        load_dataset(uniform, image_size=12).arrays("train", 5)[0], original
    )


def test_images_in_memory_that_are_not_square_keep_their_size():
    with pytest.raises(ValueError, match="=8x12.*Received: image_size=8"):
        tfds_source.shape_in_memory((8, 12, 3), 8)
    assert tfds_source.shape_in_memory((8, 12, 3), None) == (8, 12, 3)


def test_large_set_of_one_size_is_streamed(uniform, monkeypatch):
    monkeypatch.setattr(tfds_source, "MEMORY_LIMIT", 37 * 12 * 12 * 3 - 1)
    with pytest.raises(ValueError, match="Received: image_size=None"):
        load_dataset(uniform)
    dataset = load_dataset(uniform, image_size=8)
    assert dataset.image_shape == (8, 8, 3)
    assert sorted(numbers(dataset.arrays("train")[0])) == list(range(30))


def test_varying_images_are_streamed(varying):
    dataset = load_dataset(varying, image_size=8)
    assert dataset.image_shape == (8, 8, 3)
    assert dataset.test.count == 5
    images, labels = dataset.arrays("train", 20)
    assert images.shape == (20, 8, 8, 3) and len(labels) == 20
    assert [n // 8 % 2 for n in numbers(images)] == labels.tolist()


def test_stream_holds_each_example_once_in_a_new_order(varying):
    dataset = load_dataset(varying, image_size=8)
    orders = [
        numbers(np.concatenate(epoch_of(dataset, epoch=epoch, seed=seed)))
        for epoch, seed in ((0, 0), (1, 0), (0, 1), (0, 0))
    ]
    expected = list(range(0, 240, 8))
    assert all(sorted(order) == expected for order in orders)
    assert orders[0] == orders[3]
    assert len(set(map(tuple, orders))) == 3


EVERY_CHANGE = Augmentation(
    max_shift=1, flip=True, random_resized_crop=True, random_erasing=0.5
)


def test_stream_can_be_continued_at_any_step(varying):
    dataset = load_dataset(varying, image_size=8)
    whole = epoch_of(dataset, augmentation=EVERY_CHANGE)
    rest = epoch_of(dataset, augmentation=EVERY_CHANGE, first_step=2)
    np.testing.assert_array_equal(rest, whole[2:])


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_share_a_stream(varying, workers):
    """There are four files, fewer than five workers."""
    dataset = load_dataset(varying, image_size=8)
    parts = [
        epoch_of(dataset, batch_size=10, context=pipeline(i, workers))
        for i in range(workers)
    ]
    assert {len(part) for part in parts} == {3}
    images = np.concatenate([np.concatenate(part) for part in parts])
    assert sorted(numbers(images)) == list(range(0, 240, 8))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_evaluation_of_a_stream_covers_every_example_once(varying, workers):
    dataset = load_dataset(varying, image_size=8)
    parts = [
        list(
            evaluation_batches(
                dataset, dataset.train, 20, context=pipeline(i, workers)
            ).as_numpy_iterator()
        )
        for i in range(workers)
    ]
    assert {len(part) for part in parts} == {2}
    assert {len(batch[2]) for part in parts for batch in part} == {
        20 // workers
    }
    images, _, weights = (
        np.concatenate(arrays)
        for arrays in zip(*sum(parts, start=[]), strict=True)
    )
    assert sorted(numbers(images[weights == 1.0])) == list(range(0, 240, 8))
    assert set(weights) == {0.0, 1.0}


def test_validation_examples_of_a_stream_are_held_out(varying):
    dataset = load_dataset(varying, image_size=8, validation_fraction=0.2)
    assert dataset.train.count == 24 and dataset.validation.count == 6
    images = [dataset.arrays(part)[0] for part in ("train", "validation")]
    assert sorted(numbers(np.concatenate(images))) == list(range(0, 240, 8))
    with pytest.raises(
        ValueError, match=r"Received: train_split='train\[:9\]'"
    ):
        load_dataset(
            varying,
            image_size=8,
            validation_fraction=0.2,
            train_split="train[:9]",
        )


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_image_folder_is_read_lazily(tmp_path, suffix):
    dataset = load_dataset(
        write_images(tmp_path, suffix=suffix),
        image_size=8,
        validation_fraction=0.1,
    )
    assert dataset.image_shape == (8, 8, 3)
    assert dataset.class_names == ("even", "odd")
    assert dataset.test.count == 7
    assert (dataset.train.count, dataset.validation.count) == (27, 3)
    images, labels = zip(
        *(dataset.arrays(part) for part in ("train", "validation")),
        strict=True,
    )
    seen = numbers(np.concatenate(images))
    assert sorted(seen) == list(range(0, 240, 8))
    assert np.concatenate(labels).tolist() == [n // 8 % 2 for n in seen]
    whole = epoch_of(dataset, augmentation=EVERY_CHANGE)
    assert len(whole) == 5
    rest = epoch_of(dataset, augmentation=EVERY_CHANGE, first_step=3)
    np.testing.assert_array_equal(rest, whole[3:])


def test_image_folder_can_have_other_splits_and_channels(tmp_path):
    folder = write_images(tmp_path, {"train": 4, "val": 2, "other": 6})
    gray = load_dataset(folder, image_size=8, image_channels=1)
    assert gray.image_shape == (8, 8, 1)
    assert gray.arrays("test")[0].shape == (2, 8, 8, 1)
    other = load_dataset(folder, image_size=8, test_split="other")
    assert other.test.count == 6


def test_image_folders_that_do_not_fit_are_refused(tmp_path):
    folder = write_images(tmp_path / "a", {"train": 4, "test": 4})
    with pytest.raises(ValueError, match="Received: image_size=None"):
        load_dataset(folder)
    with pytest.raises(ValueError, match="1 or 3.*Received: image_channels=4"):
        load_dataset(folder, image_size=8, image_channels=4)
    with pytest.raises(
        ValueError, match="which has test, train. Received: split='dev'"
    ):
        load_dataset(folder, image_size=8, test_split="dev")
    write_images(tmp_path / "a", {"more": 2}, classes=("even", "uneven"))
    with pytest.raises(
        ValueError, match="same classes. Received: .*: odd, uneven"
    ):
        load_dataset(folder, image_size=8, test_split="more")
    (tmp_path / "a" / "empty" / "even").mkdir(parents=True)
    with pytest.raises(ValueError, match="No images found in directory"):
        load_dataset(folder, image_size=8, test_split="empty")
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match="has none. Received: split='train'"):
        load_dataset(str(tmp_path / "b"), image_size=8)


def test_unknown_names_are_refused_with_those_that_are_near():
    with pytest.raises(
        ValueError, match="Received: name='cifar11'. TFDS has: .*cifar10"
    ):
        load_dataset("cifar11")
    with pytest.raises(ValueError, match=r"Received: name='qqqqqqq'$"):
        load_dataset("qqqqqqq")
    with pytest.raises(ValueError, match="Received: name='cifar10/x'. TFDS"):
        load_dataset("cifar10/x")
    with pytest.raises(ValueError, match="Received: name='cifar10:9.9.9'"):
        load_dataset("cifar10:9.9.9")
    with pytest.raises(ValueError, match="Received: name='no set'. TFDS says"):
        load_dataset("no set")


@pytest.mark.parametrize(
    "builder, message",
    [
        (ManualPictures, "TFDS says: .*\n.*Go to the library"),
        (DistantPictures, "network.*The reason: Name or service not known"),
        (Numbers, "Received: features=number, supervised_keys=None"),
        (UnlabeledPictures, "Received: split='train', which has the label -1"),
        (VaryingUnlabeledPictures, "Received: split='train', which has the"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(
    builder, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        tfds, "builder", lambda name, data_dir: builder(data_dir=data_dir)
    )
    with pytest.raises(ValueError, match=message):
        load_dataset("pictures", data_dir=tmp_path, image_size=12)


def test_arguments_that_do_not_fit_the_set_are_refused(uniform):
    for arguments, message in (
        ({"train_split": "dev"}, "train, .*Received: split='dev'"),
        ({"test_split": "test[:0]"}, r"Received: split='test\[:0\]'"),
        ({"image_size": 0}, "at least 1. Received: image_size=0"),
        ({"image_channels": 1}, r"\(=3\). Received: image_channels=1"),
        ({"normalization": "x"}, "imagenet. Received: normalization='x'"),
        ({"validation_fraction": 1.0}, "Received: validation_fraction=1.0"),
        ({"validation_fraction": 0.001}, "of 30. Received: .*=0.001"),
        ({"validation_fraction": 0.999}, "of 30. Received: .*=0.999"),
    ):
        with pytest.raises(ValueError, match=message):
            load_dataset(uniform, **arguments)
    for arguments, message in (
        ({"normalization": "cifar10"}, r"1 channel\(s\).*has 3 channels"),
        ({"normalization": "unit"}, "0 to 16. Received: normalization='unit'"),
        ({"train_split": "x"}, "Received: train_split='x', test_split=None"),
        ({"test_split": "x"}, "Received: train_split=None, test_split='x'"),
    ):
        with pytest.raises(ValueError, match=message):
            load_dataset("digits", **arguments)


def test_normalization_can_be_chosen(uniform):
    dataset = load_dataset(uniform, normalization="imagenet")
    assert dataset.normalization == NORMALIZATIONS["imagenet"]
    images, _ = dataset.arrays("train")
    raw = dataset.normalization.undo(images)
    assert sorted(np.round(raw[:, 0, 0, 0])) == list(range(30))


@pytest.mark.parametrize(
    "name, normalization, test_split",
    [
        ("cifar10", "cifar10", "test"),
        ("cifar100", "cifar100", "test"),
        ("imagenet2012", "imagenet", "validation"),
        ("imagenette", "imagenet", "test"),
        ("pictures", "unit", "test"),
    ],
)
def test_known_names_have_defaults(
    data_dir, monkeypatch, name, normalization, test_split
):
    builder = UniformPictures(data_dir=data_dir)
    monkeypatch.setattr(builder, "name", name)
    dataset = tfds_source.load(builder, name=name)
    assert dataset.normalization == NORMALIZATIONS[normalization]
    assert dataset.test.count == COUNTS[test_split]


def test_validation_is_not_cut_off_an_order_that_means_something():
    info = types.SimpleNamespace(
        disable_shuffling=True,
        name="film",
        splits={"train": types.SimpleNamespace(num_examples=10)},
    )
    examples = StreamExamples(types.SimpleNamespace(info=info), "train")
    with pytest.raises(ValueError, match="meaningful order. Received: film"):
        examples.split(0.1)
