"""The report: a page on all studies of a network, in a single file."""

import base64
import datetime
import importlib.metadata
import importlib.resources
import io
import pathlib
import platform
import re
import shlex
import sys

import jinja2
from markupsafe import Markup
from PIL import Image

from irevnet_tf.apps.analysis.directory import REPORT_FILE
from irevnet_tf.apps.analysis.directory import AnalysisDirectory
from irevnet_tf.apps.analysis.directory import Finished
from irevnet_tf.apps.analysis.studies import PNG
from irevnet_tf.apps.analysis.studies import SVG
from irevnet_tf.apps.analysis.studies import Study
from irevnet_tf.apps.analysis.subject import Subject
from irevnet_tf.apps.image_data import shape_text
from irevnet_tf.atomic import replacing
from irevnet_tf.training import count_parameters
from irevnet_tf.training.callbacks import duration

TEMPLATE = "report.html.jinja"
PACKAGES = (
    "irevnet_tf",
    "tensorflow",
    "keras",
    "numpy",
    "scikit-learn",
    "scipy",
)
# Of one picture, before it becomes text, and of one drawing, so that the page
# has 5 MB at most.
MOST_BYTES = 400_000
MOST_BYTES_OF_SVG = 700_000
# Tried one after the other on pictures that are larger than that.
QUALITIES = (90, 75, 50, 25)
ANIMATIONS = (".gif", ".webp")

_SVG_IDS = re.compile(r'(\bid="|href="#|url\(#)')


def versions() -> dict[str, str]:
    """Return the versions of Python and the packages, by name."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def write_report(
    directory: AnalysisDirectory,
    subject: Subject,
    finished: dict[Study, Finished],
    left_out: dict[str, str],
) -> pathlib.Path:
    """Write the page.

    Args:
        directory: `AnalysisDirectory`. Where the figures are, and where the
            page goes.
        subject: `Subject`. The network and the data.
        finished: dict from `Study` to `Finished`. What was kept of each study,
            in the order of the page.
        left_out: dict from str to str. Why other studies are missing, by name.

    Returns:
        The path of the page.
    """
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = _number
    environment.filters["duration"] = duration
    package = importlib.resources.files("irevnet_tf.apps.analysis")
    text = package.joinpath(TEMPLATE).read_text(encoding="utf-8")
    page = environment.from_string(text).render(
        model_rows=_model_rows(subject),
        data_rows=_data_rows(subject),
        title=f"What {subject.name} has learned of {subject.dataset.name}",
        command=_command(),
        versions=versions(),
        date=datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
        seconds=sum(one.seconds for one in finished.values()),
        left_out=left_out,
        sections=[
            _section(directory.path, study, one)
            for study, one in finished.items()
        ],
    )
    path = directory.path / REPORT_FILE
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _command():
    """Return the words of the command, quoted for a shell."""
    program, *words = sys.argv
    return [shlex.quote(x) for x in (pathlib.Path(program).name, *words)]


def _model_rows(subject):
    bits = subject.fraction_bits
    inputs = subject.model.inputs[0].shape[1:]
    return {
        "network": subject.name,
        "parameters": f"{count_parameters(subject.model):,}",
        "takes images of": shape_text(inputs),
        "mode": "ordinary"
        if bits is None
        else f"lossless, {bits} fraction bits",
        "SHA-256 of the weights": subject.identity["weights_sha256"],
    }


def _data_rows(subject):
    dataset = subject.dataset
    mean, std = (
        ", ".join(format(value, "g") for value in values)
        for values in (dataset.normalization.mean, dataset.normalization.std)
    )
    return {
        "data set": dataset.name,
        "images for training": f"{dataset.train.count:,}",
        "images for testing": f"{dataset.test.count:,}",
        "images of": shape_text(dataset.image_shape),
        "scaled by": f"mean {mean}, standard deviation {std}",
        "classes": _classes(dataset.class_names),
    }


def _classes(names):
    shown = ", ".join(names[:20])
    more = f", and {len(names) - 20} more" if len(names) > 20 else ""
    return f"{len(names)}: {shown}{more}"


def _section(folder, study, one):
    """Return the values of a study for the template."""
    moving = [x for x in one.files if x.endswith(ANIMATIONS)]
    drawing, picture = (folder / f"{study.name}{x}" for x in (SVG, PNG))
    is_drawing = (
        study.picture == SVG and drawing.stat().st_size <= MOST_BYTES_OF_SVG
    )
    return {
        "study": study,
        "finished": one,
        "title": study.name.replace("_", " "),
        "svg": _markup(drawing) if is_drawing else None,
        "image": None if is_drawing else _data_address(picture),
        "animations": {
            name: _data_address(folder / name)
            for name in moving
            # It cannot be made smaller as easily as a figure.
            if (folder / name).stat().st_size <= MOST_BYTES
        },
        "files": [x for x in one.files if x.endswith(".csv")] + moving,
        "columns": list(dict.fromkeys(c for row in one.summary for c in row)),
    }


def _markup(path):
    """Return a drawing as part of a page, with ids unique in it."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    return Markup(_SVG_IDS.sub(rf"\g<1>{path.stem}-", text))


def _data_address(path):
    """Return a picture as a data URL."""
    data, ending = path.read_bytes(), path.suffix
    for quality in QUALITIES:
        if len(data) <= MOST_BYTES or path.suffix in ANIMATIONS:
            break
        file = io.BytesIO()
        with Image.open(path) as picture:
            picture.convert("RGB").save(file, "webp", quality=quality)
        data, ending = file.getvalue(), ".webp"
    text = base64.b64encode(data).decode()
    return f"data:image/{ending.removeprefix('.')};base64,{text}"


def _number(value):
    """Return a cell of a table as people read it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
