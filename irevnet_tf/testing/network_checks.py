"""Checks of a network's chains of invertible layers."""

import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.models import inversion
from irevnet_tf.testing.copies import loading
from irevnet_tf.testing.finding import Broken
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.finding import Finding
from irevnet_tf.testing.finding import largest_difference
from irevnet_tf.testing.finding import relative_error
from irevnet_tf.testing.finding import worst
from irevnet_tf.testing.network import CheckedNetwork
from irevnet_tf.testing.network import given_back
from irevnet_tf.testing.network import run
from irevnet_tf.testing.network import run_back
from irevnet_tf.testing.snapshot import values


class Tour:
    """Both passes through a network, which several checks look at.

    Args:
        network: `CheckedNetwork`. The network.
        limits: dict {name of a check: float}. The largest errors that hold.
        reset: function. Restores the state of the network's model.
    """

    def __init__(self, network, limits, reset):
        self.network, self.limits = network, limits
        self.steps = network.walk(training=False)
        before = values(network.model)
        self.training_steps = network.walk(training=True)
        self.moved = [
            variable.path
            for variable, value in zip(
                network.model.variables, before, strict=True
            )
            if largest_difference(variable.numpy(), value)
        ]
        reset()


def steps(tour):
    """Each layer's and block's inverse returns what the layer takes."""
    return _of_steps(tour.steps, "error", tour.limits["steps"])


def inverse(tour):
    """The inverse from the end returns what each layer takes."""
    found = tour.steps[::-1]
    return _of_steps(found, "accumulated", tour.limits["inverse"])


def inverse_in_training(tour):
    """The same in training mode, in both ways."""
    random = [
        x.name
        for x in tour.training_steps
        if x.largest is not None and x.taken is None
    ]
    note = (
        f"not through {_few(random)}, whose output is another one with each "
        "call, as with dropout"
        if random
        else ""
    )
    found = [x for x in tour.training_steps if x.error is not None]
    _require_run(tour.training_steps)
    if not found:
        raise DoesNotApply(note)
    errors = {x.name: x.error for x in found}
    errors |= {
        f"from the end to {x.name}": x.accumulated
        for x in reversed(found)
        if x.accumulated is not None
    }
    return worst(errors, note)


def stream_range(tour):
    """Values are finite, and in the exact range if they must be."""
    limit = tour.network.limit
    for mode, found in _modes(tour):
        for step in found:
            if step.largest is not None and not np.isfinite(step.largest):
                raise Broken(f"{step.name} returns NaN or infinity{mode}")
            if limit is not None and (step.largest or 0) >= limit:
                raise Broken(
                    f"{step.name} returns values of {step.largest:.4g}{mode}, "
                    f"beyond the exact range of {limit:g}"
                )
    _require_run(tour.steps)
    largest = {x.name: x.largest for x in tour.steps}
    name = max(largest, key=largest.get)
    detail = f"up to {largest[name]:.3g}, behind {name}"
    if limit is None:
        return Finding(None, detail)
    return Finding(largest[name] / limit, f"{detail}; the limit is {limit:g}")


def _modes(tour):
    return ("", tour.steps), (" in training", tour.training_steps)


def state(tour):
    """An inverse moves no variables; a training pass moves those named."""
    _require_run(tour.steps)
    model, moved = tour.network.model, {}
    for training in (False, True):
        entrances = tour.network.entrances(training)
        for layers, x in zip(tour.network.chains, entrances, strict=True):
            y = run(layers, x, training)
            before = values(model)
            run_back(layers, y, training)
            for variable, *pair in zip(
                model.variables, before, values(model), strict=True
            ):
                difference = largest_difference(*pair)
                moved[variable.path] = max(
                    difference, moved.get(variable.path, 0.0)
                )
    note = "a training pass moves no variables"
    if tour.moved:
        note = f"a training pass moves {_few(tour.moved)}"
    return worst(moved, note) if moved else Finding(0.0, note)


def outputs(tour):
    """Graphs and batches of other sizes compute what eager calls do."""
    errors = {}
    for of_chain, layers, x in _chains(tour):
        y = run(layers, x)
        graph = tf.function(lambda x, of=layers: run(of, x), autograph=False)
        one, first = _part(x, 1), _part(y, 1)
        errors[f"a graph{of_chain}"] = relative_error(graph(x), y)
        alone = run(layers, one)
        errors[f"a single input{of_chain}"] = relative_error(alone, first)
        twice = run(layers, _twice(x))
        errors[f"a larger batch{of_chain}"] = relative_error(twice, _twice(y))
    return worst(errors)


def graph(tour):
    """In a graph, the inverse returns what the chain takes."""
    errors = {}
    for _, layers, x in _chains(tour):
        both = tf.function(
            lambda x, of=layers: run_back(of, run(of, x)), autograph=False
        )
        errors[layers[0].name] = relative_error(both(x), x)
    return worst(errors)


def modes(tour):
    """Eager calls and graphs invert each other."""
    errors = {}
    for of_chain, layers, x in _chains(tour):
        forward = tf.function(lambda x, of=layers: run(of, x), autograph=False)
        back = tf.function(
            lambda y, of=layers: run_back(of, y), autograph=False
        )
        errors[f"an eager inverse of a graph's output{of_chain}"] = (
            relative_error(run_back(layers, forward(x)), x)
        )
        errors[f"a graph's inverse of an eager output{of_chain}"] = (
            relative_error(back(run(layers, x)), x)
        )
    return worst(errors)


def batch_size(tour):
    """What was encoded in one batch is decoded in another."""
    errors = {}
    for of_chain, layers, x in _chains(tour):
        one = _part(x, 1)
        alone = run_back(layers, _part(run(layers, x), 1))
        errors[f"encoded in a batch, decoded alone{of_chain}"] = relative_error(
            alone, one
        )
        together = run_back(layers, _twice(run(layers, one)))
        errors[f"encoded alone, decoded in a batch{of_chain}"] = relative_error(
            together, _twice(one)
        )
    return worst(errors)


def files(tour):
    """A model loaded from a file computes and inverts the same."""
    _require_run(tour.steps)
    network = tour.network
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.keras"
        network.model.save(path)
        with loading(network.model):
            loaded = keras.saving.load_model(path, safe_mode=False)
    copy = CheckedNetwork(loaded, network.inputs)
    errors = {
        "outputs": relative_error(
            loaded(network.inputs), network.model(network.inputs)
        )
    }
    for (of_chain, ours, x), theirs in zip(
        _chains(tour), copy.chains, strict=True
    ):
        y = run(ours, x)
        errors[f"the inverse{of_chain}"] = relative_error(
            run_back(theirs, y), run_back(ours, y)
        )
    return worst(errors)


def invert(tour):
    """`irevnet_tf.invert` returns what the chain takes."""
    if len(tour.network.chains) > 1:
        raise DoesNotApply("the network can be inverted in stages only")
    ((_, layers, x),) = _chains(tour)
    decoder = inversion.invert(tour.network.model)
    back = decoder.predict_on_batch(run(layers, x))
    return Finding(relative_error(back, x))


def _chains(tour):
    """Return of each chain its layers, and what its inverse is to return.

    In front of both stands what tells the chain from others, for the report.
    """
    _require_run(tour.steps)
    chains = tour.network.chains
    return [
        (
            f", from {layers[0].name}" if len(chains) > 1 else "",
            layers,
            given_back(layers, x),
        )
        for layers, x in zip(chains, tour.network.entrances(), strict=True)
    ]


def _of_steps(found, attribute, limit):
    """Return the worst error, and where one first is above the limit."""
    _require_run(found)
    errors = {x.name: getattr(x, attribute) for x in found}
    first = next((x for x, error in errors.items() if error > limit), None)
    return worst(errors, "" if first is None else f"the first is {first}")


def _require_run(found):
    """Raise the exception that stopped a pass."""
    for step in found:
        if step.failure:
            raise Broken(f"{step.name} raises {step.failure}")


def _few(names):
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _part(tensors, count):
    return keras.tree.map_structure(lambda x: x[:count], tensors)


def _twice(tensors):
    return keras.tree.map_structure(lambda x: tf.concat([x, x], 0), tensors)
