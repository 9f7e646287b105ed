"""One reversible block as pure functions of its weights, traced once.

A block's weights and state are arguments here, not attributes. That is what
lets blocks of the same shape share one traced function (a network of 100
blocks needs eight), and what keeps the second run of F in the backward pass
free of side effects: it gets the state from before the forward pass, and the
state it returns is dropped.
"""

import functools
import json

import keras
import tensorflow as tf

# Where the configuration of a Functional model refers to layers by name.
_GRAPH_KEYS = ("inbound_nodes", "input_layers", "output_layers")


class BlockFunctions:
    """`forward`, `inverse` and `backward` of all blocks of one kind.

    Args:
        block: built `AdditiveCoupling` that stands for its kind.
        traced: whether the methods are traced functions. Residuals that talk
            to other replicas (synchronized BatchNorm) cannot be traced.
    """

    def __init__(self, block, traced=True):
        self._block = block
        if traced:
            self.forward = _traced(self.forward)
            self.inverse = _traced(self.inverse)
            self.backward = _traced(self.backward)

    def forward(self, inputs, weights, state, training):
        """Return the block's outputs and the new state of its residual.

        Args:
            inputs: pair (x1, x2) of tensors.
            weights: values of the residual's trainable variables.
            state: values of its other variables: statistics, seeds.
            training: bool.

        Returns:
            Outputs (y1, y2), and a list as long as `state` with the new value
            of what F assigned to, and None for the rest.
        """
        residual, new_state = self._run_residual(
            inputs[1], weights, state, training
        )
        return self._block.couple(inputs, residual), new_state

    def inverse(self, outputs, weights, state, training):
        """Return the inputs (x1, x2) that `forward` makes `outputs` from."""
        x2 = self._block.residual_input(outputs)
        residual, _ = self._run_residual(x2, weights, state, training)
        return self._block.uncouple(outputs, x2, residual)

    def backward(self, outputs, output_gradients, weights, state, training):
        """Rebuild the inputs and pull the gradients back, running F once.

        Args:
            outputs: pair (y1, y2) that `forward` returned.
            output_gradients: pair of the same shapes.
            weights: as in `forward`.
            state: as in `forward`: from before it, so that F draws the same
                dropout mask.
            training: as in `forward`.

        Returns:
            Inputs (x1, x2), their gradients, and the list of the weights'
            gradients.
        """
        y1, y2 = outputs
        # Orders the blocks where these functions are not traced: nothing in
        # an inverse depends on a gradient. XLA orders by need of memory.
        with tf.control_dependencies(output_gradients):
            outputs = tf.identity(y1), y2
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            x2 = self._block.residual_input(outputs)
            tape.watch([x2, *weights])
            residual, _ = self._run_residual(x2, weights, state, training)
            residual = tf.cast(residual, x2.dtype)
        gradient, *weight_gradients = tape.gradient(
            residual,
            [x2, *weights],
            output_gradients[1],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        inputs = self._block.uncouple(outputs, x2, residual)
        input_gradients = self._block.pull_back(output_gradients, gradient)
        return inputs, input_gradients, weight_gradients

    def _run_residual(self, x2, weights, state, training):
        residual = self._block.residual
        values = [
            *zip(residual.trainable_variables, weights, strict=True),
            *zip(residual.non_trainable_variables, state, strict=True),
        ]
        with keras.StatelessScope(values, collect_losses=True) as scope:
            output = residual(x2, training=training)
        if scope.losses:
            raise ValueError(
                "Residuals must not add losses (by `add_loss` or an activity "
                "regularizer) if `memory_saving` is True, since F runs twice "
                f"in a step. Received: residual={residual.name}"
            )
        new_state = [
            scope.get_current_value(variable)
            for variable in residual.non_trainable_variables
        ]
        changed = [
            None if new is old else new
            for new, old in zip(new_state, state, strict=True)
        ]
        return output, changed


class FunctionCache:
    """The traced functions of a sequence, one set per kind of block.

    A plain object, so that Keras and SavedModel do not track the functions as
    parts of the layer.
    """

    def __init__(self):
        self._of_kind = {}

    def for_block(self, block):
        if is_synchronized(block):
            return BlockFunctions(block, traced=False)
        kind = kind_of(block)
        if kind not in self._of_kind:
            self._of_kind[kind] = BlockFunctions(block)
        return self._of_kind[kind]


def _traced(method):
    """Return `method` as a traced function that stays a call in the graph.

    Inlined, the whole chain of inverses could run ahead of the gradients, on
    which it does not depend, and would hold every block's input at once.
    """
    # TensorFlow counts traces per code object to warn of too many; behind a
    # partial, each kind of block is counted for itself.
    return tf.function(
        functools.partial(method),
        autograph=False,
        experimental_attributes={"_noinline": True},
    )


def kind_of(block):
    """Return a key that blocks share if one trace can serve them all.

    That is: the same configuration of all layers, but for names and seeds
    (which are state), and the same ones frozen, for a frozen BatchNorm
    computes otherwise. A residual with parts from elsewhere than Keras and
    this package has a kind of its own: its configuration need not tell all.
    """
    layers = list(block.residual._flatten_layers())
    variables = tuple(
        (variable.trainable, tuple(variable.shape), variable.dtype)
        for variable in block.residual.variables
    )
    frozen = tuple(layer.trainable for layer in layers)
    geometry = block.stride, block.zero_channels, block.compute_dtype
    return _configuration(block, layers), frozen, variables, geometry


def _configuration(block, layers):
    """Return the layers' configuration, or what stands for this block only."""
    if not all(_is_known(type(layer).__module__) for layer in layers):
        return id(block)
    # Serialized layer by layer: a composite's configuration does not show
    # what has been changed on its parts.
    configs = [keras.saving.serialize_keras_object(layer) for layer in layers]
    if not all(map(_has_known_parts, configs)):
        return id(block)
    return json.dumps(_without_names(configs, {}))


def is_synchronized(block):
    """Return whether F exchanges values with other replicas as it runs."""
    return tf.distribute.has_strategy() and any(
        getattr(layer, "synchronized", False)
        for layer in block.residual._flatten_layers()
    )


def _is_known(module):
    return (module or "").split(".")[0] in ("keras", "irevnet_tf")


def _has_known_parts(config):
    """Return whether a serialized layer holds no foreign object or function."""
    if isinstance(config, dict):
        is_lambda = config.get("class_name") == "__lambda__"
        if is_lambda or not _is_known(config.get("module", "keras")):
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
