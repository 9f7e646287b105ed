"""A model's calls of its layers, and the chain of the invertible ones.

The calls include those inside nested models.
"""

import dataclasses

import keras

from irevnet_tf.layers import Inverse
from irevnet_tf.layers.base import is_invertible


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer or operation in a Functional model.

    Attributes:
        layer: Keras operation. The layer, or another operation.
        model: Functional model. The call is in its graph.
        inputs: tuple of Keras tensors. The inputs in that graph.
        outputs: tuple of Keras tensors. The outputs in that graph.
        reads: tuple. Keys of the values that come in, the same over all graphs.
        writes: tuple. Keys of the values that come out.
    """

    layer: keras.Operation
    model: keras.Model
    inputs: tuple
    outputs: tuple
    reads: tuple
    writes: tuple


def calls(model: keras.Model) -> list[Call]:
    """Return the calls in a model, in an order in which they can be run.

    Nested Functional and Sequential models are replaced by the calls inside
    them. Other models have no graph and count as layers. Keys of values are
    valid within one returned list.

    Args:
        model: Functional or Sequential model. It must be built.
    """
    return _calls(model, {})


def last_call(model: keras.Model) -> Call:
    """Return the call that computes a model's output, the first of several.

    Args:
        model: Functional or Sequential model. It is built.
    """
    keys = {}
    found = _calls(model, keys)
    output = keys[id(model.outputs[0])]
    return next(c for c in found if any(x is output for x in c.writes))


def has_graph(layer: keras.Operation) -> bool:
    """Return whether a layer is a model whose calls can be listed."""
    if isinstance(layer, keras.Sequential):
        return layer.built and bool(layer.layers)
    return isinstance(layer, keras.Function) and isinstance(layer, keras.Model)


def _calls(model, keys):
    """Return the calls in a model.

    Args:
        model: Functional or Sequential model. It has a graph.
        keys: dict {id of a tensor: key}. Keys of the tensors of the model's
            graph: of its inputs, if they have keys already. The keys of what
            the model computes are added.
    """
    found = []
    graph = model
    if isinstance(model, keras.Sequential):
        graph = keras.Model(model.inputs, model.outputs)
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            inputs, outputs = tuple(node.input_tensors), tuple(node.outputs)
            reads = tuple(keys.get(id(x), id(x)) for x in inputs)
            if has_graph(node.operation):
                inner = dict(
                    zip(map(id, node.operation.inputs), reads, strict=True)
                )
                found += _calls(node.operation, inner)
                for x, y in zip(outputs, node.operation.outputs, strict=True):
                    keys[id(x)] = inner.get(id(y), id(y))
                continue
            # A model that is used twice computes different values each time.
            writes = tuple(object() for _ in outputs)
            keys.update(zip(map(id, outputs), writes, strict=True))
            found.append(
                Call(node.operation, model, inputs, outputs, reads, writes)
            )
    return found


def find_steps(model: keras.Model) -> list[Call]:
    """Return the calls of the chain of invertible layers in a model.

    They may be in the graphs of several models, nested in it. If there is none
    in the model's graph, or no graph, they are those of the first model among
    its layers that has some.

    Raises:
        ValueError: if another layer stands between them.
    """
    if has_graph(model):
        steps = chain_of(calls(model))
        if steps:
            return steps
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            steps = find_steps(layer)
            if steps:
                return steps
    return []


def chain_of(found: list[Call]) -> list[Call]:
    """Return the longest chain of invertible calls.

    A merge whose input also feeds another layer is a side output, as in
    `features`.

    Raises:
        ValueError: if there are two, if it does not end in one tensor, or if
            another layer stands in its way.
    """
    invertible = [call for call in found if _can_be_followed(call.layer)]
    _refuse_obstacles(found, invertible)
    longest = []  # The longest chain from each call on, the last one first.
    for call in reversed(invertible):
        following = [x for x in longest if x[0].reads == call.writes]
        longest.append([call, *max(following, key=len, default=[])])
    longest.reverse()
    chain = max(longest, key=len, default=[])
    _refuse_another(chain, longest)
    if chain and len(chain[-1].writes) > 1:
        streams = set(chain[-1].writes)
        readers = [x.layer.name for x in found if streams & set(x.reads)]
        raise ValueError(
            "The streams of `model` must end in a ChannelMerge, which makes "
            "one representation of them. Received: streams of "
            f"{chain[-1].layer.name}, which enter {readers or 'nothing'}"
        )
    return chain


def _refuse_another(chain, longest):
    """Raise ValueError if a chain, or one of its ends, could be another.

    Args:
        chain: list of `Call`. The longest chain.
        longest: list of lists of `Call`. The longest chain from each call on.
    """
    for index, call in enumerate(chain):
        rest = chain[index:]
        layers = [x.layer for x in rest]
        for other in longest:
            starts = index == 0 or other[0].reads == call.reads
            # A chain that is used twice, as in siamese networks, is the same.
            is_same = [x.layer for x in other] == layers
            if starts and len(other) == len(rest) and not is_same:
                raise ValueError(
                    "`model` must have one chain of invertible layers. "
                    f"Received: model with one from {layers[0].name} to "
                    f"{layers[-1].name} and another from "
                    f"{other[0].layer.name} to {other[-1].layer.name}"
                )


def _can_be_followed(layer):
    return is_invertible(layer) and not isinstance(layer, Inverse)


def _refuse_obstacles(found, invertible):
    """Raise ValueError if a layer without inverse stands between others.

    Otherwise the user would take the inverse of the layers in front of it for
    that of the whole.
    """
    behind = {key: None for call in invertible for key in call.writes}
    for call in found:
        obstacles = [behind[key] for key in call.reads if key in behind]
        if not obstacles:
            continue
        obstacle = next(filter(None, obstacles), None)
        if _can_be_followed(call.layer) and obstacle is not None:
            raise ValueError(
                "Every layer between the invertible ones of `model` must have "
                "an `inverse`, as an InvertibleLayer has. Received: "
                f"{obstacle.name} of {type(obstacle)} in front of "
                f"{call.layer.name}"
            )
        if not _can_be_followed(call.layer):
            obstacle = obstacle or call.layer
        behind.update(
            (key, obstacle) for key in call.writes if key not in behind
        )
