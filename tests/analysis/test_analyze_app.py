"""Tests of irevnet_tf.apps.analyze and of what it stands on."""

import dataclasses
import html
import json
import re
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl import app
from commands import DIGITS
from commands import request
from commands import rows_of
from matplotlib.figure import Figure
from PIL import Image

import irevnet_tf
from irevnet_tf.analysis.result import Result
from irevnet_tf.apps import analyze
from irevnet_tf.apps.analysis import directory
from irevnet_tf.apps.analysis import report
from irevnet_tf.apps.analysis.arguments import Prepared
from irevnet_tf.apps.analysis.flags import Request
from irevnet_tf.apps.analysis.samples import draw_images
from irevnet_tf.apps.analysis.studies import PNG
from irevnet_tf.apps.analysis.studies import STUDIES
from irevnet_tf.apps.analysis.studies import SVG
from irevnet_tf.apps.analysis.studies import Study
from irevnet_tf.apps.analysis.subject import load_subject
from irevnet_tf.apps.analysis.subject import weights_sha256
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory


def run_app(*arguments):
    return analyze.analyze(request(*arguments))


@dataclasses.dataclass(frozen=True)
class FakeResult(Result):
    """What a study without any work found."""

    name: str
    value: float

    def tables(self):
        return {
            self.name: [
                {"image": 0, "value": np.float32(0.1), "known": np.nan},
                {"image": np.int64(1), "value": self.value, "known": 1e-20},
            ]
        }

    def summary(self):
        return [
            {"class": "<b>0</b>", "value": np.float64(0.123456), "n": 12345},
            {"class": "1", "value": np.nan, "n": np.int64(2)},
        ]

    def conclusion(self):
        return f"{self.name} found {self.value} & <i>more</i>."


def draw_fake(result):
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], [0, result.value], marker="o", label="<script>")
    axis.legend()
    return figure


def fake(name, picture=SVG, run=None, frames=None):
    """Return a study that takes no time."""

    def found(model, images, *, value, progress, **options):
        progress(0.5)
        if run is not None:
            run()
        return FakeResult(name, float(value))

    return Study(
        name,
        f"What is {name}?",
        f"How to read {name}, or '<u>'.",
        picture,
        ("images",),
        lambda subject, request: Prepared(
            (np.zeros(1),), {"value": request.images}, "Nothing <b>."
        ),
        found,
        draw_fake,
        frames=frames,
    )


@pytest.fixture(scope="module")
def subject():
    return load_subject(request(*DIGITS, "--study=all", "--output=x"))


@pytest.fixture
def studies(monkeypatch, subject):
    """Replace the studies by two that take no time, and the network's load."""

    def frames(result):
        return [np.full((4, 6), shade, "uint8") for shade in (0, 128, 255)]

    table = {
        "curve": fake("curve"),
        "picture": fake("picture", PNG, frames=frames),
    }
    monkeypatch.setattr(analyze, "STUDIES", table)
    monkeypatch.setattr(analyze, "load_subject", lambda request: subject)
    monkeypatch.setattr(sys, "argv", ["/bin/irevnet-analyze", "--a=b c<"])
    return table


def interrupt(table, name, error):
    """Make a study end in an error."""

    def end():
        raise error

    table[name] = fake(name, run=end)


def test_all_studies_leave_a_report_that_needs_no_other_file(
    studies, tmp_path, capsys
):
    assert run_app("--study=all", f"--output={tmp_path}") is None
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "analysis.json",
        "curve.csv",
        "curve.json",
        "curve.png",
        "curve.svg",
        "picture.csv",
        "picture.gif",
        "picture.json",
        "picture.png",
        "report.html",
    ]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert set(re.findall(r"https?://[^\"'\s]*", page)) == {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', page)) <= set(ids)
    assert page.count("<img ") == 2 and page.count("<svg ") == 1
    assert all("alt=" in tag for tag in re.findall(r"<img [^>]*>", page))
    # What is written here becomes text, whatever it holds.
    assert "curve found 4.0 &amp; &lt;i&gt;more&lt;/i&gt;." in page
    assert "&lt;b&gt;0&lt;/b&gt;" in page and "<b>" not in page
    assert "Nothing &lt;b&gt;." in page and "&lt;u&gt;" in page
    for cell in ("0.1235", "12,345", "–"):
        assert f">{cell}</td>" in page
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
    assert "irevnet-analyze '--a=b c<'" in text
    assert "parameters 952,586" in text
    assert "lossless, 14 fraction bits" in text
    assert "1,437" in text and "keras" in text
    output = capsys.readouterr().out
    assert "curve: curve found 4.0 & <i>more</i>.\n" in output
    assert output.endswith(f"Wrote {tmp_path / 'report.html'}\n")


def test_what_needs_a_classifier_is_left_out(
    studies, subject, tmp_path, monkeypatch, capsys
):
    headless = dataclasses.replace(subject, classifies=False)
    monkeypatch.setattr(analyze, "load_subject", lambda request: headless)
    studies["curve"] = dataclasses.replace(studies["curve"], classifies=True)
    run_app("--study=all", f"--output={tmp_path}")
    assert "curve is left out: the network does" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert "curve is left out: the network does not classify" in page
    assert not (tmp_path / "curve.json").exists()
    assert (tmp_path / "picture.json").exists()


def test_one_study_leaves_no_report(studies, tmp_path):
    run_app("--study=curve", f"--output={tmp_path}")
    assert (tmp_path / "curve.json").exists()
    assert not (tmp_path / "picture.json").exists()
    assert not (tmp_path / "report.html").exists()


def test_names_of_data_and_classes_are_text_in_the_report(
    studies, subject, tmp_path, monkeypatch
):
    dataset = dataclasses.replace(
        subject.dataset, name="<b>set", class_names=("<i>zero", "one")
    )
    other = dataclasses.replace(subject, dataset=dataset)
    monkeypatch.setattr(analyze, "load_subject", lambda request: other)
    run_app("--study=all", f"--output={tmp_path}")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>set" not in page and "&lt;b&gt;set" in page
    assert "<i>zero" not in page and "2: &lt;i&gt;zero, one" in page


def test_tables_can_be_read_back_exactly(studies, tmp_path):
    run_app("--study=curve", f"--output={tmp_path}")
    first, second = rows_of(tmp_path / "curve.csv")
    assert first == {"image": "0", "value": "0.10000000149011612", "known": ""}
    assert second == {"image": "1", "value": "4.0", "known": "1e-20"}
    mark = json.loads((tmp_path / "curve.json").read_text())
    assert mark["summary"][1] == {"class": "1", "value": None, "n": 2}
    assert mark["settings"] == {"images": 4, "seed": 0}
    assert mark["files"] == ["curve.png", "curve.svg", "curve.csv"]
    assert mark["versions"].keys() >= {"python", "irevnet_tf", "scipy"}


def test_an_interrupted_command_goes_on(studies, tmp_path, capsys):
    whole = studies["picture"]
    interrupt(studies, "picture", KeyboardInterrupt)
    arguments = ("--study=all", f"--output={tmp_path}")
    assert run_app(*arguments) == 130
    assert capsys.readouterr().out.endswith(
        "Interrupted. Finished: curve; the same command continues.\n"
    )
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {
        "analysis.json",
        "curve.csv",
        "curve.json",
        "curve.png",
        "curve.svg",
    }
    before = (tmp_path / "curve.csv").stat().st_mtime_ns
    studies["picture"] = whole
    assert run_app(*arguments) is None
    output = capsys.readouterr().out
    assert "curve is there already; --overwrite repeats it\n" in output
    # What was found before is told again.
    assert "curve: curve found 4.0" in output
    assert "picture: picture found 4.0" in output
    assert (tmp_path / "curve.csv").stat().st_mtime_ns == before
    assert len(rows_of(tmp_path / "picture.csv")) == 2
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "curve found" in page and "picture found" in page


def test_interrupted_while_writing_a_study_is_not_complete(
    studies, tmp_path, monkeypatch, capsys
):
    def stop(rows, path):
        raise KeyboardInterrupt

    run_app("--study=curve", f"--output={tmp_path}")
    with monkeypatch.context() as patch:
        patch.setattr(directory, "write_table", stop)
        arguments = ("--study=curve", f"--output={tmp_path}", "--overwrite")
        assert run_app(*arguments) == 130
    assert "none; the same command without --overwrite continues" in (
        capsys.readouterr().out
    )
    assert not (tmp_path / "curve.json").exists()
    run_app("--study=curve", f"--output={tmp_path}")
    assert (tmp_path / "curve.json").exists()


def test_a_study_without_one_of_its_files_is_repeated(
    studies, tmp_path, capsys
):
    run_app("--study=curve", f"--output={tmp_path}")
    (tmp_path / "curve.csv").unlink()
    run_app("--study=curve", f"--output={tmp_path}")
    assert (tmp_path / "curve.csv").exists()
    assert "already" not in capsys.readouterr().out


def test_an_error_names_its_study_and_leaves_the_others(studies, tmp_path):
    overflow = tf.errors.InvalidArgumentError(None, None, "out of range")
    for error, message in (
        (ValueError("too small. Received: 1"), "too small. Received: 1"),
        (overflow, "out of range"),
    ):
        interrupt(studies, "picture", error)
        with pytest.raises(app.UsageError, match=f"^picture: {message}"):
            run_app("--study=curve,picture", f"--output={tmp_path}")
    assert (tmp_path / "curve.json").exists()
    assert not (tmp_path / "picture.json").exists()


def test_all_goes_on_behind_an_error(studies, tmp_path, capsys):
    interrupt(studies, "curve", ValueError("too few. Received: 1 <image>"))
    run_app("--study=all", f"--output={tmp_path}")
    assert "curve is left out: too few. Received" in capsys.readouterr().out
    assert (tmp_path / "picture.json").exists()
    page = (tmp_path / "report.html").read_text()
    assert "curve is left out: too few. Received: 1 &lt;image&gt;" in page


def test_other_settings_need_overwrite(studies, tmp_path, capsys):
    run_app("--study=curve", f"--output={tmp_path}")
    arguments = ("--study=curve", f"--output={tmp_path}", "--images=2")
    with pytest.raises(
        app.UsageError, match="made with --images=4, not 2; --overwrite"
    ):
        run_app(*arguments)
    assert rows_of(tmp_path / "curve.csv")[1]["value"] == "4.0"
    # What does not matter to the study may differ.
    run_app("--study=curve", f"--output={tmp_path}", "--draws=9")
    run_app(*arguments, "--overwrite")
    assert rows_of(tmp_path / "curve.csv")[1]["value"] == "2.0"


def test_files_of_an_overwritten_study_go(studies, tmp_path):
    run_app("--study=curve", f"--output={tmp_path}")
    studies["curve"] = fake("curve", PNG)
    run_app("--study=curve", f"--output={tmp_path}", "--overwrite")
    assert not (tmp_path / "curve.svg").exists()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "IRevNet56"}, "called IRevNet28 instead of a network called"),
        ({"fraction_bits": None}, "14 fraction bits instead of ordinary mode"),
    ],
)
def test_a_directory_of_something_else_is_refused(
    studies, subject, tmp_path, monkeypatch, change, message
):
    run_app("--study=curve", f"--output={tmp_path}")
    other = dataclasses.replace(subject, **change)
    monkeypatch.setattr(analyze, "load_subject", lambda request: other)
    with pytest.raises(app.UsageError, match=message):
        run_app("--study=curve", f"--output={tmp_path}", "--overwrite")


def test_a_directory_of_another_data_set_is_refused(
    studies, subject, tmp_path, monkeypatch
):
    run_app("--study=curve", f"--output={tmp_path}")
    dataset = dataclasses.replace(subject.dataset, name="letters")
    other = dataclasses.replace(subject, dataset=dataset)
    monkeypatch.setattr(analyze, "load_subject", lambda request: other)
    with pytest.raises(app.UsageError, match="the data set digits instead of"):
        run_app("--study=curve", f"--output={tmp_path}")


def test_a_directory_of_anything_else_is_refused(studies, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(app.UsageError, match="must be empty, or .*thesis.tex"):
        run_app("--study=curve", f"--output={tmp_path}")
    with pytest.raises(app.UsageError, match="can be written to, but: "):
        run_app("--study=curve", f"--output={tmp_path / 'thesis.tex'}")
    (tmp_path / "analysis.json").write_text("[")
    with pytest.raises(app.UsageError, match="analysis.json cannot be read"):
        run_app("--study=curve", f"--output={tmp_path}")


REFUSED = {
    "no study": ((), "--study must be all, or some of inversion, spectrum"),
    "unknown study": (
        ("--study=spectrum,sepctrum",),
        "or some of inversion, .*Received: --study=spectrum,sepctrum",
    ),
    "no output": (("--study=spectrum",), "--output must be a directory"),
    "a window of two numbers": (
        ("--study=spectrum", "--output=x", "--window=3,4"),
        "--window must be a side in pixels, or top.*Received: --window=3,4",
    ),
    "one file": (
        ("--study=interpolation", "--output=x", "--image_pair=a.png"),
        "names of two image files.*Received: --image_pair=a.png",
    ),
    "flags of another source": (
        ("--study=spectrum", "--output=x", "--keras_file=x", "--classes=7"),
        "--classes need --weights",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_flags_are_refused_before_any_work(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = REFUSED[case]
    with pytest.raises(app.UsageError, match=message):
        run_app(*arguments)
    assert not any(tmp_path.iterdir())


UNFIT = {
    "no source": (("--dataset=digits",), "Exactly one of .* none of them"),
    "a point that is not there": (
        (*DIGITS, "--points=stage1,stage9"),
        "--points: .* Received: 'stage9'",
    ),
    "a number of a stage that is not there": (
        (*DIGITS, "--point=4"),
        "--point: .* Received: 'stage4'",
    ),
    "a window beyond the image": (
        (*DIGITS, "--window=0,0,8,9"),
        r"inside of the image of 8x8 pixels. Received: window=\(0, 0, 8, 9\)",
    ),
    "a data set that is not there": (
        (*DIGITS, "--dataset=no_such_set"),
        "Received: name='no_such_set'",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_the_network_is_refused(case):
    arguments, message = UNFIT[case]
    with pytest.raises(app.UsageError, match=f"(?s){message}"):
        load_subject(request(*arguments))


def image_folder(path, shape=(12, 12), classes=("a", "b")):
    """Make a folder of images, two of each class in both of its parts."""
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in classes:
            folder = path / split / name
            folder.mkdir(parents=True)
            for index in range(2):
                shades = generator.integers(0, 256, (*shape, 3), "uint8")
                Image.fromarray(shades).save(folder / f"{index}.png")
    return path


def test_folders_of_images_get_the_networks_size_and_colours(tmp_path):
    folder = image_folder(tmp_path / "images")
    found = load_subject(request(*DIGITS, f"--dataset={folder}"))
    assert found.dataset.image_shape == (8, 8, 1)
    # Two classes in the folder; the names are those of the network.
    assert found.class_names == tuple("0123456789")
    assert draw_images(found.dataset, "test", 9, 0).text == "4 of 4 test images"
    with pytest.raises(
        app.UsageError,
        match="images of 8x8x1, as the network takes them. .*16x16x1",
    ):
        load_subject(request(*DIGITS, f"--dataset={folder}", "--image_size=16"))


@pytest.mark.parametrize(
    "classes, fit",
    [("0123456789", True), ("abcdefghij", False), ("01", False)],
)
def test_labels_are_the_networks_classes_by_name(tmp_path, classes, fit):
    folder = image_folder(tmp_path / "images", classes=classes)
    found = load_subject(request(*DIGITS, f"--dataset={folder}"))
    assert found.labels_fit is fit
    # What the network says is called as before.
    assert found.class_names == tuple("0123456789")


def test_networks_without_a_size_take_the_data_sets(tmp_path):
    path = tmp_path / "any.weights.h5"
    model = irevnet_tf.IRevNet28(input_shape=(None, None, 1), classes=3)
    model.save_weights(path)
    arguments = (
        "--model=IRevNet28",
        f"--weights={path}",
        "--classes=3",
        "--image_channels=1",
    )
    with pytest.raises(app.UsageError, match="--dataset is needed where"):
        load_subject(request(*arguments))
    found = load_subject(request(*arguments, "--dataset=digits"))
    assert found.dataset.image_shape == (8, 8, 1)
    # There is nothing else that tells.
    assert found.dataset.normalization.maximum == 16.0
    # Ten names for three classes.
    assert found.class_names is None
    folder = image_folder(tmp_path / "images")
    with pytest.raises(app.UsageError, match="divisible by 4.*images of 6x6x1"):
        load_subject(
            request(*arguments, f"--dataset={folder}", "--image_size=6")
        )


def test_a_run_brings_its_data(tmp_path):
    run = RunDirectory.create(tmp_path / "run", RunConfig())
    model = irevnet_tf.IRevNet28(
        input_shape=(8, 8, 1), lossless=True, classifier_activation=None
    )
    run.save_weights(model)
    found = load_subject(request(f"--run_dir={run.path}"))
    assert (found.name, found.dataset.name) == ("IRevNet28", "digits")
    assert found.fraction_bits == 14
    assert found.identity["weights_sha256"] == weights_sha256(model)
    with pytest.raises(app.UsageError, match="--image_size needs --dataset"):
        load_subject(request(f"--run_dir={run.path}", "--image_size=8"))


def test_own_images_are_interpolated(tmp_path, capsys):
    shades = np.zeros((20, 30, 3), "uint8")
    shades[5:15, 10:20] = 255
    Image.fromarray(shades).save(tmp_path / "a.png")
    Image.fromarray(255 - shades).save(tmp_path / "b.png")
    pair = f"--image_pair={tmp_path / 'a.png'},{tmp_path / 'b.png'}"
    run_app(
        *DIGITS,
        "--study=interpolation",
        f"--output={tmp_path / 'out'}",
        pair,
        "--steps=3",
        "--spacing=linear",
        "--point=1",
    )
    mark = json.loads((tmp_path / "out" / "interpolation.json").read_text())
    assert mark["sampled"].startswith("Image files, cropped and resized: ")
    rows = rows_of(tmp_path / "out" / "interpolation.csv")
    assert {row["t"] for row in rows} == {"0.0", "0.5", "1.0"}
    assert {row["point"] for row in rows} == {"stage1"}
    with Image.open(tmp_path / "out" / "interpolation.gif") as animation:
        assert animation.n_frames == 4 and animation.height == 128
    Image.fromarray(shades[::-1]).save(tmp_path / "b.png")
    with pytest.raises(app.UsageError, match="with --image_pair=.*--overwrite"):
        run_app(
            *DIGITS,
            "--study=interpolation",
            f"--output={tmp_path / 'out'}",
            pair,
            "--steps=3",
            "--spacing=linear",
            "--point=1",
        )
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(
        app.UsageError, match="--image_pair must be whole JPEG, PNG"
    ):
        run_app(
            *DIGITS, "--study=interpolation", f"--output={tmp_path / 'o'}", pair
        )


@pytest.mark.parametrize(
    "window, method, values", [("2", "exact", 4), ("0,1,3,4", "svds", 5)]
)
def test_the_spectrum_of_a_window(tmp_path, window, method, values):
    run_app(
        *DIGITS,
        "--study=spectrum",
        f"--output={tmp_path}",
        f"--window={window}",
        f"--method={method}",
        "--images=1",
        "--count=5",
        "--points=2,stage3_block1",
    )
    rows = rows_of(tmp_path / "spectrum.csv")
    assert {row["point"] for row in rows} == {"stage2", "stage3_block1"}
    assert len(rows) == 2 * values
    mark = json.loads((tmp_path / "spectrum.json").read_text())
    assert mark["sampled"] == "1 of 360 test images, drawn with seed 0."


def test_large_drawings_become_pictures_in_the_report(
    studies, tmp_path, monkeypatch
):
    monkeypatch.setattr(report, "MOST_BYTES_OF_SVG", 100)
    run_app("--study=all", f"--output={tmp_path}")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 3 and "<svg " not in page


def test_every_study_has_flags_that_there_are():
    names = {field.name for field in dataclasses.fields(Request)}
    for study in STUDIES.values():
        assert names.issuperset(study.settings(request()))
        assert study.question.endswith("?")
