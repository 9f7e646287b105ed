"""A model's calls of its layers, and the runs of invertible ones.

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


@dataclasses.dataclass(frozen=True)
class Run:
    """Calls of invertible layers; each takes what the previous one returns.

    Attributes:
        steps: tuple of `Call`. The calls, one or more.
        obstacle: None or Keras operation. What has no inverse and stands
            between the run before and this one.
    """

    steps: tuple[Call, ...]
    obstacle: keras.Operation | None


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


def find_runs(model: keras.Model) -> list[Run]:
    """Return the runs of invertible layers in a model, in order.

    They may be in the graphs of several models, nested in it. If there is none
    in the model's graph, or no graph, they are those of the first model among
    its layers that has some.

    Raises:
        ValueError: as `runs_of`.
    """
    if has_graph(model):
        runs = runs_of(calls(model))
        if runs:
            return runs
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            runs = find_runs(layer)
            if runs:
                return runs
    return []


def runs_of(found: list[Call]) -> list[Run]:
    """Return the runs of invertible calls among calls, in order.

    Args:
        found: list of `Call`. In an order in which they can be run.

    Raises:
        ValueError: if there are two side by side, or one does not end in one
            tensor.
    """
    # What invertible calls lead to: how many obstacles were on the way, and
    # which one stands behind the last of these calls.
    behind = {}
    calls_of_run, obstacles = {}, {0: None}
    for call in found:
        reached = [behind[key] for key in call.reads if key in behind]
        count, obstacle = max(
            reached, key=lambda x: (x[0], x[1] is not None), default=(0, None)
        )
        if _can_be_followed(call.layer):
            if obstacle is not None:
                count += 1
                obstacles.setdefault(count, obstacle)
            calls_of_run.setdefault(count, []).append(call)
            reaches = (count, None)
        elif reached:
            reaches = (count, obstacle or call.layer)
        else:
            continue
        for key in call.writes:
            behind.setdefault(key, reaches)
    return [
        Run(tuple(_longest_chain(invertible, found)), obstacles[count])
        for count, invertible in sorted(calls_of_run.items())
    ]


def _longest_chain(invertible, found):
    """Return the longest chain of invertible calls.

    A merge whose input also feeds another layer is a side output, as in
    `features`.

    Args:
        invertible: list of `Call`. Some of the calls, those that are invertible
            and have the same obstacles before them.
        found: list of `Call`. All calls.

    Raises:
        ValueError: if there are two, or if it does not end in one tensor.
    """
    longest = []  # The longest chain from each call on, the last one first.
    for call in reversed(invertible):
        following = [x for x in longest if x[0].reads == call.writes]
        longest.append([call, *max(following, key=len, default=[])])
    longest.reverse()
    chain = max(longest, key=len)
    _refuse_another(chain, longest)
    if len(chain[-1].writes) > 1:
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

    What has no weights of its own, such as a merge, is a side output.

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
                _refuse_two(rest, other)
    # Whether it is shorter or longer does not tell which network is meant.
    weights = _weights_of(chain)
    for other in longest:
        if not _weights_of(other) <= weights:
            _refuse_two(chain, other)


def _refuse_two(chain, other):
    raise ValueError(
        "`model` must have one chain of invertible layers. "
        f"Received: model with one from {chain[0].layer.name} to "
        f"{chain[-1].layer.name} and another from "
        f"{other[0].layer.name} to {other[-1].layer.name}"
    )


def _weights_of(chain):
    """Return the ids of the weights that a chain of calls has."""
    return {id(x) for call in chain for x in call.layer.variables}


def _can_be_followed(layer):
    return is_invertible(layer) and not isinstance(layer, Inverse)
