"""The results of checks of a network, point by point, and their table."""

import dataclasses

from irevnet_tf.testing.report import Report


@dataclasses.dataclass(frozen=True)
class Point:
    """An invertible layer of a network, or a block of a sequence.

    Errors are relative, `|x - x'| / |x|`, where x is what the layer takes.
    They are None where there is no number, infinite where numbers are not
    finite.

    Attributes:
        name: str. The layer's name; a block's is `"stage1_block2"`.
        kind: str. The class.
        chain: int. In which chain of the model it stands, from 0.
        error: None or float. Of the layer's inverse of its own output.
        accumulated: None or float. Of the inverse from the chain's end back to
            what the layer takes.
        training_error: None or float. As `error`, in training mode. None if
            the layer's output is another one with each call.
        training_accumulated: None or float. As `accumulated`, in training
            mode.
        largest: None or float. The largest magnitude of the outputs.
        training_largest: None or float. The same in training mode.
        breaks: bool. Whether something breaks here: an error is above the
            limit, values are not finite or out of the exact range, or the
            layer raises an exception. An accumulated error counts elsewhere.
        detail: str. What breaks.
    """

    name: str
    kind: str
    chain: int
    error: float | None = None
    accumulated: float | None = None
    training_error: float | None = None
    training_accumulated: float | None = None
    largest: float | None = None
    training_largest: float | None = None
    breaks: bool = False
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class NetworkReport(Report):
    """The results for a network. True if all checks that apply hold.

    `report["inverse"]` is the check of that name, `report.point("stage1")` a
    point in the network, `str(report)` a table of both.

    Attributes:
        points: tuple of `Point`. In the order of the forward pass.
        exact_limit: None or float. The magnitude below which a lossless
            network's values must stay.
    """

    points: tuple[Point, ...]
    exact_limit: float | None

    @property
    def broken_at(self) -> str | None:
        """The name of the first point that breaks by itself, or None."""
        return next((x.name for x in self.points if x.breaks), None)

    def point(self, name: str) -> Point:
        """Return the point of a name.

        Raises:
            KeyError: if there is none.
        """
        for point in self.points:
            if point.name == name:
                return point
        raise KeyError(
            f"The point must be one of {[x.name for x in self.points]}. "
            f"Received: {name!r}"
        )

    def __str__(self):
        header = ["point", "of", "step", "from the end", "largest"]
        if self.exact_limit is not None:
            header.append("of limit")
        header += ["in training", "from the end", ""]
        rows, chains = [header], len({x.chain for x in self.points})
        for point in self.points:
            row = [point.name, point.kind, _error(point.error)]
            row += [_error(point.accumulated), _size(point.largest)]
            if self.exact_limit is not None:
                row.append(_part(point.largest, self.exact_limit))
            row += [_error(point.training_error)]
            row += [_error(point.training_accumulated)]
            detail = f"BREAKS: {point.detail}" if point.breaks else ""
            if chains > 1:
                detail = f"chain {point.chain + 1}  {detail}"
            rows.append([*row, detail])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width)
                for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            for row in rows
        ]
        return "\n".join([super().__str__(), "", *lines])


def _error(value):
    return "-" if value is None else f"{value:.1e}" if value else "0"


def _size(value):
    return "-" if value is None else f"{value:.3g}"


def _part(value, limit):
    return "-" if value is None else f"{value / limit:.1%}"
