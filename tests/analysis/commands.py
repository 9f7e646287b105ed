"""What the command line makes of flags, and what it leaves."""

import csv

from absl import flags

from irevnet_tf.apps.analysis.flags import Request
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags

DIGITS = ("--model=IRevNet28", "--weights=digits")


def request(*arguments):
    """Return what the command line would make of the arguments."""
    values = flags.FlagValues()
    define_flags(Request, values)
    values(["irevnet-analyze", *map(str, arguments)])
    return from_flags(Request, values)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
