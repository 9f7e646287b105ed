"""Checks of a network's chains of invertible layers."""

import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.models.inversion import invert as inverse_of
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

    def require_run(self):
        """Raise the exception that stopped the pass, if one did."""
        _require_run(self.steps)


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

    def compare(layers, x):
        y = run(layers, x)
        graph = tf.function(lambda x: run(layers, x), autograph=False)
        return {
            "a graph": relative_error(graph(x), y),
            "a single input": relative_error(
                run(layers, _part(x, 1)), _part(y, 1)
            ),
            "a larger batch": relative_error(run(layers, _twice(x)), _twice(y)),
        }

    return _worst_of_chains(tour, compare)


def graph(tour):
    """In a graph, the inverse returns what the chain takes."""

    def compare(layers, x):
        both = tf.function(
            lambda x: run_back(layers, run(layers, x)), autograph=False
        )
        return {layers[0].name: relative_error(both(x), x)}

    return _worst_of_chains(tour, compare)


def modes(tour):
    """Eager calls and graphs invert each other."""

    def compare(layers, x):
        forward = tf.function(lambda x: run(layers, x), autograph=False)
        back = tf.function(lambda y: run_back(layers, y), autograph=False)
        return {
            "an eager inverse of a graph's output": relative_error(
                run_back(layers, forward(x)), x
            ),
            "a graph's inverse of an eager output": relative_error(
                back(run(layers, x)), x
            ),
        }

    return _worst_of_chains(tour, compare)


def batch_size(tour):
    """What was encoded in one batch is decoded in another."""

    def compare(layers, x):
        one = _part(x, 1)
        alone = run_back(layers, _part(run(layers, x), 1))
        together = run_back(layers, _twice(run(layers, one)))
        return {
            "encoded in a batch, decoded alone": relative_error(alone, one),
            "encoded alone, decoded in a batch": relative_error(
                together, _twice(one)
            ),
        }

    return _worst_of_chains(tour, compare)


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
    for number, (ours, theirs, x) in enumerate(
        zip(network.chains, copy.chains, network.entrances(), strict=True), 1
    ):
        y = run(ours, x)
        errors[f"the inverse{_of_chain(tour, number)}"] = relative_error(
            run_back(theirs, y), run_back(ours, y)
        )
    return worst(errors)


def invert(tour):
    """`irevnet_tf.invert` returns what the chain takes."""
    if len(tour.network.chains) > 1:
        raise DoesNotApply("the network can be inverted in stages only")
    ((layers, x),) = _chains(tour)
    decoder = inverse_of(tour.network.model)
    back = decoder.predict_on_batch(run(layers, x))
    return Finding(relative_error(back, x))


def _worst_of_chains(tour, compare):
    """Return the worst error of all chains.

    Args:
        tour: `Tour`. The network.
        compare: function. From the layers of a chain, and what its inverse is
            to return, to a dict of errors.
    """
    return worst(
        {
            f"{name}{_of_chain(tour, number)}": error
            for number, (layers, x) in enumerate(_chains(tour), start=1)
            for name, error in compare(layers, x).items()
        }
    )


def _of_chain(tour, number):
    """Return which chain a detail is about, if there are several."""
    return f" (chain {number})" if len(tour.network.chains) > 1 else ""


def _chains(tour):
    """Return the layers of each chain, and what its inverse is to return."""
    _require_run(tour.steps)
    return [
        (layers, given_back(layers, x))
        for layers, x in zip(
            tour.network.chains, tour.network.entrances(), strict=True
        )
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
