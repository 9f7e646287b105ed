"""irevnet-portable and irevnet-certify."""

import io
import json
import re
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf.apps import certify
from irevnet_tf.apps import evaluate
from irevnet_tf.apps import launch
from irevnet_tf.apps import portable
from irevnet_tf.apps import portable_files
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.data import load_dataset
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.layers import IntegerResidual
from irevnet_tf.quantization.certificate import Certificate
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunDirectory
from irevnet_tf.training import build_model


def request(module, *arguments):
    """Return what the command line would make of the arguments."""
    values = flags.FlagValues()
    define_flags(module.Request, values)
    values(["program", *map(str, arguments)])
    return from_flags(module.Request, values)


def make(*arguments):
    return portable.make_portable(request(portable, *arguments))


def prove(*arguments):
    return certify.certify_network(request(certify, *arguments))


def small(**kwargs):
    """A network with random weights that takes a second."""
    options = {"input_shape": (8, 8, 1), "classes": 10, **kwargs}
    return irevnet_tf.IRevNet((1, 2), (1, 2), (8, 32), **options)


def row(output, title):
    """Return what is printed behind a title."""
    return re.search(rf"^{title} +(.*)$", output, re.M)[1]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The portable network of the digits: its file, and what was said."""
    folder = tmp_path_factory.mktemp("digits")
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", output)
        make(
            "--weights=digits",
            f"--output={folder / 'new' / 'digits.keras'}",
            f"--certificate={folder / 'digits.json'}",
        )
    return folder, output.getvalue()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder with small networks of several kinds."""
    folder = tmp_path_factory.mktemp("sources")
    keras.utils.set_random_seed(1)
    small().save(folder / "small.keras")
    small(lossless=True, fraction_bits=12).save(folder / "fine.keras")
    base = small(include_top=False)
    base.save(folder / "body.keras")
    keras.Sequential([base, keras.layers.Flatten()]).save(
        folder / "front.keras"
    )
    make(
        f"--keras_file={folder / 'small.keras'}",
        "--dataset=digits",
        "--images=64",
        "--weight_bits=6",
        f"--output={folder / 'portable.keras'}",
    )
    return folder


def test_digits_become_portable(digits):
    folder, output = digits
    path = folder / "new" / "digits.keras"
    model = keras.saving.load_model(path)
    assert model.preprocessing == "digits"
    certificate = irevnet_tf.certify(model)
    # Not random by chance: the same in every call.
    assert output.startswith("Calibrating on 512 of 1,437 training images\n")
    assert "Measuring on 360 test images\n" in output
    assert output.endswith(f"\n\n{certificate}\n")
    found = json.loads((folder / "digits.json").read_text())
    assert Certificate.from_dict(found) == certificate
    assert row(output, "written to") == f"{path}, 1.1 MB"
    call = f"import irevnet_tf; keras.saving.load_model({str(path)!r})"
    assert row(output, "to use it") == call
    assert row(output, "inversion error") == "0.0"
    assert row(output, "accuracy before").startswith("99.44% (358 of 360 ")
    data = load_dataset("digits")
    after = Evaluator(model).on(data, data.test, 64)
    assert row(output, "accuracy after") == (
        f"{after.accuracy:.2%} ({after.correct} of 360 test images)"
    )
    assert after.accuracy > 0.98 and after.inversion_error_max == 0


def test_what_was_made_is_proven_again(digits, tmp_path, capsys):
    folder, _ = digits
    file = f"--keras_file={folder / 'new' / 'digits.keras'}"
    found = prove(file, f"--certificate={tmp_path / 'again.json'}")
    assert capsys.readouterr().out == f"{found}\n"
    again = (tmp_path / "again.json").read_text()
    assert again == (folder / "digits.json").read_text()


def test_weights_file_is_loaded_as_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make(
        "--weights=digits",
        "--images=64",
        "--sum_bits=21",
        "--output=own.weights.h5",
    )
    call = row(capsys.readouterr().out, "to use it")
    model = eval(call, {"irevnet_tf": irevnet_tf})
    for a, b in zip(model.weights, made.model.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    network = (
        "--model=IRevNet28",
        "--weights=own.weights.h5",
        "--portable",
        "--classes=10",
        "--image_channels=1",
    )
    assert prove(*network) == made.certificate
    assert max(x.bits for x in made.certificate.sums) < 21
    with pytest.raises(app.UsageError, match="must be an ordinary|portable"):
        prove(*(x for x in network if x != "--portable"))
    found = evaluate.evaluate_network(
        request(evaluate, *network, "--dataset=digits", "--preprocessing=unit")
    )
    assert found == made.after


def test_run_of_training_becomes_portable(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(portable_files.VARIANTS, "IRevNet28", {})
    monkeypatch.setattr(
        "irevnet_tf.training.setup.CONSTRUCTORS", {"IRevNet28": small}
    )
    config = RunConfig(lossless=False)
    directory = RunDirectory.create(tmp_path / "run", config)
    model = build_model(config, load_dataset("digits"))
    model.save_weights(tmp_path / "run" / "model.weights.h5")
    directory.write_metrics([{"epoch": 1}])
    made = make(
        f"--run_dir={tmp_path / 'run'}",
        "--images=32",
        f"--output={tmp_path / 'run.weights.h5'}",
    )
    assert made.model.preprocessing == "digits"
    assert row(capsys.readouterr().out, "to use it").startswith(
        "irevnet_tf.IRevNet28(weights='"
    )


def test_network_without_classifier_is_inverted(sources, tmp_path, capsys):
    made = make(
        f"--keras_file={sources / 'body.keras'}",
        "--dataset=digits",
        "--images=32",
        "--preprocessing=unit",
        f"--output={tmp_path / 'body.keras'}",
    )
    output = capsys.readouterr().out
    assert made.before is made.after is None
    assert row(output, "accuracy after") == "not measured"
    assert row(output, "inversion error") == "0.0"
    assert "logits           none of integers" in output


@pytest.mark.parametrize("data", [(), ("--dataset=digits",)])
def test_fine_tuned_network_needs_no_images(data, sources, tmp_path, capsys):
    model = keras.saving.load_model(sources / "portable.keras")
    irevnet_tf.fine_tunable(model).save(tmp_path / "tuned.keras")
    network = f"--keras_file={tmp_path / 'tuned.keras'}"
    made = make(network, f"--output={tmp_path / 'settled.keras'}", *data)
    assert made.certificate == irevnet_tf.certify(model)
    output = capsys.readouterr().out
    assert "Calibrating" not in output
    assert (row(output, "accuracy after") == "not measured") == (not data)
    if data:
        # Nothing was trained.
        assert made.before.correct == made.after.correct
        return
    with pytest.raises(app.UsageError, match=r"keep .* --weight_bits$"):
        make(network, "--weight_bits=6", f"--output={tmp_path / 'a.keras'}")
    with pytest.raises(app.UsageError, match=r"\.keras file .*weight_bits=6$"):
        make(network, f"--output={tmp_path / 'a.weights.h5'}")


# What is wrong: flags, and a part of the message.
REFUSED = {
    "no output": ("--weights=digits", "Received: --output=None"),
    "another kind": ("--weights=digits --output={}/a.png", "ends in .keras or"),
    "no name": ("--weights=digits --output={}/.keras", "ends in .keras or"),
    "a folder": ("--weights=digits --output={}/a.keras", "can be written to"),
    "one file": (
        "--weights=digits --output={}/b.keras --certificate={}/b.keras",
        "another file than --output",
    ),
    "no network": ("--output={}/b.keras", "Received: none of them"),
    "weights of other bits": (
        "--weights=digits --weight_bits=6 --output={}/b.weights.h5",
        "must be a .keras file .* with weight_bits=6$",
    ),
    "weights in groups": (
        "--weights=digits --overflow=split --output={}/b.weights.h5",
        "must be a .keras file .* with overflow=split$",
    ),
    "weights of another grid": (
        "--keras_file={}/fine.keras --output={}/b.weights.h5",
        "must be a .keras file .* with fraction_bits=12$",
    ),
    "many bits": ("--weight_bits=17 --output={}/b.keras", "at most 16"),
    "many activations": ("--activation_bits=13", "at most 12"),
    "large sums": ("--sum_bits=24", "at most 23. Received: sum_bits=24"),
    "fine grid": ("--fraction_bits=24", "Received: fraction_bits=24"),
    "too small sums": (
        "--weights=digits --sum_bits=10 --output={}/b.keras",
        "room for more than single",
    ),
    "few images": ("--images=31", "at least 32. Received: images=31"),
    "portable already": (
        "--keras_file={}/portable.keras --output={}/b.keras",
        "must not be portable already",
    ),
    "something around": (
        "--keras_file={}/front.keras --output={}/b.keras",
        "must be an i-RevNet itself",
    ),
    "no data": (
        "--keras_file={}/small.keras --output={}/b.keras",
        "--dataset is needed",
    ),
    "other classes": (
        "--weights=digits --class_names=a,b --output={}/b.keras",
        "10 classes. Received: 2 names",
    ),
    "too fine": (
        "--weights=digits --fraction_bits=20 --images=32 --output={}/b.keras",
        "must stay below 16.*fraction_bits=20",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_a_sentence(case, sources, tmp_path):
    text, message = REFUSED[case]
    for name in ("fine", "front", "portable", "small"):
        shutil.copy(sources / f"{name}.keras", tmp_path)
    (tmp_path / "a.keras").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(app.UsageError, match=message) as caught:
        make(*text.replace("{}", str(tmp_path)).split())
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_inverse_that_is_not_exact_is_not_written(
    sources, tmp_path, monkeypatch
):
    monkeypatch.setattr(portable, "_inversion_error", lambda *_: 1e-7)
    with pytest.raises(app.UsageError, match="nothing was written.*1.0e-07"):
        make(
            f"--keras_file={sources / 'body.keras'}",
            "--dataset=digits",
            "--images=32",
            f"--output={tmp_path / 'body.keras'}",
        )
    assert not list(tmp_path.iterdir())


def test_file_that_does_not_hold_the_network(sources, tmp_path, monkeypatch):
    model = keras.saving.load_model(sources / "portable.keras")
    path = tmp_path / "a.weights.h5"
    path.write_text("earlier")
    monkeypatch.setattr(portable_files, "load_weights_file", lambda *_: None)
    with pytest.raises(OSError, match="does not hold what was written"):
        portable_files.write_portable(model, path)
    assert path.read_text() == "earlier" and len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    portable_files.write_portable(model, path)
    assert path.stat().st_size > 1000


def test_ordinary_networks_are_not_certified(sources, capsys):
    for network in ("--weights=digits", f"--keras_file={sources}/small.keras"):
        with pytest.raises(app.UsageError, match="must be a portable network"):
            prove(network)
    status = launch._with_short_errors(
        lambda _: prove("--weights=digits"), ["/bin/irevnet-certify"]
    )
    # Python prints a string and exits with status 1.
    assert status.startswith("irevnet-certify: `model` must be a portable")
    assert capsys.readouterr().out == ""


def edited(source, path, edit):
    """Write a copy of a .keras file, with `edit` applied to its weights."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "model.weights.h5":
                weights = io.BytesIO(content)
                with h5py.File(weights, "r+") as file:
                    edit(file)
                content = weights.getvalue()
            new.writestr(name, content)


def place(file, name):
    """Return the path of the last residual's variable in a file."""
    found = []
    file.visititems(lambda path, _: found.append(path))
    return [x for x in found if x.endswith(f"/vars/{name}")][-1]


def other_integer(file):
    path = place(file, "kernel2")
    kernel = file[path][()]
    # The least change of a weight that is none of the largest.
    kernel.flat[np.abs(kernel.astype(int)).argmin()] += 1
    file[path][()] = kernel


def large_shift(file):
    path = place(file, "shift2")
    file[path][()] = file[path][()] + 2.0**24


def no_reach(file):
    file[place(file, "reach")][()] = 0.0


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (other_integer, "that of its weights.*Received: other.* weights$"),
        (large_shift, r"must stay below 2\*\*23.*in stage2/block2/conv2"),
        (no_reach, "must be at least what F can be.*reach=0"),
    ],
)
def test_edited_networks_are_not_certified(edit, message, sources, tmp_path):
    edited(sources / "portable.keras", tmp_path / "edited.keras", edit)
    with pytest.raises(app.UsageError, match=message) as caught:
        prove(f"--keras_file={tmp_path / 'edited.keras'}")
    assert "\n" not in str(caught.value)


def test_network_in_fine_tuning_is_not_certified(sources, tmp_path):
    model = keras.saving.load_model(sources / "portable.keras")
    irevnet_tf.fine_tunable(model).save(tmp_path / "tuned.keras")
    with pytest.raises(app.UsageError, match="must not be in fine-tuning"):
        prove(f"--keras_file={tmp_path / 'tuned.keras'}")


@pytest.mark.parametrize("kind", ["a bit", "a class"])
def test_damaged_files_are_told_of(kind, sources, tmp_path):
    path = tmp_path / "damaged.keras"
    if kind == "a bit":
        content = bytearray((sources / "portable.keras").read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(sources / "portable.keras") as old:
            with zipfile.ZipFile(path, "w") as new:
                for name in old.namelist():
                    name_there = IntegerResidual.__name__.encode()
                    content = old.read(name)
                    if name.endswith(".json"):
                        content = content.replace(name_there, b"Unknown")
                    new.writestr(name, content)
    with pytest.raises(app.UsageError, match="--keras_file must be whole"):
        prove(f"--keras_file={path}")
