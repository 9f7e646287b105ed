"""Whether XLA compiles what is being traced."""

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


def is_compiled() -> bool:
    """Return whether the current graph, or one around it, is for XLA.

    XLA cannot call Python, drops assertions, and has passes of its own.
    """
    return control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )
