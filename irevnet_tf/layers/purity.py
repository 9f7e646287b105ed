"""Finding what a residual does besides computing, before it is run twice."""

import weakref

from irevnet_tf.layers.block_functions import BlockFunctions
from irevnet_tf.layers.block_kinds import is_foreign
from irevnet_tf.layers.block_kinds import kind_of

_RANDOM = (
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "RngReadAndSkip",
    "StatefulRandomBinomial",
    "TruncatedNormal",
)
_VARIABLE = (
    "AssignAddVariableOp",
    "AssignSubVariableOp",
    "AssignVariableOp",
    "ReadVariableOp",
    "ResourceGather",
    "ResourceScatterUpdate",
)
_REMEDIES = {
    **dict.fromkeys(
        _RANDOM,
        "draw random numbers by a keras.random.SeedGenerator, an attribute of "
        "its layer,",
    ),
    **dict.fromkeys(
        _VARIABLE, "have Keras weights (`add_weight`) instead of tf.Variables"
    ),
}

_pure = weakref.WeakSet()


def refuse_impure(block, inputs, weights, state, training):
    """Raise ValueError if running F twice does more than running it once.

    A backward pass that draws other random numbers than the forward pass, or
    counts a step twice, would be wrong without a word. Each block is looked
    at once, by its graph; those with parts of Keras and this package alone
    are known to be pure.

    Args:
        block: `Coupling`.
        inputs: pair of tensors, its inputs.
        weights: as in `BlockFunctions.forward`.
        state: as in `BlockFunctions.forward`.
        training: as in `BlockFunctions.forward`.
    """
    if block in _pure:
        return
    _pure.add(block)
    if not is_foreign(kind_of(block)):
        return
    forward = BlockFunctions(block).forward
    traced = forward.get_concrete_function(inputs, weights, state, training)
    definition = traced.graph.as_graph_def()
    nodes = [
        *definition.node,
        *(n for f in definition.library.function for n in f.node_def),
    ]
    for node in nodes:
        if node.op in _REMEDIES:
            _pure.discard(block)
            raise ValueError(
                f"A residual must {_REMEDIES[node.op]} if `memory_saving` is "
                "True, since F runs twice in a step. Received: "
                f"residual={block.residual.name} with the operation {node.op}"
            )
