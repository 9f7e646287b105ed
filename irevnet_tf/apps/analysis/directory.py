"""AnalysisDirectory: the files of the finished studies of a network."""

import dataclasses
import json
import math
import pathlib
import typing

from absl import app

from irevnet_tf.analysis.result import Result
from irevnet_tf.apps.analysis.files import plain
from irevnet_tf.apps.analysis.files import write_animation
from irevnet_tf.apps.analysis.files import write_svg
from irevnet_tf.apps.analysis.files import write_table
from irevnet_tf.apps.analysis.studies import PNG
from irevnet_tf.apps.analysis.studies import SVG
from irevnet_tf.apps.analysis.studies import Study
from irevnet_tf.atomic import TEMPORARY_PREFIX
from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.pictures import write_picture

IDENTITY_FILE = "analysis.json"
REPORT_FILE = "report.html"

_MEANINGS = {
    "model": "a network called {}",
    "weights_sha256": "weights with the SHA-256 {}",
    "dataset": "the data set {}",
    "image_shape": "images of the shape {}",
    "mean": "images less the mean {}",
    "std": "images divided by {}",
}


@dataclasses.dataclass(frozen=True)
class Finished:
    """What is kept of a study besides its figures and tables.

    Attributes:
        conclusion: str. What the numbers say.
        summary: list of dicts. Rows of strings, numbers, or None for what is
            not known.
        sampled: str. Where the images come from.
        seconds: float. How long the study took.
        settings: dict. The flags that it depends on, by name.
        versions: dict from str to str. The versions of Python and the packages.
        files: list of str. The names of its other files.
    """

    conclusion: str
    summary: list[dict[str, object]]
    sampled: str
    seconds: float
    settings: dict[str, object]
    versions: dict[str, str]
    files: list[str]


class AnalysisDirectory:
    """A directory with studies of one network on one data set.

    | file            | content                                        |
    |-----------------|------------------------------------------------|
    | `analysis.json` | which network, and which data set              |
    | `STUDY.png`     | the figure of a study, some also as `.svg`     |
    | `TABLE.csv`     | a table of a study, one observation a row      |
    | `STUDY.json`    | `Finished`, written last: the study is complete |
    | `report.html`   | all of it in one page                          |

    Every file is replaced as a whole, and every study is complete or absent.

    Args:
        path: str. The directory, made if needed.

    Raises:
        app.UsageError: if it cannot be written to, or if it holds something
            else.
    """

    def __init__(self, path: str):
        self.path = pathlib.Path(path)
        self._received = f"Received: --output={path}"
        try:
            require_replaceable(self.path / IDENTITY_FILE)
        except OSError as error:
            raise app.UsageError(
                "--output must be a directory that can be written to, but: "
                f"{error}. {self._received}"
            ) from error
        others = [
            entry.name
            for entry in sorted(self.path.iterdir())
            if not entry.name.startswith(TEMPORARY_PREFIX)
        ]
        if others and IDENTITY_FILE not in others:
            raise app.UsageError(
                "--output must be empty, or the directory of an analysis with "
                f"its {IDENTITY_FILE}. {self._received}, with "
                f"{', '.join(others[:3])}"
            )

    def claim(self, identity: dict[str, object]) -> None:
        """Tie the directory to a network and its data.

        Args:
            identity: dict. What results depend on, in JSON's types.

        Raises:
            app.UsageError: if it belongs to others, or cannot be read.
        """
        path = self.path / IDENTITY_FILE
        if not path.exists():
            _write_json(identity, path)
            return
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise app.UsageError(
                f"--output must be the directory of an analysis, but its "
                f"{IDENTITY_FILE} cannot be read: {error}. {self._received}"
            ) from error
        differences = [
            f"{_meaning(name, found.get(name))} instead of "
            f"{_meaning(name, value)}"
            for name, value in identity.items()
            if found.get(name) != value
        ]
        if differences:
            raise app.UsageError(
                "--output must be a new directory, or one of the same network "
                f"and data. {self._received}, which is of "
                f"{', '.join(differences)}"
            )

    def finished(self, study: Study) -> Finished | None:
        """Return what was kept of a study, None if it is not complete."""
        try:
            text = self._mark(study).read_text(encoding="utf-8")
            found = Finished(**json.loads(text))
        except (OSError, TypeError, ValueError):
            return None
        there = {entry.name for entry in self.path.iterdir()}
        return found if there.issuperset(found.files) else None

    def write(
        self,
        study: Study,
        result: Result,
        *,
        animation: str | None = None,
        **kept: typing.Any,
    ) -> Finished:
        """Write the files of a study, in place of older ones.

        Args:
            study: `Study`. The study.
            result: `Result`. What it found.
            animation: None or str. "gif" or "webp", None to choose by the
                colours.
            **kept: keyword arguments. The attributes of `Finished` that the
                result does not have.

        Returns:
            What was kept.
        """
        figure = study.draw(result)
        writers = {f"{study.name}{PNG}": (write_picture, figure)}
        if study.picture == SVG:
            writers[f"{study.name}{SVG}"] = (write_svg, figure)
        for name, rows in result.tables().items():
            writers[f"{name}.csv"] = (write_table, rows)
        if study.frames is not None:
            frames = study.frames(result)
            ending = animation or ("gif" if frames[0].ndim == 2 else "webp")
            writers[f"{study.name}.{ending}"] = (write_animation, frames)
        found = Finished(
            conclusion=result.conclusion(),
            summary=[_json_row(row) for row in result.summary()],
            files=list(writers),
            **kept,
        )
        earlier = self.finished(study)
        # From here on some files may be of another result than the others.
        self._mark(study).unlink(missing_ok=True)
        for name, (write, content) in writers.items():
            write(content, self.path / name)
        for name in set(earlier.files if earlier else ()) - set(writers):
            (self.path / name).unlink(missing_ok=True)
        _write_json(dataclasses.asdict(found), self._mark(study))
        return found

    def _mark(self, study):
        return self.path / f"{study.name}.json"


def _meaning(name, value):
    """Return an entry of the identity in words."""
    if name != "fraction_bits":
        return _MEANINGS[name].format(value)
    return "ordinary mode" if value is None else f"{value} fraction bits"


def _json_row(row):
    """Return a row for JSON, which has no NaN and no infinity."""
    return {str(name): _json_value(plain(value)) for name, value in row.items()}


def _json_value(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _write_json(values, path):
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
