"""Ours beside what a user would pick instead: writes docs/benchmarks.md.

    make bench
    make bench BENCH_FLAGS=--quick

Every time is that of a turn; contestants take turns, each in a process of its
own, and must have computed the same in their first two turns. With `--quick`,
everything is small, the numbers say little, and nothing is written but to
`--output`. With `--only=MemCNN's --only=blocks`, it is these tables.
"""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

import contest
import growth
import matrix_product
from absl import app
from absl import flags
from contests import contests

from irevnet_tf import atomic

_QUICK = flags.DEFINE_bool("quick", False, "Small networks, few rounds.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Directory for benchmarks.md; docs/ unless --quick."
)
_GROWTH = flags.DEFINE_bool(
    "growth", True, "How time and memory grow, too: half of the time."
)
_ONLY = flags.DEFINE_multi_string(
    "only",
    [],
    "Words of the titles of some tables. No others are measured, and nothing "
    "is written but to --output.",
)
_MINREV = flags.DEFINE_string(
    "minrev",
    None,
    "Directory of a checkout of https://github.com/karttikeya/minREV, which is "
    "otherwise left out.",
)

MATRIX_PRODUCT = "matrix product"
DOCS = pathlib.Path(__file__).parents[1] / "docs"
PACKAGES = ("tensorflow", "keras", "torch", "pytorchcv", "memcnn")


def run(one, rounds) -> list[str]:
    """Return the lines of a contest's section."""
    print(one.title, flush=True)
    times = contest.compete(one.contestants, rounds, tolerance=one.tolerance)
    reference = next(iter(times.values()))
    lines = [
        "",
        f"## {one.title}",
        "",
        "| contestant | seconds: median (least to most) | ratio | seconds of "
        "all cores: ratio | G operations/s | until the first turn is done, s "
        "| the same, with imports, s | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, of in times.items():
        ratio = of.median / reference.median
        speed = one.operations / of.median / 1e9
        lines.append(
            f"| {name} | {of} | {ratio:.2f} | "
            f"{of.median_cpu / reference.median_cpu:.2f} | {speed:.0f} | "
            f"{of.first:.1f} | {of.since_start:.1f} | {of.peak:,.0f} |"
        )
        print(lines[-1], flush=True)
    return lines


def limits(rounds) -> list[str]:
    """Return what the machine multiplies matrices at."""
    lines = ["", "| matrix product, 2048 | G operations/s |", "|---|---|"]
    for library in ("tensorflow", "torch"):
        for dtype in ("float32", "bfloat16"):
            arguments = {"library": library, "dtype": dtype}
            found = contest.compete(
                {"": ("matrix_product", arguments)}, 4 * rounds
            )
            speed = matrix_product.OPERATIONS / found[""].median / 1e9
            lines.append(f"| {library}, {dtype} | {speed:.0f} |")
            print(lines[-1], flush=True)
    return lines


def is_wanted(title) -> bool:
    """Return whether to measure the table of a title."""
    return not _ONLY.value or any(word in title for word in _ONLY.value)


def _refuse_unknown_words():
    titles = [
        MATRIX_PRODUCT,
        *(one.title for one in contests(_QUICK.value, "", None)),
        *growth.LABELS.values(),
    ]
    for word in _ONLY.value:
        if not any(word in title for title in titles):
            raise app.UsageError(
                f"--only must be a word of one of {titles}. Received: {word!r}"
            )


def heading() -> list[str]:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in PACKAGES
    )
    return [
        "# Benchmarks",
        "",
        "Written by `make bench`. Contestants get the same weights and images, "
        "two threads, the same optimizer, and have to agree on the results "
        "before a time counts. They take turns, each in a process of its own. "
        "Ratios are to the first line of a table.",
        "",
        f"- {datetime.date.today()}, {processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}",
        f"- {versions}",
        "- Operations are multiplications and additions of convolutions and "
        "matrix products; what is computed a second time to save memory does "
        "not count.",
    ]


def processor() -> str:
    """Return what the processor calls itself (Linux)."""
    path = pathlib.Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor()


def main(_):
    _refuse_unknown_words()
    quick, rounds = _QUICK.value, 3 if _QUICK.value else 5
    output = pathlib.Path(_OUTPUT.value or DOCS)
    sections = heading()
    if is_wanted(MATRIX_PRODUCT):
        sections += limits(rounds)
    with tempfile.TemporaryDirectory() as directory:
        weights = os.path.join(directory, "irevnet301.pth")
        wanted = [
            one
            for one in contests(quick, weights, _MINREV.value)
            if is_wanted(one.title)
        ]
        if any("IRevNet301" in one.title for one in wanted):
            here = pathlib.Path(__file__).parent
            command = [sys.executable, here / "irevnet301_pytorch.py", weights]
            subprocess.run(command, check=True)
        for one in wanted:
            sections += run(one, rounds)
    results = {}
    if _GROWTH.value:
        results = growth.measure_all(quick, _MINREV.value, is_wanted)
    if results:
        sections += ["", "## How it grows", "", *growth.TEXT]
    for axis, found in results.items():
        sections += growth.table(axis, found)
        if axis == "blocks":
            sections += growth.per_added(found)
    if (quick or _ONLY.value) and _OUTPUT.value is None:
        print("\n".join(sections))
        return
    if results:
        growth.draw(results, output / "figures" / "growth.png")
    with atomic.replacing(output / "benchmarks.md") as path:
        path.write_text("\n".join(sections) + "\n")


if __name__ == "__main__":
    app.run(main)
