"""The tables of `portable_matrix.py`, in Markdown."""

import collections
import dataclasses
import importlib.metadata

import numpy as np

# Exports may multiply by 1/255 instead of dividing: where that is another
# float, a value near a tie becomes another one at the entrance, before the
# network.
OFF_GRID = "noise, off the grid"

PACKAGES = ("tensorflow", "keras", "onnxruntime", "ai-edge-litert", "torch")


@dataclasses.dataclass(frozen=True)
class RoundTrip:
    """Images that went forward in one runtime and back in another.

    Attributes:
        there: str. The runtime that encoded.
        batch_there: int. How many at a time.
        back: str. The runtime that decoded.
        batch_back: int. How many at a time.
        bits: int array (N,). Of each image, how many bits came back wrong.
    """

    there: str
    batch_there: int
    back: str
    batch_back: int
    bits: np.ndarray


def cell(arrays):
    """Return `images (bits)` that differ, of arrays of numbers of bits."""
    bits = np.concatenate([*arrays, np.zeros(0, int)])
    images = np.count_nonzero(bits)
    return f"{images} ({bits.sum()})" if images else "0"


def grid(trips, row, column):
    """Return a table with a cell for each pair of attributes.

    Args:
        trips: list of `RoundTrip`.
        row: str. The attribute that names rows.
        column: str. The attribute that names columns.
    """
    cells = collections.defaultdict(list)
    for trip in trips:
        cells[getattr(trip, row), getattr(trip, column)].append(trip.bits)
    rows, columns = (list(dict.fromkeys(x)) for x in zip(*cells, strict=True))
    return [
        ["there, back", *columns],
        *([r, *(cell(cells[r, c]) for c in columns)] for r in rows),
    ]


def by_set(trips, sets):
    """Return the table of round trips within runtimes and between, by images.

    Args:
        trips: list of `RoundTrip`.
        sets: {name: number of images}, in their order.
    """
    rows = [["images", "number", "within a runtime", "between runtimes"]]
    start = 0
    for name, count in sets.items():
        part = slice(start, start + count)
        start += count
        within, between = (
            [t.bits[part] for t in trips if (t.there == t.back) is same]
            for same in (True, False)
        )
        rows.append([name, count, cell(within), cell(between)])
    return rows


def outputs_table(differences, images):
    """Return the table of representations and logits.

    Args:
        differences: {runtime: {output: list of int arrays (N,)}}, bits that
            differ from those of the first runtime, an array for each batch.
        images: int. How many images count, from the first on.
    """
    return [
        ["runtime", "representation", "logits"],
        *(
            [
                name,
                *(
                    cell([bits[:images] for bits in found[output]])
                    for output in ("features", "logits")
                ),
            ]
            for name, found in differences.items()
        ),
    ]


def markdown(rows) -> str:
    """Return a table; the first row is its header."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "".join(
        f"| {' | '.join(map(str.ljust, row, widths))} |\n" for row in cells
    )


def versions() -> str:
    """Return the installed versions of the runtimes."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def report(network, matrix, batches, sets) -> str:
    """Return all tables, with what they show.

    Args:
        network: str. What ran.
        matrix: `portable_trips.Matrix`. The measurements.
        batches: list of ints. Sizes of batches.
        sets: {name: number of images}, in their order.
    """
    images, pairs = sum(sets.values()), len(batches) ** 2
    sizes = ", ".join(map(str, batches))
    # They are the last ones.
    images -= sets.get(OFF_GRID, 0)
    trips = [
        dataclasses.replace(trip, bits=trip.bits[:images])
        for trip in matrix.trips
    ]
    bits = np.concatenate([trip.bits for trip in trips])
    first = next(iter(matrix.differences))
    features, logits = (
        cell(
            [
                x[:images]
                for found in matrix.differences.values()
                for x in found[output]
            ]
        )
        for output in ("features", "logits")
    )
    parts = [
        f"{network}; {versions()}. {images} images, there and back in batches "
        f"of {sizes}: {pairs * images} round trips a cell. A cell is the "
        "number of round trips after which an image did not have all of its "
        "bits, and in brackets the number of bits.\n",
        markdown(grid(trips, "there", "back")),
        f"In all, {np.count_nonzero(bits)} of {bits.size} round trips lost "
        f"{bits.sum()} bits. An inverse rounds what it is given, so that "
        "images can come back although representations differ: of "
        f"{len(matrix.differences) * len(batches) * images} representations, "
        f"{features} are not those of {first} in batches of {batches[0]}; of "
        f"as many logits, {logits}.\n",
        "By images, with those off the grid, which the "
        "other tables leave out, as exports may normalise them to other "
        "bits:\n",
        markdown(by_set(matrix.trips, sets)),
        "By batches, those there in rows, those back in columns, over all "
        "runtimes:\n",
        markdown(grid(trips, "batch_there", "batch_back")),
        "Representations and logits that are not those, by runtime:\n",
        markdown(outputs_table(matrix.differences, images)),
    ]
    if matrix.skipped:
        reasons = "; ".join(f"{k}: {why}" for k, why in matrix.skipped.items())
        parts.append(f"Skipped: {reasons}.\n")
    return "\n".join(parts)
