"""Checks of files, copies, checkpoints and exports."""

import pathlib
import pickle
import tempfile

import keras
import tensorflow as tf

from irevnet_tf.layers import Coupling
from irevnet_tf.layers import Inverse
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers import Shared
from irevnet_tf.models.graph import has_graph
from irevnet_tf.testing.copies import loading
from irevnet_tf.testing.finding import Broken
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.finding import Finding
from irevnet_tf.testing.finding import largest_difference
from irevnet_tf.testing.finding import relative_error
from irevnet_tf.testing.finding import worst
from irevnet_tf.testing.snapshot import layers_of

# Operations by which a graph calls a function.
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")

_SAVE_TYPES = ("checkpoint", "savedmodel")


def files(subject):
    """Files and copies compute the same, and the same is trainable."""
    return worst(_copied(subject))


def frozen(subject):
    """With an inner layer frozen, files and copies have it frozen."""
    layer = _innermost(subject.body)
    if not subject.body.trainable_variables:
        raise DoesNotApply("it has nothing to train")
    layer.trainable = False
    found = worst(_copied(subject))
    return Finding(found.value, f"{layer.name} frozen")


def _innermost(layer):
    """Return the innermost layer behind blocks, wrappers and models."""
    while True:
        if isinstance(layer, Coupling):
            layer = layer.residual
        elif isinstance(layer, ReversibleSequence):
            layer = layer.blocks[0]
        elif isinstance(layer, Inverse | Shared | keras.layers.Wrapper):
            layer = layer.layer
        elif has_graph(layer) and layer.variables:
            layer = next(x for x in layer.layers if x.variables)
        else:
            return layer


def _copied(subject):
    """Return the errors of copies of a model around the layer."""
    model = subject.new_model()
    expected = model(subject.inputs)
    values = [variable.numpy() for variable in model.variables]
    errors = {}
    for name, copied in _WAYS.items():
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)
        with loading(subject.body):
            copy = copied(model)
        _require_same_flags(name, model, copy)
        errors[name] = relative_error(copy(subject.inputs), expected)
    return errors


def _require_same_flags(name, model, copy):
    flags = []
    for one in (model, copy):
        trained = {id(variable) for variable in one.trainable_variables}
        flags.append(
            [
                *((v.path, id(v) in trained) for v in one.variables),
                *((x.name, x.trainable) for x in layers_of(one)),
            ]
        )
    if len(flags[0]) != len(flags[1]):
        raise Broken(f"{name} comes back with other variables or layers")
    for (part, flag), (_, found) in zip(*flags, strict=True):
        if found != flag:
            raise Broken(f"{name}: {part} comes back with trainable={found}")


def _by_file(model):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.keras"
        model.save(path)
        return keras.saving.load_model(path, safe_mode=False)


def _by_config(model):
    return _with_values(model, type(model).from_config(model.get_config()))


def _by_clone(model):
    return _with_values(model, keras.models.clone_model(model))


def _by_pickle(model):
    return pickle.loads(pickle.dumps(model))


_WAYS = {
    "a .keras file": _by_file,
    "a config": _by_config,
    "clone_model": _by_clone,
    "a pickle": _by_pickle,
}


def _with_values(model, copy):
    copy.set_weights(model.get_weights())
    return copy


def checkpoint(subject):
    """A checkpoint holds every weight, and finds it again."""
    model = subject.new_model()
    _require_reachable(model)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    saved = tf.train.Checkpoint(model=model, optimizer=optimizer)
    variables = [*model.variables, *optimizer.variables]
    values = [variable.numpy() for variable in variables]
    with tempfile.TemporaryDirectory() as directory:
        path = saved.save(str(pathlib.Path(directory) / "checkpoint"))
        for variable, value in zip(variables, values, strict=True):
            other = ~value if value.dtype == bool else value + 1
            variable.assign(other.astype(value.dtype))
        saved.restore(path).assert_consumed()
    errors = {
        variable.path: largest_difference(variable.numpy(), value)
        for variable, value in zip(variables, values, strict=True)
    }
    subject.reset()
    return worst(errors) if errors else Finding(0.0, "no variables")


def _require_reachable(model):
    for save_type in _SAVE_TYPES:
        found, rest = {}, [model]
        while rest:
            value = rest.pop()
            if id(value) not in found:
                # Kept alive, so that no other object gets its id.
                found[id(value)] = value
                children = tf.train.TrackableView.children(value, save_type)
                rest += children.values()
        for variable in model.variables:
            if id(variable) not in found:
                raise Broken(f"no {save_type} reaches {variable.path}")


def export(subject):
    """A SavedModel computes the same, without calls of functions."""
    tensors = keras.tree.flatten(subject.inputs)
    if any(x.shape.rank not in (2, 4) for x in tensors):
        raise DoesNotApply("it takes neither images nor vectors")
    model = subject.new_model()
    specs = keras.tree.map_structure(
        lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), subject.inputs
    )
    module = tf.Module()
    module.model = model
    module.serve = tf.function(
        lambda x: model(x), input_signature=[specs], autograph=False
    )
    graph = module.serve.get_concrete_function().graph
    calls = {x.name: x.type for x in graph.get_operations() if x.type in _CALLS}
    if calls:
        name, kind = next(iter(calls.items()))
        raise Broken(f"the graph of its inference holds the {kind} {name}")
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(module, directory)
        loaded = tf.saved_model.load(directory)
        found = loaded.serve(subject.inputs)
    return Finding(relative_error(found, subject.body_output))
