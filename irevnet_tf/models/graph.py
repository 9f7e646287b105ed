"""A model's calls of its layers, those inside of nested models among them."""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer or operation in a Functional model.

    Attributes:
        layer: the layer, or another Keras operation.
        model: the Functional model in whose graph this is.
        inputs: Keras tensors of that graph.
        outputs: Keras tensors of that graph.
        reads: keys of the values that come in, the same over all the graphs.
        writes: keys of the values that come out.
    """

    layer: keras.Operation
    model: keras.Model
    inputs: tuple
    outputs: tuple
    reads: tuple
    writes: tuple


def calls(model) -> list[Call]:
    """Return the calls in a model, in an order in which they can be run.

    Nested Functional and Sequential models stand for the calls inside of
    them. Other models have no graph and are layers. Keys of values are those
    of one list; another has others.

    Args:
        model: Functional or Sequential model that is built.
    """
    return _calls(model, {})


def last_call(model) -> Call:
    """Return the call that computes a model's output, the first of several.

    Args:
        model: Functional or Sequential model that is built.
    """
    keys = {}
    found = _calls(model, keys)
    output = keys[id(model.outputs[0])]
    return next(c for c in found if any(x is output for x in c.writes))


def has_graph(layer) -> bool:
    """Return whether a layer is a model whose calls can be told."""
    if isinstance(layer, keras.Sequential):
        return layer.built and bool(layer.layers)
    return isinstance(layer, keras.Function) and isinstance(layer, keras.Model)


def _calls(model, keys):
    """Return the calls in a model.

    Args:
        model: has a graph.
        keys: {id of a tensor of the model's graph: key}, of its inputs if
            they have keys already. What the model computes is added.
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
            # A model that is used twice computes other values each time.
            writes = tuple(object() for _ in outputs)
            keys.update(zip(map(id, outputs), writes, strict=True))
            found.append(
                Call(node.operation, model, inputs, outputs, reads, writes)
            )
    return found
