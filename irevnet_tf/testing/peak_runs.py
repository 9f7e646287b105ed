"""Peaks of memory of traced training steps, in a process of their own."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap

import tensorflow as tf

_SCRIPT = pathlib.Path(__file__).with_name("peak_process.py")

# Steps of which the peak is taken.
_STEPS = 2

# So that every tensor is returned to the system when it is freed. Otherwise
# peaks depend on how memory was cut into pieces before.
_SETTINGS = {
    "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**16),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def measure_peaks(functions, specs) -> tuple[list[int], str | None]:
    """Run training steps in a process, and print a line for each function.

    Args:
        functions: dict {way: concrete function}. Each trains one step; the
            way, as text, says how.
        specs: list of `tf.TensorSpec`. The inputs that they take.

    Returns:
        The peaks in bytes, and why some are missing, or None.
    """
    inputs = json.dumps([[x.shape.as_list(), x.dtype.name] for x in specs])
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        errors = pathlib.Path(folder) / "errors.txt"
        directories = [f"{folder}/{index}" for index in range(len(functions))]
        try:
            for function, path in zip(
                functions.values(), directories, strict=True
            ):
                _save(function, path)
        except Exception as error:
            return [], f"not measured, for it cannot be saved: {_short(error)}"
        with (
            errors.open("w") as stderr,
            subprocess.Popen(
                [sys.executable, _SCRIPT, str(_STEPS), inputs, *directories],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={
                    **os.environ,
                    **_SETTINGS,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
            ) as process,
        ):
            for way in functions:
                print(f"memory_report trains {_STEPS + 1} steps {way}")
                line = process.stdout.readline()
                if not line:
                    break
                peaks.append(json.loads(line))
        if len(peaks) == len(functions):
            return peaks, None
        return peaks, _why(process.returncode, errors.read_text())


def _save(function, path):
    module = tf.Module()
    module.variables_of_step = list(function.graph.variables)
    module.step = function
    tf.saved_model.save(module, path)


def _why(code, errors):
    """Return why a process has ended."""
    if code < 0:
        return f"not measured: the process ended by signal {-code}"
    last = (errors.strip().splitlines() or ["without a message"])[-1]
    return f"not measured: {_short(last)}"


def _short(text):
    return textwrap.shorten(str(text), 200, placeholder=" ...")
