"""irevnet-convert, run in the process of the tests."""

from absl import flags

from irevnet_tf.apps import convert
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags


def run_app(*arguments):
    """Run the application as the command line would."""
    values = flags.FlagValues()
    define_flags(convert.Request, values)
    values(["irevnet-convert", *map(str, arguments)])
    return convert.convert(from_flags(convert.Request, values))
