"""The results of all checks of a layer, and their table."""

import dataclasses

_WORDS = {True: "holds", False: "FAILS", None: "-"}


@dataclasses.dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: str. One of `irevnet_tf.testing.CHECKS`.
        holds: None or bool. None where the promise does not apply.
        value: None or float. The largest error, None if there is no number.
        limit: None or float. The largest error that holds.
        detail: str. Where the largest error is, why the promise does not
            apply, or what went wrong.
    """

    name: str
    holds: bool | None
    value: float | None
    limit: float | None
    detail: str


@dataclasses.dataclass(frozen=True)
class Report:
    """The results for a layer. True if all checks that apply hold.

    `report["gradients"]` is the check of that name, `str(report)` a table.

    Attributes:
        subject: str. The layer's name and class.
        checks: tuple of `Check`. In the order in which they ran.
    """

    subject: str
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether every promise that applies holds."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the promises that do not hold."""
        return tuple(x.name for x in self.checks if x.holds is False)

    def __bool__(self):
        return self.holds

    def __getitem__(self, name):
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(
            f"The check must be one of {[x.name for x in self.checks]}. "
            f"Received: {name!r}"
        )

    def __str__(self):
        rows = [
            (
                check.name,
                _WORDS[check.holds],
                _number(check.value),
                _number(check.limit),
                " ".join(check.detail.split()),
            )
            for check in self.checks
        ]
        # The same exception can be the detail of all checks.
        for index in range(len(rows) - 1, 0, -1):
            if rows[index][-1] and rows[index][-1] == rows[index - 1][-1]:
                rows[index] = (*rows[index][:-1], "(the same)")
        rows.insert(0, ("check", "", "error", "limit", ""))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width)
                for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            for row in rows
        ]
        count = len(self.failed)
        verdict = "all that applies holds" if self else f"{count} fail"
        return "\n".join([f"{self.subject}: {verdict}", *lines])


def _number(value):
    return "" if value is None else f"{value:.1e}" if value else "0"
