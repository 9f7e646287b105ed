"""Refusing residuals with side effects, which would happen twice."""

import weakref

from tensorflow.python.framework import op_def_registry

from irevnet_tf.layers.block_functions import BlockFunctions
from irevnet_tf.layers.block_kinds import is_foreign
from irevnet_tf.layers.block_kinds import is_synchronized
from irevnet_tf.layers.block_kinds import kind_of

# Operations with a state or an effect that does no harm: calls, of which the
# functions are looked at themselves, branches and loops, and messages. What
# Python functions do cannot be seen.
_HARMLESS = {
    "Assert",
    "Case",
    "EagerPyFunc",
    "If",
    "PrintV2",
    "PyFunc",
    "StatefulPartitionedCall",
    "While",
}

# Draw random numbers, and TensorFlow does not say so.
_RANDOM = {"FractionalAvgPool", "FractionalMaxPool"}

# {block: the modes in which it has been looked at}
_pure = weakref.WeakKeyDictionary()


def refuse_impure(block, inputs, weights, state, training):
    """Raise ValueError if running F twice does more than running it once.

    A backward pass that draws other random numbers than the forward pass, or
    counts a step twice, would be wrong without a word. Each block is looked
    at once in each mode, by its graph; those with parts of Keras and this
    package alone are known to be pure.

    Args:
        block: `Coupling`.
        inputs: pair of tensors, its inputs.
        weights: as in `BlockFunctions.forward`.
        state: as in `BlockFunctions.forward`.
        training: as in `BlockFunctions.forward`.
    """
    if training in _pure.setdefault(block, set()):
        return
    # Those that talk to other replicas cannot be traced by themselves.
    if is_foreign(kind_of(block)) and not is_synchronized(block):
        forward = BlockFunctions(block).forward
        traced = forward.get_concrete_function(inputs, weights, state, training)
        _refuse_state(block, traced.graph.as_graph_def())
    _pure[block].add(training)


def _refuse_state(block, definition):
    nodes = [
        *definition.node,
        *(n for f in definition.library.function for n in f.node_def),
    ]
    functions = {f.signature.name for f in definition.library.function}
    for node in nodes:
        if node.op in _HARMLESS or node.op in functions:
            continue
        is_stateful = op_def_registry.get(node.op).is_stateful
        if is_stateful or node.op in _RANDOM:
            raise ValueError(
                "A residual must keep its variables as Keras weights "
                "(`add_weight`), and draw random numbers by a "
                "keras.random.SeedGenerator that is an attribute of its "
                "layer, if `memory_saving` is True, since F runs twice in a "
                f"step. Received: residual={block.residual.name} with the "
                f"operation {node.op}"
            )
