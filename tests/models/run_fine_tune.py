"""Runs examples/fine_tune.py several times in one process.

python run_fine_tune.py ARGUMENTS

ARGUMENTS is a JSON list of lists of flags, one for each run. Where the first is
"small", a small network of random weights stands for the pretrained one. Prints
a JSON list of what each run printed, or of why its flags were refused.
"""

import contextlib
import importlib.util
import io
import json
import pathlib
import sys
import warnings
from unittest import mock

import small_network
from absl import flags
from absl.testing import flagsaver

import irevnet_tf

warnings.simplefilter("error", UserWarning)
EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "fine_tune.py"
spec = importlib.util.spec_from_file_location("fine_tune", EXAMPLE)
fine_tune = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fine_tune)


def small(weights, **kwargs):
    del weights
    return small_network.small(**kwargs)


def run(arguments):
    """Return whether the flags are accepted, and what is printed."""
    printed = io.StringIO()
    with flagsaver.flagsaver(), contextlib.redirect_stdout(printed):
        try:
            rest = flags.FLAGS([str(EXAMPLE), *arguments])
        except flags.Error as error:
            return False, str(error)
        fine_tune.main(rest)
    return True, printed.getvalue()


results = []
for arguments in json.loads(sys.argv[1]):
    if arguments[0] == "small":
        with mock.patch.object(irevnet_tf, "IRevNet28", small):
            results.append(run(arguments[1:]))
    else:
        results.append(run(arguments))
print(json.dumps(results))
