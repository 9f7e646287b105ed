"""Study what a network has learned, and draw it.

    irevnet-analyze --study=all --run_dir=runs/digits --output=studies/digits
    irevnet-analyze --study=spectrum,inversion --model=IRevNet28 \\
        --weights=fashion_mnist --output=studies/clothes

Every study leaves a figure, tables, and its conclusion. The same command
continues an interrupted analysis. With --study=all there is also a page on all
studies, report.html.
"""

import tensorflow as tf
from absl import app

from irevnet_tf.apps.analysis.arguments import read_of_pair
from irevnet_tf.apps.analysis.directory import AnalysisDirectory
from irevnet_tf.apps.analysis.directory import Finished
from irevnet_tf.apps.analysis.flags import ALL
from irevnet_tf.apps.analysis.flags import Request
from irevnet_tf.apps.analysis.flags import parse_pairs
from irevnet_tf.apps.analysis.flags import parse_window
from irevnet_tf.apps.analysis.progress import StudyProgress
from irevnet_tf.apps.analysis.report import versions
from irevnet_tf.apps.analysis.report import write_report
from irevnet_tf.apps.analysis.studies import STUDIES
from irevnet_tf.apps.analysis.studies import Study
from irevnet_tf.apps.analysis.subject import load_subject
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import say
from irevnet_tf.apps.network_source import check_network


class StudyError(Exception):
    """A study cannot be carried out on this network and these images."""


# What shells have for a program that was interrupted.
INTERRUPTED = 130


def analyze(request: Request) -> int | None:
    """Carry out studies, and print what they conclude.

    Args:
        request: `Request`. The studies, the network and the data.

    Returns:
        The exit status if it was interrupted, None otherwise.

    Raises:
        app.UsageError: if anything is not as it should be, also in one of the
            studies; those before it are complete.
    """
    studies = _studies(request)
    finished = {}
    try:
        _analyze(request, studies, finished)
    except KeyboardInterrupt:
        names = ", ".join(study.name for study in finished) or "none"
        command = "the same command"
        if request.overwrite:
            command += " without --overwrite"
        say(f"\nInterrupted. Finished: {names}; {command} continues.")
        return INTERRUPTED
    return None


def _analyze(request, studies, finished):
    check_network(request)
    parse_window(request.window)
    pairs = parse_pairs(request.image_pair)
    if request.output is None:
        raise app.UsageError(
            "--output must be a directory. Received: --output=None"
        )
    directory = AnalysisDirectory(request.output)
    subject = load_subject(request)
    for path in (path for pair in pairs for path in pair):
        read_of_pair(path, subject.dataset)
    directory.claim(subject.identity)
    if not request.overwrite:
        _check_settings(directory, studies, request)
    left_out = {}
    for study in studies:
        if study.classifies and not subject.classifies and request.study == ALL:
            left_out[study.name] = "the network does not classify"
            say(f"{study.name} is left out: {left_out[study.name]}")
            continue
        found = None if request.overwrite else directory.finished(study)
        if found is None:
            try:
                found = _carry_out(study, subject, request, directory)
            except StudyError as error:
                if request.study != ALL:
                    raise app.UsageError(f"{study.name}: {error}") from error
                left_out[study.name] = str(error)
                say(f"{study.name} is left out: {error}")
                continue
        else:
            say(f"{study.name} is there already; --overwrite repeats it")
        finished[study] = found
        say(f"{study.name}: {found.conclusion}")
    if request.study == ALL:
        try:
            path = write_report(directory, subject, finished, left_out)
        except OSError as error:
            raise app.UsageError(
                f"The report could not be written: {error}. "
                f"Received: --output={request.output}"
            ) from error
        say(f"Wrote {path}")


def _studies(request: Request) -> list[Study]:
    """Return the studies that are asked for, in the order of the table."""
    if request.study == ALL:
        return list(STUDIES.values())
    names = [name.strip() for name in (request.study or "").split(",")]
    unknown = [name for name in names if name not in STUDIES]
    if unknown:
        raise app.UsageError(
            f"--study must be {ALL}, or some of {', '.join(STUDIES)}. "
            f"Received: --study={request.study}"
        )
    return [study for name, study in STUDIES.items() if name in names]


def _check_settings(directory, studies, request):
    """Refuse to reuse a study that was made with other settings."""
    for study in studies:
        found = directory.finished(study)
        if found is None:
            continue
        differences = [
            f"--{name}={found.settings.get(name)}, not {value}"
            for name, value in study.settings(request).items()
            if found.settings.get(name) != value
        ]
        if differences:
            raise app.UsageError(
                f"{study.name} must have the settings of the one in "
                f"{directory.path}, which was made with "
                f"{', '.join(differences)}; --overwrite repeats it. "
                f"Received: --output={directory.path}"
            )


def _carry_out(study, subject, request, directory) -> Finished:
    """Run a study and write its files."""
    say(f"{study.name}: {study.question}")
    progress = StudyProgress(study.name)
    try:
        result, sampled = study.carry_out(subject, request, progress)
        return directory.write(
            study,
            result,
            animation=request.animation,
            sampled=sampled,
            seconds=progress.seconds,
            settings=study.settings(request),
            versions=versions(),
        )
    # The second: a lossless network whose numbers leave their range.
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        raise StudyError(str(error)) from error
    except OSError as error:
        raise app.UsageError(
            f"{study.name} could not be written: {error}. "
            f"Received: --output={request.output}"
        ) from error
    finally:
        progress.clear()


def main(argv: list[str]) -> int | None:
    refuse_arguments(argv)
    return analyze(from_flags(Request))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
