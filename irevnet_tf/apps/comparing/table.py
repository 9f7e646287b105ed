"""The table of a comparison: accuracy, cost, and what can be inverted."""

import dataclasses
import math
import pathlib
import statistics

from irevnet_tf.apps.comparing.runs import Run
from irevnet_tf.apps.comparing.steps import Cost
from irevnet_tf.atomic import replacing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A network in the table.

    Attributes:
        network: str. Its name.
        parameters: int. The number of its trainable parameters.
        accuracies: list of floats. Test accuracies after the last epoch, one
            for each seed.
        loss: float. Mean over the seeds of the training loss in the last epoch.
        inverted: str. What it can invert.
        inversion_error: float. The largest relative error of a reconstruction,
            of any seed; NaN if it can invert nothing.
        saving: None or `Cost`. What a step costs with memory saving, None if
            it has none.
        plain: `Cost`. What a step costs without.
    """

    network: str
    parameters: int
    accuracies: list[float]
    loss: float
    inverted: str
    inversion_error: float
    saving: Cost | None
    plain: Cost

    @property
    def mean(self) -> float:
        """Mean test accuracy."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float:
        """Standard deviation of the test accuracy over the seeds."""
        if len(self.accuracies) < 2:
            return math.nan
        return statistics.stdev(self.accuracies)


def row_of(
    network: str,
    runs: list[Run],
    *,
    parameters: int,
    inverted: str,
    saving: Cost | None,
    plain: Cost,
) -> Row:
    """Return the row of a network.

    Args:
        network: str. The network's name.
        runs: list of `Run`. Its finished runs.
        parameters: int. As in `Row`, like those that follow.
        inverted: str. See `Row`.
        saving: None or `Cost`. See `Row`.
        plain: `Cost`. See `Row`.
    """
    last = [run.rows[-1] for run in runs]
    errors = [row.get("inversion_error", math.nan) for row in last]
    return Row(
        network=network,
        parameters=parameters,
        accuracies=[row["test_accuracy"] for row in last],
        loss=statistics.fmean(row["loss"] for row in last),
        inverted=inverted,
        inversion_error=max(errors),
        saving=saving,
        plain=plain,
    )


def markdown(rows: list[Row]) -> str:
    """Return the table in Markdown.

    Times and memory are given beside those of plain training, as ratios of
    the first network's.

    Args:
        rows: list of `Row`. At least one.
    """
    header = [
        "network",
        "parameters",
        "test accuracy, %",
        "training loss",
        "step, plain",
        "step, saving",
        "memory, plain",
        "memory, saving",
        "inverts",
        "error",
    ]
    unit = rows[0].plain.seconds
    lines = [header, ["---"] * len(header)]
    for row in rows:
        spread = "" if math.isnan(row.spread) else f" ± {row.spread:.2%}"
        saving = row.saving
        lines.append(
            [
                f"`{row.network}`",
                f"{row.parameters:,}",
                f"{row.mean:.2%}{spread}".replace("%", ""),
                f"{row.loss:.3f}",
                f"{row.plain.seconds / unit:.2f}",
                f"{saving.seconds / unit:.2f}" if saving else "",
                f"{row.plain.bytes / 1e6:,.0f} MB",
                f"{saving.bytes / 1e6:,.0f} MB" if saving else "",
                row.inverted,
                _error(row.inversion_error),
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _error(value):
    if math.isnan(value):
        return ""
    return f"{value:.1e}" if value else "0"


def write_table(rows: list[Row], path: pathlib.Path, about: str) -> None:
    """Write the table, with a sentence on what it is of.

    Args:
        rows: list of `Row`. At least one.
        path: path. The file, replaced as a whole if it exists.
        about: str. What was done.
    """
    with replacing(path) as temporary:
        text = f"# Comparison\n\n{about}\n\n{markdown(rows)}"
        temporary.write_text(text, encoding="utf-8")
