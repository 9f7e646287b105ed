"""Commands on any network and any images: irevnet-evaluate, irevnet-invert."""

import json

import cases
import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from absl import app
from absl import flags
from matplotlib.image import imread
from sklearn.datasets import load_digits
from small_network import small

import irevnet_tf
from irevnet_tf.apps import evaluate
from irevnet_tf.apps import invert
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.image_files import read_image
from irevnet_tf.data import load_dataset
from irevnet_tf.zoo.registry import find_record


def request(module, *arguments):
    """Return what the command line would make of the arguments."""
    values = flags.FlagValues()
    define_flags(module.Request, values)
    values(["program", *map(str, arguments)])
    return from_flags(module.Request, values)


def measure(*arguments):
    return evaluate.evaluate_network(request(evaluate, *arguments))


def draw(*arguments):
    return invert.invert_images(request(invert, *arguments))


def write(path, pixels):
    """Write a PNG file, uint8 (height, width, channels)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tf.io.write_file(str(path), tf.io.encode_png(pixels))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folders 7 and 3 of the first of these digits, and nothing else."""
    root = tmp_path_factory.mktemp("folder")
    digits = load_digits()
    for name in (7, 3):
        images = digits.images[digits.target == name][:20]
        for number, image in enumerate(images):
            pixels = np.rint(image * 255 / 16).astype("uint8")
            write(root / str(name) / f"{number}.png", pixels[..., None])
    return root


def test_weights_of_a_name_are_measured_as_published(tmp_path):
    path = tmp_path / "new" / "digits.json"
    result = measure("--weights=digits", f"--output={path}")
    record = find_record("IRevNet28", "digits")
    assert result.accuracy == pytest.approx(record.accuracy)
    assert result.inversion_error_max == 0
    assert json.loads(path.read_text())["correct"] == result.correct


@pytest.mark.parametrize("split", [None, "val"])
def test_folders_are_told_apart_by_their_names(folder, tmp_path, split):
    root = tmp_path / "root"
    root.mkdir()
    if split:
        (root / split).symlink_to(folder)
    else:
        root = folder
    result = measure("--weights=digits", f"--dataset={root}")
    # 3 and 7 are classes 0 and 1 of this folder.
    assert result.images == 40 and result.correct >= 38


def test_folders_of_unknown_classes_are_refused(folder, tmp_path):
    write(tmp_path / "seven" / "a.png", np.zeros((8, 8, 1), "uint8"))
    with pytest.raises(app.UsageError, match="with seven$"):
        measure("--weights=digits", f"--dataset={tmp_path}")


def test_ids_are_names_too(tmp_path, capsys):
    names = ["T-shirt/top", *"123456789"]
    for name in ("0", "9"):
        write(tmp_path / name / "a.png", np.zeros((28, 28, 1), "uint8"))
    assert measure("--weights=fashion_mnist", f"--dataset={tmp_path}").images
    arguments = ("--weights=fashion_mnist", f"--dataset={tmp_path}")
    with pytest.raises(app.UsageError, match="Received: .*, with 0$"):
        measure(*arguments, "--class_names=" + ",".join(names))
    with pytest.raises(app.UsageError, match="10 classes. Received: 2 names"):
        measure(*arguments, "--class_names=a,b")
    twice = ["0", "9", "9", *"1234567"]
    with pytest.raises(app.UsageError, match="one each, .*, with 9$"):
        measure(*arguments, "--class_names=" + ",".join(twice))


def test_data_sets_come_before_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "digits" / "0" / "a.png", np.zeros((8, 8, 1), "uint8"))
    assert measure("--weights=digits").images == 360


def test_training_images_are_not_taken_for_classes(tmp_path):
    for split in ("train", "valid"):
        write(tmp_path / split / "0" / "a.png", np.zeros((8, 8, 1), "uint8"))
    with pytest.raises(app.UsageError, match="Expected a folder of test imag"):
        measure("--weights=digits", f"--dataset={tmp_path}")


def test_what_stands_in_front_of_the_network_is_refused(tmp_path):
    base = irevnet_tf.IRevNet28(weights="digits")
    image = keras.Input((8, 8, 1))
    scaled = keras.layers.Rescaling(1 / 16)(image)
    keras.Model(image, base(scaled)).save(tmp_path / "front.keras")
    file = f"--keras_file={tmp_path / 'front.keras'}"
    with pytest.raises(app.UsageError, match="layers before it change them"):
        measure(file, "--dataset=digits")
    with pytest.raises(app.UsageError, match="layers before it change them"):
        draw(file, "--dataset=digits", f"--output={tmp_path / 'out.png'}")


def test_guesses_are_told(folder, tmp_path, capsys):
    model = irevnet_tf.IRevNet28(classes=2, input_shape=(8, 8, 1))
    model.save(tmp_path / "two.keras")
    measure(f"--keras_file={tmp_path / 'two.keras'}", f"--dataset={folder}")
    output = capsys.readouterr().out
    assert "how images were scaled" in output and "for 3, 7, in this" in output
    measure(
        f"--keras_file={tmp_path / 'two.keras'}",
        f"--dataset={folder}",
        "--class_names=7,3",
        "--preprocessing=unit",
    )
    assert capsys.readouterr().out == ""


def nested(base):
    return keras.Sequential([base, keras.layers.Dense(10)])


def with_input(base):
    image = keras.Input((8, 8, 1))
    flip = keras.layers.RandomFlip()
    return keras.Sequential([image, flip, base, keras.layers.Dense(10)])


def named(base):
    outputs = {"logits": keras.layers.Dense(10)(base.output)}
    return keras.Model(base.input, outputs)


def extended(base):
    return keras.Model(base.input, keras.layers.Dense(10)(base.output))


@pytest.mark.parametrize(
    "extend, lossless",
    [(nested, True), (extended, False), (with_input, False), (named, True)],
)
def test_models_of_files_are_measured(extend, lossless, folder, tmp_path):
    base = small(
        input_shape=(8, 8, 1),
        include_top=False,
        pooling="avg",
        lossless=lossless,
    )
    base.preprocessing = "digits"
    model = extend(cases.stir(base))
    model.save(tmp_path / "own.keras")
    result = measure(
        f"--keras_file={tmp_path / 'own.keras'}", "--dataset=digits"
    )
    x, y = load_dataset("digits").arrays("test")
    (outputs,) = keras.tree.flatten(model.predict(x, verbose=0))
    assert result.images == 360
    assert result.correct == np.sum(np.argmax(outputs, -1) == y)
    assert (result.inversion_error_max == 0) == lossless
    with pytest.raises(app.UsageError, match="must have 10 classes.*with 2"):
        measure(
            f"--keras_file={tmp_path / 'own.keras'}",
            f"--dataset={folder}",
            "--image_size=8",
        )


def test_what_is_no_classifier_is_refused(tmp_path):
    path = tmp_path / "body.keras"
    irevnet_tf.IRevNet28(weights="digits", include_top=False).save(path)
    with pytest.raises(app.UsageError, match="must end in a classifier"):
        measure(f"--keras_file={path}", "--dataset=digits")


def test_pixels_of_files_are_scaled_as_those_of_the_data(tmp_path):
    digits = load_digits().images[:5]
    for number, image in enumerate(digits):
        pixels = np.rint(image * 255 / 16).astype("uint8")
        write(tmp_path / f"{number}.png", pixels[..., None])
    drawn = []
    figure = invert.inversion_figure

    def keep(images, *args, **kwargs):
        drawn.append(images)
        return figure(images, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(invert, "inversion_figure", keep)
        draw(
            "--weights=digits",
            f"--images={tmp_path}",
            f"--output={tmp_path / 'out.svg'}",
        )
    np.testing.assert_allclose(drawn[0][..., 0], digits / 16, atol=1 / 255)


@pytest.mark.parametrize(
    "channels, point",
    [(1, None), (2, "1"), (3, "stage2"), (4, "stage3_block1")],
)
def test_pictures_of_any_kind_are_inverted(channels, point, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (31, 50, channels))
    write(tmp_path / "shirt.png", pixels.astype("uint8"))
    where = () if point is None else (f"--point={point}",)
    path, drawn = draw(
        "--weights=fashion_mnist",
        f"--images={tmp_path / 'shirt.png'}",
        f"--output={tmp_path / 'back.png'}",
        *where,
    )
    assert drawn == 1 and imread(path).size


@pytest.mark.parametrize("kind", ["bmp", "gif", "jpeg", "png"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_files_of_every_kind_are_gray_to_gray_networks(kind, mode, tmp_path):
    pixels = np.tile(np.arange(0, 256, 8, "uint8"), (32, 1))
    path = tmp_path / f"ramp.{kind}"
    PIL.Image.fromarray(pixels).convert(mode).save(path)
    scale = irevnet_tf.preprocessing.PREPROCESSING["fashion_mnist"]
    found = read_image(path, (32, 32, 1), scale, "--images")
    loss = 4 if kind == "jpeg" else 1e-4
    np.testing.assert_allclose(found[..., 0] * 255, pixels, atol=loss)


@pytest.mark.parametrize("size, expected", [((), (40, 24)), ((16,), (16, 16))])
def test_networks_of_any_size_take_the_first_picture(
    size, expected, tmp_path, monkeypatch
):
    base = cases.build("bijective", lossless=True, input_shape=(None, None, 3))
    base.save(tmp_path / "any.keras")
    for name, shape in (("a", (43, 31, 3)), ("b", (64, 20, 3))):
        write(tmp_path / "in" / f"{name}.png", np.zeros(shape, "uint8"))
    shapes = []
    rebuild = invert.reconstruct
    monkeypatch.setattr(
        invert,
        "reconstruct",
        lambda model, images, **kwargs: (
            shapes.append(images.shape) or rebuild(model, images, **kwargs)
        ),
    )
    _, drawn = draw(
        f"--keras_file={tmp_path / 'any.keras'}",
        f"--images={tmp_path / 'in'}",
        f"--output={tmp_path / 'out.svg'}",
        *(f"--image_size={side}" for side in size),
    )
    assert drawn == 2 and shapes == [(2, *expected, 3)]


REFUSED = {
    "no picture": ("--images={}/nowhere.png", "which is neither"),
    "an empty name": ("--images={}/a.bmp,", "Received: --images with ''"),
    "none in a directory": ("--images={}", "without any"),
    "no image": (
        "--images={}/text.png",
        "PNG, GIF or BMP files, in gray or RGB, but",
    ),
    "no point": ("--images={}/a.bmp --point=stage9", "Received: 'stage9'"),
    "two of a kind": ("--images={}/a.bmp --dataset=digits", "not both"),
    "another size": ("--images={}/a.bmp --image_size=9", "Received: --image"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_tell_what_was_expected(case, tmp_path):
    text, message = REFUSED[case]
    images = tmp_path / "images"
    images.mkdir()
    if case != "none in a directory":
        (images / "text.png").write_text("text")
        write(images / "a.bmp", np.zeros((8, 8, 1), "uint8"))
    with pytest.raises(app.UsageError, match=f"(?s){message}"):
        draw(
            "--weights=digits",
            f"--output={tmp_path / 'out' / 'picture.png'}",
            *text.format(images).split(),
        )
    assert not list(tmp_path.glob("out/*"))


def test_errors_of_files_are_without_places_in_graphs(tmp_path):
    path = tmp_path / "a.png"
    write(path, np.arange(64, dtype="uint8").reshape(8, 8, 1))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(app.UsageError, match="TensorFlow says: ") as caught:
        draw(
            "--weights=digits",
            f"--images={path}",
            f"--output={tmp_path / 'b.png'}",
        )
    assert "{{" not in str(caught.value) and "[Op:" not in str(caught.value)
