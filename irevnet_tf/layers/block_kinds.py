"""Kinds of blocks that share a trace; refusal of blocks with side effects."""

import json
import weakref

import keras
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from irevnet_tf.layers.block_functions import BlockFunctions

# Methods that Keras, and InvertibleLayer, wrap in every instance.
_WRAPPED_METHODS = {"build", "inverse", "quantize"}

# Where the configuration of a Functional model refers to layers by name.
_GRAPH_KEYS = ("inbound_nodes", "input_layers", "output_layers")


def kind_of(block):
    """Return a key that blocks share if one trace can serve them all.

    Such blocks have the same class, the same configuration of all layers
    except for names and seeds (which are state), and the same frozen layers,
    for a frozen BatchNorm computes differently. A block with parts that are
    neither from Keras nor from this package is a separate kind: its
    configuration may be incomplete.
    """
    layers = list(block._flatten_layers())
    variables = tuple(
        (variable.trainable, tuple(variable.shape), variable.dtype)
        for variable in block.variables
    )
    frozen = tuple(layer.trainable for layer in layers)
    return _configuration(block, layers), type(block), frozen, variables


def is_foreign(kind) -> bool:
    """Return whether a kind is that of a single block with foreign parts."""
    return isinstance(kind[0], int)


def is_synchronized(block) -> bool:
    """Return whether F exchanges values with other replicas as it runs."""
    return tf.distribute.has_strategy() and any(
        getattr(layer, "synchronized", False)
        for layer in block._flatten_layers()
    )


def _configuration(block, layers):
    """Return the layers' configuration, or an id for this block only."""
    if not all(_is_known(layer) for layer in layers):
        return id(block)
    # Serialized layer by layer: a composite's configuration does not show
    # what has been changed on its parts.
    configs = [keras.saving.serialize_keras_object(layer) for layer in layers]
    if not all(map(_has_known_parts, configs)):
        return id(block)
    return json.dumps(_without_names(configs, {}))


def _is_known(layer):
    # An instance's own method, such as `call`, is not in its configuration.
    own_methods = {
        name
        for name, value in vars(layer).items()
        if callable(value) and hasattr(type(layer), name)
    }
    is_itself = own_methods <= _WRAPPED_METHODS
    return is_itself and _is_known_module(type(layer).__module__)


def _is_known_module(module):
    return (module or "").split(".")[0] in ("keras", "irevnet_tf")


def _has_known_parts(config):
    """Return whether a serialized layer holds no foreign object or function."""
    if isinstance(config, dict):
        is_lambda = config.get("class_name") == "__lambda__"
        if is_lambda or not _is_known_module(config.get("module", "keras")):
            return False
        config = list(config.values())
    if isinstance(config, list | tuple):
        return all(map(_has_known_parts, config))
    return True


def _without_names(config, names, in_graph=False):
    """Number the names in serialized layers by order of appearance.

    Names are the values of "name", and where a Functional model lists the
    edges of its graph.
    """
    if isinstance(config, dict):
        if isinstance(config.get("name"), str):
            names.setdefault(config["name"], f"#{len(names)}")
        return {
            key: _without_names(
                value, names, in_graph or key == "name" or key in _GRAPH_KEYS
            )
            for key, value in config.items()
            if key not in ("seed", "shared_object_id", "build_config")
        }
    if isinstance(config, list | tuple):
        return [_without_names(value, names, in_graph) for value in config]
    if in_graph and isinstance(config, str):
        return names.get(config, config)
    return config


# Operations whose state or effect does no harm: calls (the called functions
# are checked themselves), branches and loops, and messages. What Python
# functions do cannot be seen.
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

# These draw random numbers, although TensorFlow calls them stateless.
_RANDOM = {"FractionalAvgPool", "FractionalMaxPool"}

# {block: the modes in which it has been checked}
_pure = weakref.WeakKeyDictionary()


def refuse_impure(block, inputs, weights, state, training):
    """Raise ValueError if running F twice does more than running it once.

    A backward pass that draws other random numbers than the forward pass, or
    counts a step twice, would be wrong without a message. The graph of each
    block is checked once in each mode; blocks with parts of Keras and this
    package only are known to be pure.

    Args:
        block: built `Coupling`. The block to check.
        inputs: pair (x1, x2) of tensors. Its inputs.
        weights: list of tensors. As in `BlockFunctions.forward`.
        state: list of tensors. As in `BlockFunctions.forward`.
        training: bool. As in `BlockFunctions.forward`.
    """
    if training in _pure.setdefault(block, set()):
        return
    # Blocks that talk to other replicas cannot be traced by themselves.
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
