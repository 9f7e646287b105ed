"""Commands, called as the command line would."""

from absl import flags
from absl.testing import flagsaver

from irevnet_tf.apps import evaluate
from irevnet_tf.apps import invert
from irevnet_tf.apps import launch
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags


def call(module, *arguments):
    """Run an app's main function as the command line would."""
    if module in (evaluate, invert):
        return call_with_own_flags(module, *arguments)
    with flagsaver.flagsaver():
        rest = flags.FLAGS(["program", *arguments])
        module.main(rest)


def call_with_own_flags(module, *arguments):
    """As `call`, for what defines its flags when it is started."""
    values = flags.FlagValues()
    define_flags(module.Request, values)
    launch.refuse_arguments(values(["program", *arguments]))
    request = from_flags(module.Request, values)
    if module is invert:
        path, drawn = invert.invert_images(request)
        print(invert.wrote(path, drawn))
    else:
        print(evaluate.table(evaluate.evaluate_network(request)))
