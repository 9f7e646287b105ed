"""Shared by the benchmarks: child processes, timing, tables."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time


def in_own_process(script, **arguments) -> dict:
    """Run `script` with `--child=JSON` and return what it prints as JSON.

    A process of its own, because peak memory can only be read per process.
    """
    result = subprocess.run(
        [sys.executable, script, "--child", json.dumps(arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if result.returncode:
        sys.exit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def child_arguments() -> dict | None:
    """Return the arguments of `in_own_process` inside the child, else None."""
    if "--child" in sys.argv:
        return json.loads(sys.argv[sys.argv.index("--child") + 1])
    return None


def peak_memory() -> float:
    """Return the peak resident memory of this process in MB (Linux)."""
    # Not ru_maxrss, which starts at the size of the parent process.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024


def process_age() -> float:
    """Return the seconds since this process started (Linux)."""
    # Behind the name, which may hold spaces: fields 3 and up.
    fields = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2]
    started = int(fields.split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def alternate(functions, rounds) -> list[float]:
    """Return the best time in seconds of each function.

    They take turns, so that a busy moment of the machine hits them alike.
    """
    best = [float("inf")] * len(functions)
    for function in functions:
        function()  # Traces.
    for _ in range(rounds):
        for index, function in enumerate(functions):
            start = time.perf_counter()
            function()
            best[index] = min(best[index], time.perf_counter() - start)
    return best


def print_table(header, rows) -> None:
    """Print a Markdown table with aligned columns."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        padded = (c.ljust(w) for c, w in zip(row, widths, strict=True))
        print("| " + " | ".join(padded) + " |", flush=True)
